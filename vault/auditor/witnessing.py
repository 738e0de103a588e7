"""Asking witnesses to cosign the newest checkpoint, and listening to what they say.

One round, for all witnesses at a time:

    1. The newest checkpoint is read; the log's own key has signed it.
    2. Each witness gets it, with the proof from the size that it knows.  The first
       time nobody knows that size: the witness answers 409 and says it.
    3. A cosignature counts if it is that witness's, and of this very checkpoint.
    4. With a quorum of them, the checkpoint is kept with all of them.

Guarantees:
    * A witness that saw more entries than there are, another tree of one size, or a
      tree that this one does not continue, raises `TrailBrokenError`: that is what
      witnesses are for.  What was said to whom is kept in a file.
    * One that is away, slow or not asked to follow this log stops none of the others.

Left to others: the thread (`vault.auditor.duties`), publishing what was cosigned.

Spec: https://c2sp.org/tlog-witness; docs/howto/run-a-witness.md
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.cosignature import with_lines
from vault.audit.source import TrailSource
from vault.audit.submission import Submission
from vault.auditor.anchors import opened
from vault.auditor.asking import Answer
from vault.auditor.cosigned import CosignedNote
from vault.auditor.places import WitnessPlace
from vault.core.canonical import JsonValue
from vault.core.errors import TrailBrokenError, UnavailableError, VaultError

_TRIES: Final = 3
_OK, _CONFLICT, _NOT_CONSISTENT = 200, 409, 422
_SAID: Final = {403: "does not accept the key of this log", 404: "does not follow it"}
_SIZE: Final = "text/x.tlog.size"
_SIZE_DIGITS: Final = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStanding:
    """What one witness has said last."""

    size: int = 0
    "Entries of the log that it cosigned last; 0: nothing that we know of."
    time_s: int = 0
    "When, by its clock."
    error: str = ""
    "Why the last round brought nothing; empty when it did."
    contradicted: bool = False
    "Whether that is an alarm, and not a delay."


class Posting(Protocol):
    """Speaks HTTP: `vault.auditor.asking.Asking`."""

    def post(self, url: str, body: bytes, *, media_type: str) -> Answer:
        """Post *body* to *url*; raises `VaultError` where nothing comes back."""
        ...


class Witnessing:
    """The duty; see `vault.auditor.duties.Duty`."""

    name = "witnessing"

    def __init__(
        self,
        *,
        trail: TrailSource,
        verifier: Verifier,
        witnesses: Sequence[WitnessPlace],
        quorum: int,
        asking: Posting,
        cosigned: CosignedNote,
        folder: Path,
        interval_s: float = 60.0,
    ) -> None:
        """Ask *witnesses*.

        Args:
            trail: The log.
            verifier: Its key.
            witnesses: At most 16.
            quorum: How many make a cosigned checkpoint.
            asking: Speaks HTTP.
            cosigned: Where the newest cosigned checkpoint is kept.
            folder: The auditor's own.
            interval_s: Seconds between rounds.
        """
        self.interval_s = interval_s
        self._trail = trail
        self._verifier = verifier
        self._witnesses = tuple(witnesses)
        self._quorum = quorum
        self._asking = asking
        self._folder = folder
        self._cosigned = cosigned
        self._standing = dict.fromkeys(self._witnesses, WitnessStanding())
        self._newest = (0, 0)
        "Size and time, s, of the newest checkpoint with a quorum."
        self._recall()

    def run(self) -> None:
        """Ask every witness once.

        Raises:
            TrailBrokenError: A witness saw another log.
            UnavailableError: Fewer than the quorum cosigned.
        """
        # 1. What is to be cosigned, and that the log itself says so.
        note = self._trail.checkpoint()
        said = opened(self._verifier, note)
        if said.origin != self._verifier.name:
            self._follow(said.origin)
        with ThreadPoolExecutor(len(self._witnesses), "witness") as pool:
            asked = {
                place: pool.submit(self._cosigned_by, place, note, said)
                for place in self._witnesses
            }
        lines = [line for line in map(self._outcome, asked.items()) if line]
        # 4. Enough of them.  What was reached is kept even when one contradicts, and
        #    a disk that takes nothing hides no contradiction.
        try:
            if len(lines) >= self._quorum:
                self._keep(with_lines(note, lines), said)
        finally:
            contradicted = [
                str(error)
                for error in (one.exception() for one in asked.values())
                if isinstance(error, TrailBrokenError)
            ]
            if contradicted:
                raise TrailBrokenError("; ".join(contradicted))
        if len(lines) < self._quorum:
            raise UnavailableError(
                f"{len(lines)} of {self._quorum} witnesses cosigned: {self._lagging()}"
            )

    def _follow(self, origin: str) -> None:
        """Go along with the successor of a log that a restore has cut (ADR 26).

        To a witness it is another log: what it knows of the one before is no size of
        this one.
        """
        self._verifier = Verifier(name=origin, public_key=self._verifier.public_key)
        self._standing = dict.fromkeys(self._witnesses, WitnessStanding())
        self._newest = (0, 0)

    def facts(self) -> Mapping[str, JsonValue]:
        """Return how old the newest cosigned checkpoint is, and who lags."""
        size, time_s = self._newest
        witnesses: dict[str, JsonValue] = {
            place.cosigner.name: {
                "error": standing.error,
                "size": standing.size,
                "time_s": standing.time_s,
            }
            for place, standing in self._standing.items()
        }
        lagging = self._lagging()
        return {
            "cosigned_size": size,
            "cosigned_time_s": time_s,
            "quorum": self._quorum,
            "warning": f"witnesses lag: {lagging}" if lagging else "",
            "witnesses": witnesses,
        }

    def _lagging(self) -> str:
        return ", ".join(
            f"{place.cosigner.name} {standing.error}"
            for place, standing in self._standing.items()
            if standing.error and not standing.contradicted
        )

    def _outcome(self, asked: tuple[WitnessPlace, Future[str]]) -> str:
        """Return the cosignature line of one witness; empty where there is none."""
        place, future = asked
        error = future.exception()
        if error is None:
            return future.result()
        if not isinstance(error, VaultError):
            raise error
        self._standing[place] = replace(
            self._standing[place],
            error=str(error),
            contradicted=isinstance(error, TrailBrokenError),
        )
        return ""

    def _cosigned_by(self, place: WitnessPlace, note: str, said: Checkpoint) -> str:
        # 2. With the proof from the size that it knows.
        known = self._standing[place].size
        for _ in range(_TRIES):
            if known > said.size:
                self._require_grown(place, known)
            proof: list[bytes] = []
            if 0 < known < said.size:
                proof = self._trail.consistency_proof(known, said.size)
            body = bytes(Submission(old_size=known, proof=tuple(proof), note=note))
            answer = self._asking.post(
                f"{place.url}/add-checkpoint",
                body,
                media_type="text/plain; charset=utf-8",
            )
            if answer.status == _OK:
                return self._counted(place, note, answer)
            if answer.status != _CONFLICT:
                raise self._refused(place, body, answer)
            size = _size_in(answer)
            if size == known == said.size:
                # It knows that size, and not this tree.
                raise self._contradiction(place, body, answer)
            known = size
        raise UnavailableError("does not settle on a size")

    def _counted(self, place: WitnessPlace, note: str, answer: Answer) -> str:
        # 3. Its own cosignature, of this very checkpoint; of other lines nobody knows
        # whose they are.
        cosigner, text = place.cosigner, _text_of(answer)
        try:
            ours = [
                f"{line}\n"
                for line in text.splitlines()
                if line.startswith(f"\u2014 {cosigner.name} ")
            ]
            cosigned = cosigner.open(with_lines(note, ours))
        except TrailBrokenError as error:
            # Not the log is broken: the witness is.
            raise UnavailableError(f"answers with no cosignature ({error})") from None
        self._standing[place] = WitnessStanding(
            size=cosigned.checkpoint.size, time_s=cosigned.time_s
        )
        return "".join(ours)

    def _require_grown(self, place: WitnessPlace, known: int) -> None:
        """Raise: the witness knows a larger log, or the log has just grown to it."""
        name, size = place.cosigner.name, self._trail.head().size
        if size < known:
            raise TrailBrokenError(
                f"the witness {name} has cosigned {known} entries, and the log has "
                f"{size}"
            )
        raise UnavailableError("knows a newer checkpoint already")

    def _refused(self, place: WitnessPlace, body: bytes, answer: Answer) -> VaultError:
        if answer.status == _NOT_CONSISTENT:
            return self._contradiction(place, body, answer)
        said = _SAID.get(answer.status, f"answers {answer.status}")
        return UnavailableError(said)

    def _contradiction(
        self, place: WitnessPlace, body: bytes, answer: Answer
    ) -> TrailBrokenError:
        name = place.cosigner.name
        path = self._folder / f"contradicted-{place.cosigner.key_id.hex()}.txt"
        kept = f"it is kept in {path.name}"
        try:
            path.write_bytes(
                body + f"\nanswer {answer.status}\n".encode() + answer.body
            )
        except OSError:
            kept = "the disk is full"
        return TrailBrokenError(
            f"the witness {name} has cosigned another log of this name ({kept})"
        )

    def _keep(self, note: str, said: Checkpoint) -> None:
        self._cosigned.write(note)
        times = sorted(
            (
                one.time_s
                for one in self._standing.values()
                if one.size == said.size and not one.error
            ),
            reverse=True,
        )
        self._newest = (said.size, times[self._quorum - 1])

    def _recall(self) -> None:
        """Begin where an earlier process ended."""
        try:
            note = self._cosigned.read()
        except UnavailableError:
            return
        times: list[int] = []
        for place in self._witnesses if note else ():
            try:
                found = place.cosigner.open(note or "")
            except TrailBrokenError:
                continue
            if found.checkpoint.origin == self._verifier.name:
                size, time_s = found.checkpoint.size, found.time_s
                self._standing[place] = WitnessStanding(size=size, time_s=time_s)
                times.append(time_s)
                if len(times) >= self._quorum:
                    oldest = sorted(times, reverse=True)[self._quorum - 1]
                    self._newest = (size, oldest)


def _size_in(answer: Answer) -> int:
    text = _text_of(answer)
    digits = text.removesuffix("\n")
    if (
        answer.media_type != _SIZE
        or not (digits.isascii() and digits.isdigit())
        or len(digits) > _SIZE_DIGITS
    ):
        raise UnavailableError("answers 409 without a size")
    return int(digits)


def _text_of(answer: Answer) -> str:
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise UnavailableError("does not answer in UTF-8") from None
