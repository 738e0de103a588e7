"""Verifying an export offline: is this the log that was signed, from the first entry?

The order of trust, for a file and a verifier key that came another way:

    1. The header's checkpoint is signed by the key and is of the header's log.
    2. Every entry stands in its place, and its octets give its leaf hash.
    3. Where a mark stands, the tree so far is the one that was signed there.
    4. At an earlier checkpoint's size, the tree so far is that checkpoint's.
    5. At the end the tree is the header's.  Where rows were selected there is no
       whole tree: instead each row's proof leads to the root that was signed.
    6. The footer counts rows and marks, and nothing follows it.

Guarantees:
    * `verify_export` returns only if every octet of the file is accounted for;
      else it names the line and the first entry that cannot be trusted.
    * Memory stays flat: one hash per level of the tree.

Does not guarantee: that a selection is complete (no proof says what is absent),
nor that what happened was logged.

Left to others: the same in ``scripts/verify-trail``, which shares no code with
this module so that a fault here has no second copy there.

Spec: docs/reference/formats/audit-export.md
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from vault.audit import lineage, tree
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.export import KIND, VERSION
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.verified import Report
from vault.audit.witnessed import Witnessed
from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import IntegrityError, InvalidInputError, TrailBrokenError

_OLDER: Final = 1
_MAX_LINE_BYTES: Final = 262_144
_HEADER: Final = {"callvault", "checkpoint", "origin", "query", "rows", "size", "v"}
_ENTRY: Final = {"entry", "index", "leaf"}
_FOOTER: Final = {"checkpoint", "marks", "rows"}


def verify_export(
    source: Path | Iterable[bytes],
    vkey: str,
    previous: str | None = None,
    *,
    witnesses: Sequence[str] = (),
) -> Report:
    """Verify an export against a verifier key.

    Args:
        source: The file, or its lines with their newlines.
        vkey: Verifier key of the log, from another way than the file.
        previous: An earlier checkpoint (signed note) that the log must begin with.
        witnesses: Verifier keys of those who must have cosigned a checkpoint of it.

    Raises:
        TrailBrokenError: The export is not what was signed; the message names
            the line, and the first entry that cannot be trusted.
        InvalidInputError: What should be a verifier key is none.
        OSError: The file cannot be read.
    """
    run = _Run(Verifier.parse(vkey), previous, Witnessed(witnesses))
    if isinstance(source, Path):
        with source.open("rb") as lines:
            return run.verify(iter(lambda: lines.readline(_MAX_LINE_BYTES), b""))
    return run.verify(source)


def checkpoint_in(path: Path) -> str:
    """Return the checkpoint (signed note) in a file that holds it, or an export.

    Raises:
        InvalidInputError: The file is neither.
        OSError: The file cannot be read.
    """
    with path.open("rb") as lines:
        first = lines.readline(_MAX_LINE_BYTES)
        rest = b"" if first.startswith(b"{") else lines.read(_MAX_LINE_BYTES)
    try:
        if not first.startswith(b"{"):
            note = (first + rest).decode()
        else:
            note = str(canonical.parse(first.removesuffix(b"\n")).get("checkpoint"))
        Checkpoint.unverified(note)
    except (InvalidInputError, TrailBrokenError, UnicodeDecodeError):
        raise InvalidInputError("neither a checkpoint nor an export") from None
    return note


class _Run:
    """One verification, fed line by line."""

    def __init__(
        self, verifier: Verifier, previous: str | None, witnessed: Witnessed
    ) -> None:
        self._verifier, self._witnessed = verifier, witnessed
        self._previous_note = previous
        self._previous: Checkpoint | None = None
        self._header: JsonObject = {}
        self._note = ""
        self._signed = Checkpoint(origin="", size=0, root=b"")
        self._query, self._whole = EVERYTHING, True
        self._edge = tree.Edge()
        self._line = 0
        self._rows = 0
        self._marks = 0
        self._proved = 0
        "Entries that stand under a mark that was signed."
        self._last_index = -1
        self._times = ["", ""]
        self._previous_is_proved = False
        self._continues: Checkpoint | None = None
        self._ended = False

    def verify(self, lines: Iterable[bytes]) -> Report:
        for line in lines:
            self.feed(line)
        return self.finish()

    def feed(self, line: bytes) -> None:
        """Take the next line."""
        self._line += 1
        if self._ended:
            self._fail("something follows the footer")
        if not line.endswith(b"\n"):
            self._fail("the line is cut short")
        try:
            members = canonical.parse(line[:-1])
        except InvalidInputError:
            self._fail("the line is not canonical JSON")
        if not self._header:
            self._take_header(members)
        elif "index" in members:
            self._take_entry(members, line)
        elif "mark" in members:
            self._take_mark(members)
        else:
            self._take_footer(members)

    def finish(self) -> Report:
        """Return what was proved, when no line is left."""
        if not self._ended:
            self._line += 1
            self._fail("the export ends before its footer")
        with self._blaming("the word of witnesses", entry=0):
            witnessed = self._witnessed.require_all()
        return Report(
            origin=self._signed.origin,
            size=self._signed.size,
            root=self._signed.root,
            rows=self._rows,
            whole=self._whole,
            query=self._query.members(),
            marks=self._marks,
            first_time=self._times[0],
            last_time=self._times[1],
            previous_size=None if self._previous is None else self._previous.size,
            continues=self._continues,
            checkpoint=self._note,
            witnessed=witnessed,
        )

    def _take_header(self, members: JsonObject) -> None:
        self._require_members(members, _HEADER)
        kind, version = members["callvault"], members["v"]
        # A log as a whole reads the same in version 1; queries had other members.
        readable = (VERSION, _OLDER) if members["query"] == {} else (VERSION,)
        if kind != KIND or version not in readable or isinstance(version, bool):
            self._fail("not an audit export of version 2, or of a whole log in 1")
        # 1. Signed by the key, and of this log.
        self._note = self._text(members["checkpoint"])
        self._signed = self._opened(self._note, "the checkpoint")
        if (members["origin"], members["size"]) != (
            self._signed.origin,
            self._signed.size,
        ) or isinstance(members["size"], bool):
            self._fail("the header contradicts its checkpoint")
        query = members["query"]
        with self._blaming("the query"):
            self._query = TrailQuery.parse(
                query if isinstance(query, dict) else {"": 0}
            )
        self._whole = self._query == EVERYTHING
        self._header = members
        if self._previous_note is not None:
            self._previous = self._opened(
                self._previous_note, "the earlier checkpoint", self._signed.origin
            )
            # A predecessor's may be larger: the successor's first entry tells.
            same = self._previous.origin == self._signed.origin or not self._whole
            if self._previous.size > self._signed.size and same:
                self._fail(
                    f"the log has {self._signed.size} entries, and the earlier "
                    f"checkpoint stands for {self._previous.size}",
                    entry=self._signed.size,
                )
        self._compare_with_previous()

    def _take_entry(self, members: JsonObject, line: bytes) -> None:
        # 2. In its place, and its octets give its leaf hash.
        index = self._in_place(members)
        if "octets" in members:
            self._fail("the entry is not canonical JSON")
        self._require_members(members, _ENTRY if self._whole else {*_ENTRY, "proof"})
        entry = members["entry"]
        if not isinstance(entry, dict):
            self._fail("the entry is not an object")
        # A canonical line holds the entry in its canonical octets, members in
        # order: no need to spell it a second time, which is half of the work.
        octets = line[len(b'{"entry":') : line.rindex(b',"index":')]
        leaf = tree.leaf_hash(octets)
        if self._hash(members["leaf"]) != leaf:
            self._fail("the entry is not the one that was logged")
        if self._whole:
            self._edge.append(leaf)
        else:
            self._prove(index, leaf, members["proof"], entry)
        self._rows += 1
        self._last_index = index
        time = str(entry.get("time", ""))
        self._times = [self._times[0] or time, time]
        # 4. The tree as an earlier checkpoint knew it.
        if self._previous is not None:
            lost = lineage.loss_after(entry, index, self._previous)
            if lost:
                self._fail(lost, entry=index)
        self._compare_with_previous()

    def _in_place(self, members: JsonObject) -> int:
        index = members["index"]
        if not isinstance(index, int) or isinstance(index, bool):
            self._fail("the index is not a number")
        if index >= self._signed.size:
            self._fail(f"entry {index} stands here, and was never signed")
        if not self._whole:
            if index <= self._last_index:
                self._fail(f"entry {index} stands here, out of order")
        elif index != self._rows:
            self._fail(f"entry {index} stands here")
        return index

    def _prove(
        self, index: int, leaf: bytes, proof: JsonValue, entry: JsonObject
    ) -> None:
        path = self._hashes(proof)
        with self._blaming("the proof", entry=index):
            tree.verify_inclusion(
                leaf,
                index=index,
                size=self._signed.size,
                proof=path,
                root=self._signed.root,
            )
        if not self._query.selects(entry):
            self._fail("the entry is not one that the query selects", entry=index)

    def _take_mark(self, members: JsonObject) -> None:
        # 3. The tree so far is the one that was signed here.
        self._require_members(members, {"mark"})
        mark = self._opened(
            self._text(members["mark"]), "the mark", self._signed.origin
        )
        misplaced = mark.size != self._edge.size or mark.size <= self._proved
        if not self._whole or misplaced:
            what = f"a mark of {mark.size} entries stands here"
            self._fail(what, entry=self._proved)
        self._compare_with(mark.root)
        self._proved = mark.size
        self._marks += 1

    def _take_footer(self, members: JsonObject) -> None:
        extra = {"consistency", "witnessed"} & set(members)
        # From version 2 on the version stands here, too: else it would be the one
        # octet of a whole log that could be changed.
        version = set() if self._header["v"] == _OLDER else {"v"}
        self._require_members(members, _FOOTER | version | extra)
        if members.get("v", _OLDER) != self._header["v"]:
            self._fail("the footer is of another version than the header")
        # 5. The whole tree; proofs did the same for selected rows.
        if self._whole:
            if self._edge.size != self._signed.size:
                self._fail(f"{self._signed.size} entries were signed")
            self._compare_with(self._signed.root)
        # 6. Everything is counted.
        counted = (self._note, self._marks, self._rows, self._rows)
        named = ("checkpoint", "marks", "rows")
        given = (*(members[name] for name in named), self._header["rows"])
        if given != counted or any(isinstance(value, bool) for value in given):
            self._fail("the footer contradicts what stands above it")
        if "witnessed" in extra:
            self._take_consistency(members["witnessed"])
        if "consistency" in extra:
            self._continues = self._take_consistency(members["consistency"])
        if self._previous is not None and not self._previous_is_proved:
            self._fail(
                "nothing here proves that the log began as the earlier checkpoint "
                "says: export the whole log, or name that checkpoint"
            )
        self._ended = True

    def _take_consistency(self, value: JsonValue) -> Checkpoint:
        if not isinstance(value, dict):
            self._fail("the consistency proof is not an object")
        self._require_members(value, {"previous", "proof"})
        old = self._opened(
            self._text(value["previous"]), "the earlier checkpoint", self._signed.origin
        )
        proof = self._hashes(value["proof"])
        if old.size == 0:
            if proof or old.root != tree.EMPTY_ROOT:
                self._fail("the consistency proof is not of an empty log")
        else:
            with self._blaming("the consistency proof"):
                tree.verify_consistency(
                    old_size=old.size,
                    new_size=self._signed.size,
                    old_root=old.root,
                    new_root=self._signed.root,
                    proof=proof,
                )
        if self._previous == old:
            self._previous_is_proved = True
        return old

    def _compare_with(self, root: bytes) -> None:
        if self._edge.root() == root:
            return
        span = f"entries {self._proved} to {self._edge.size - 1}"
        self._fail(f"{span} are not those that were signed", entry=self._proved)

    def _compare_with_previous(self) -> None:
        previous = self._previous
        if previous is None:
            return
        empty = previous.size == 0
        if not empty and (not self._whole or self._edge.size != previous.size):
            return
        if (tree.EMPTY_ROOT if empty else self._edge.root()) != previous.root:
            self._fail(
                f"the log does not begin with the {previous.size} entries of the "
                "earlier checkpoint",
                entry=self._proved,
            )
        self._previous_is_proved = True

    def _opened(self, note: str, what: str, origin: str | None = None) -> Checkpoint:
        with self._blaming(what):
            self._witnessed.take(note)
            if origin is None:
                return self._verifier.open_checkpoint(note)
            # Of this log, or of one that it succeeded: signed by the same key.
            return lineage.open_checkpoint(self._verifier, note, origin=origin)

    def _require_members(self, members: JsonObject, wanted: set[str]) -> None:
        if set(members) != wanted:
            self._fail("the line has other members than it should")

    def _text(self, value: JsonValue) -> str:
        if not isinstance(value, str):
            self._fail("the checkpoint is not text")
        return value

    def _hashes(self, value: JsonValue) -> list[bytes]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            self._fail("the proof is not a list")
        return [self._hash(one) for one in value]

    def _hash(self, value: JsonValue) -> bytes:
        try:
            digest = base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if base64.b64encode(digest).decode() != value or len(digest) != tree.HASH_SIZE:
            self._fail("a hash is not spelled as one")
        return digest

    @contextmanager
    def _blaming(self, what: str, entry: int | None = None) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, InvalidInputError) as exc:
            self._fail(f"{what} does not hold: {exc}", entry=entry)

    def _fail(self, what: str, *, entry: int | None = None) -> NoReturn:
        first = self._next_index() if entry is None else entry
        raise TrailBrokenError(f"line {self._line}, entry {first}: {what}")

    def _next_index(self) -> int:
        return self._rows if self._whole else self._last_index + 1
