import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from sqlalchemy import text

from tests.simulators.trail import ORIGIN, Trail, asking, entry, lines_of, signer
from tests.simulators.verifiers import VERIFIED, Script, callvault
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.query import TrailQuery
from vault.audit.verify import checkpoint_in, verify_export
from vault.core.errors import InvalidInputError, TrailBrokenError
from vault.database.engine import open_engine

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
script = Script()


def verdict(octets: bytes, trail: Trail, previous: str | None = None) -> str:
    """Ask both verifiers, which must agree."""
    ours = callvault(octets, trail.vkey, previous)

    assert ours == script(octets, trail.vkey, previous)
    return ours


def edited(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    members = json.loads(line)
    change(members)
    return rfc8785.dumps(members) + b"\n"


def forged(line: bytes) -> bytes:
    """Change who did it, and make entry and leaf agree again."""

    def change(members: dict[str, Any]) -> None:
        members["entry"]["actor"] = "user:nobody"
        leaf = tree.leaf_hash(rfc8785.dumps(members["entry"]))
        members["leaf"] = base64.b64encode(leaf).decode()

    return edited(line, change)


@pytest.fixture
def lines(trail: Trail) -> list[bytes]:
    """Entries 0 to 9; 0 to 5 by commits of one, 6 to 9 by one commit.

    Lines: header, then entry and mark by turns to entry 5, then entries 6 to 9,
    then the footer.
    """
    trail.grow(5)
    trail.grow(4, batch=4)
    return trail.export().splitlines(keepends=True)


def entry_line(index: int) -> int:
    return 1 + 2 * min(index, 6) + max(0, index - 6)


class TestSoundExports:
    def test_a_whole_log_is_verified(self, trail: Trail, lines: list[bytes]) -> None:
        report = verify_export(lines, trail.vkey)

        assert VERIFIED == verdict(b"".join(lines), trail)
        assert (ORIGIN, 10, 10, True) == (
            report.origin,
            report.size,
            report.rows,
            report.whole,
        )
        assert (trail.reader.head().root, trail.reader.checkpoint()) == (
            report.root,
            report.checkpoint,
        )
        assert report.first_time < report.last_time

    def test_a_file_is_verified_like_its_lines(
        self, trail: Trail, lines: list[bytes], tmp_path: Path
    ) -> None:
        (tmp_path / "export").write_bytes(b"".join(lines))

        assert verify_export(lines, trail.vkey) == verify_export(
            tmp_path / "export", trail.vkey
        )

    def test_a_log_of_one_entry_is_verified(self, trail: Trail) -> None:
        assert VERIFIED == verdict(trail.export(), trail)

    @pytest.mark.parametrize(
        "query",
        [
            asking(actor="user:u1"),
            asking(action="recording.played", since="2026-11-23T06:16:15"),
            asking(object="recording:recording-2", until="2026-11-24", result="ok"),
            asking(actor="user:nobody"),
        ],
    )
    def test_a_selection_is_verified(
        self, trail: Trail, lines: list[bytes], query: TrailQuery
    ) -> None:
        assert VERIFIED == verdict(trail.export(query=query), trail)

    def test_an_entry_of_64_kib_and_foreign_letters_is_verified(
        self, trail: Trail
    ) -> None:
        members = json.loads(entry(1)) | {"reason": "\u00fc\U0001f4de\u2028" * 7000}
        trail.log.append([rfc8785.dumps(members)])

        assert VERIFIED == verdict(trail.export(), trail)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 10])
    def test_the_log_began_as_every_earlier_checkpoint_says(
        self, trail: Trail, lines: list[bytes], size: int
    ) -> None:
        previous = trail.reader.checkpoint(size)

        assert VERIFIED == verdict(b"".join(lines), trail, previous)
        assert VERIFIED == verdict(trail.export(previous=previous), trail, previous)
        assert VERIFIED == verdict(trail.export(previous=previous), trail)

    def test_an_earlier_checkpoint_of_nothing_proves_nothing_and_is_fine(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        nothing = Checkpoint(origin=ORIGIN, size=0, root=tree.EMPTY_ROOT)
        previous = signer().sign_checkpoint(nothing)

        assert VERIFIED == verdict(b"".join(lines), trail, previous)

    def test_a_selection_proves_an_earlier_checkpoint_that_it_was_asked_for(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        previous = trail.reader.checkpoint(4)
        query = asking(actor="user:u1")

        assert VERIFIED == verdict(
            trail.export(query=query, previous=previous), trail, previous
        )
        assert "entry 8" == verdict(trail.export(query=query), trail, previous)


class TestTampering:
    @pytest.mark.parametrize("index", range(10))
    def test_an_edited_entry_is_named(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        at = entry_line(index)
        lines[at] = edited(
            lines[at], lambda members: members["entry"].update(result="failed")
        )

        assert f"entry {index}" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", range(6))
    def test_a_forged_entry_is_named_even_where_its_leaf_agrees(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        lines[entry_line(index)] = forged(lines[entry_line(index)])

        assert f"entry {index}" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", [6, 7, 9])
    def test_a_forged_entry_within_a_commit_is_named_by_the_commits_first(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        lines[entry_line(index)] = forged(lines[entry_line(index)])

        assert "entry 6" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", range(10))
    def test_a_deleted_entry_is_named(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        del lines[entry_line(index)]

        assert f"entry {index}" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", range(9))
    def test_two_swapped_entries_are_named(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        one, two = entry_line(index), entry_line(index + 1)
        lines[one], lines[two] = lines[two], lines[one]

        assert f"entry {index}" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", range(9))
    def test_two_entries_that_swapped_everything_but_their_places_are_named(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        one, two = entry_line(index), entry_line(index + 1)
        here, there = json.loads(lines[one]), json.loads(lines[two])
        here["index"], there["index"] = there["index"], here["index"]
        lines[one] = rfc8785.dumps(there) + b"\n"
        lines[two] = rfc8785.dumps(here) + b"\n"

        assert f"entry {min(index, 6)}" == verdict(b"".join(lines), trail)

    @pytest.mark.parametrize("index", range(10))
    def test_a_doubled_entry_is_named(
        self, trail: Trail, lines: list[bytes], index: int
    ) -> None:
        lines.insert(entry_line(index), lines[entry_line(index)])

        assert f"entry {index + 1}" == verdict(b"".join(lines), trail)

    def test_an_entry_inserted_with_all_behind_it_renumbered_is_named(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        out: list[bytes] = []
        for line in lines:
            members = json.loads(line)
            if members.get("index") == 3:
                out.append(line)
            if members.get("index", 0) >= 3:
                members["index"] += 1
            out.append(rfc8785.dumps(members) + b"\n")

        assert "entry 3" == verdict(b"".join(out), trail)

    @pytest.mark.parametrize("kept", range(24))
    def test_an_export_that_lost_its_tail_is_named_where_it_ends(
        self, trail: Trail, lines: list[bytes], kept: int
    ) -> None:
        kept = min(kept, len(lines) - 1)
        entries = sum(line.startswith(b'{"entry"') for line in lines[:kept])

        assert f"entry {entries}" == verdict(b"".join(lines[:kept]), trail)

    def test_a_tail_cut_with_a_footer_that_agrees_is_named(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        header = edited(lines[0], lambda members: members.update(rows=9))
        footer = edited(lines[-1], lambda members: members.update(rows=9))
        cut = [header, *lines[1:-2], footer]

        assert "entry 9" == verdict(b"".join(cut), trail)

    def test_an_older_header_on_a_longer_log_is_refused(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        old = trail.reader.checkpoint(4)
        lines[0] = edited(
            lines[0], lambda members: members.update(checkpoint=old, size=4)
        )

        assert "entry 4" == verdict(b"".join(lines), trail)

    def test_every_line_matters(self, trail: Trail, lines: list[bytes]) -> None:
        for at in range(len(lines)):
            without = b"".join(lines[:at] + lines[at + 1 :])
            doubled = b"".join(lines[: at + 1] + lines[at:])

            assert VERIFIED != verdict(without, trail)
            assert VERIFIED != verdict(doubled, trail)

    def test_an_octet_changed_anywhere_is_noticed_in_its_line(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        export = b"".join(lines)
        for position in range(0, len(export), 3):
            changed = bytearray(export)
            changed[position] ^= 1 + position % 7

            assert VERIFIED != verdict(bytes(changed), trail)

    def test_an_octet_removed_or_added_anywhere_is_noticed(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        export = b"".join(lines)
        for position in range(0, len(export), 11):
            head, tail = export[:position], export[position:]

            assert VERIFIED != verdict(head + tail[1:], trail)
            assert VERIFIED != verdict(head + b" " + tail, trail)

    def test_what_a_pretty_printer_made_of_it_is_refused(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        pretty = b"".join(
            json.dumps(json.loads(line)).encode() + b"\n" for line in lines
        )
        windows = b"".join(line[:-1] + b"\r\n" for line in lines)

        assert ["entry 0"] * 2 == [
            verdict(octets, trail) for octets in (pretty, windows)
        ]

    @pytest.mark.parametrize(
        "octets",
        [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\n", b"[" * 100_000 + b"\n"],
    )
    def test_what_is_no_export_is_refused(self, trail: Trail, octets: bytes) -> None:
        assert "entry 0" == verdict(octets, trail)

    def test_something_behind_the_footer_is_refused(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        assert "entry 10" == verdict(b"".join([*lines, b"\n"]), trail)

    @pytest.mark.parametrize(
        ("at", "members"),
        [
            (0, {"v": True}),
            (0, {"v": 3}),
            (0, {"size": True}),
            (0, {"rows": 11}),
            (0, {"origin": "else"}),
            (0, {"query": {"actor": ["user:u1"]}}),
            (0, {"query": {"actor": "user:u1"}}),
            (0, {"query": []}),
            (0, {"query": {"who": "x"}}),
            (0, {"extra": 1}),
            (0, {"checkpoint": None}),
            (1, {"index": False}),
            (1, {"index": "0"}),
            (1, {"index": -1}),
            (1, {"proof": []}),
            (1, {"entry": []}),
            (1, {"leaf": 0}),
            (2, {"mark": 1}),
            (2, {"extra": 1}),
            (-1, {"marks": 5}),
            (-1, {"rows": 9}),
            (-1, {"marks": True}),
            (-1, {"consistency": 1}),
            (-1, {"consistency": {}}),
        ],
    )
    def test_a_member_of_another_value_or_name_is_refused(
        self, trail: Trail, lines: list[bytes], at: int, members: dict[str, object]
    ) -> None:
        lines[at] = edited(lines[at], lambda had: had.update(members))

        assert VERIFIED != verdict(b"".join(lines), trail)


class TestTamperedSelections:
    QUERY = asking(actor="user:u1")

    @pytest.fixture
    def rows(self, trail: Trail, lines: list[bytes]) -> list[bytes]:
        """Header, entries 1, 4 and 7, footer."""
        return trail.export(query=self.QUERY).splitlines(keepends=True)

    @pytest.mark.parametrize(("at", "index"), [(1, 1), (2, 4), (3, 7)])
    def test_a_forged_row_is_named(
        self, trail: Trail, rows: list[bytes], at: int, index: int
    ) -> None:
        rows[at] = forged(rows[at])

        assert f"entry {index}" == verdict(b"".join(rows), trail)

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
    def test_a_proof_of_another_length_is_refused(
        self, trail: Trail, rows: list[bytes], count: int
    ) -> None:
        def change(members: dict[str, Any]) -> None:
            members["proof"] = (members["proof"] * 2)[:count]

        rows[2] = edited(rows[2], change)

        assert "entry 4" == verdict(b"".join(rows), trail)

    def test_a_row_that_was_not_asked_for_is_named(
        self, trail: Trail, rows: list[bytes]
    ) -> None:
        other = trail.export(query=asking(actor="user:u2")).splitlines(True)
        rows[2] = other[2]

        assert "entry 5" == verdict(b"".join(rows), trail)

    def test_another_query_over_the_same_rows_is_refused(
        self, trail: Trail, rows: list[bytes]
    ) -> None:
        rows[0] = edited(
            rows[0], lambda members: members["query"].update(actor=["user:u2"])
        )

        assert "entry 1" == verdict(b"".join(rows), trail)

    def test_rows_out_of_order_are_refused(
        self, trail: Trail, rows: list[bytes]
    ) -> None:
        rows[1], rows[2] = rows[2], rows[1]

        assert "entry 5" == verdict(b"".join(rows), trail)

    def test_every_octet_of_a_selection_matters(
        self, trail: Trail, rows: list[bytes]
    ) -> None:
        export = b"".join(rows)
        for position in range(0, len(export), 5):
            changed = bytearray(export)
            changed[position] ^= 1

            assert VERIFIED != verdict(bytes(changed), trail)


class TestForks:
    def fork(self, folder: Path, count: int, **settings: bytes) -> Trail:
        folder.mkdir()
        engine = open_engine(f"sqlite:///{folder}", schema="audit")
        fork = Trail(engine=engine, folder=folder, **settings)
        fork.grow(count)
        fork.log.close()
        engine.dispose()
        return fork

    @pytest.mark.parametrize("count", [3, 9, 12])
    def test_a_log_rewritten_and_signed_again_contradicts_an_old_checkpoint(
        self, trail: Trail, lines: list[bytes], tmp_path: Path, count: int
    ) -> None:
        """
        Whoever owns the database *and* the key can make a log that verifies by
        itself.  One old checkpoint in an officer's drawer gives it away.
        """
        fork = self.fork(tmp_path / "fork", count)

        assert VERIFIED == verdict(fork.export(), trail)
        for size in (1, 4, 10):
            previous = trail.reader.checkpoint(size)

            assert VERIFIED != verdict(fork.export(), trail, previous)

    def test_a_log_signed_by_another_key_is_refused(
        self, trail: Trail, lines: list[bytes], tmp_path: Path
    ) -> None:
        fork = self.fork(tmp_path / "fork", 9, seed=bytes(32))

        assert "entry 0" == verdict(fork.export(), trail)
        assert VERIFIED == verdict(fork.export(), fork)
        assert "entry 0" == verdict(fork.export(), fork, trail.reader.checkpoint(4))

    def test_an_earlier_checkpoint_of_another_log_is_refused(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        other = Checkpoint(origin="else", size=1, root=bytes(32))
        previous = signer().sign_checkpoint(other)

        assert "entry 0" == verdict(b"".join(lines), trail, previous)

    def test_a_consistency_proof_to_another_tree_is_refused(
        self, trail: Trail, lines: list[bytes], tmp_path: Path
    ) -> None:
        fork = self.fork(tmp_path / "fork", 9)
        foreign = fork.reader.checkpoint(4)
        proof = trail.reader.consistency_proof(4, trail.log.size)
        spelled = [base64.b64encode(one).decode() for one in proof]
        export = list(lines_of(trail.export(query=asking(actor="user:u1"))))
        export[-1] = edited(
            export[-1],
            lambda members: members.update(
                consistency={"previous": foreign, "proof": spelled}
            ),
        )

        assert VERIFIED != verdict(b"".join(export), trail)
        assert VERIFIED != verdict(b"".join(export), trail, foreign)

    def test_the_exporter_gives_out_no_such_proof(
        self, trail: Trail, lines: list[bytes], tmp_path: Path
    ) -> None:
        foreign = self.fork(tmp_path / "fork", 9).reader.checkpoint(4)

        with pytest.raises(TrailBrokenError, match="--no-previous"):
            trail.export(previous=foreign)


class TestVersions:
    def test_a_whole_log_of_version_1_is_still_verified(self, trail: Trail) -> None:
        trail.grow(5)
        header, *rest, footer = lines_of(trail.export())
        older = edited(header, lambda members: members.update(v=1))
        last = edited(footer, lambda members: members.pop("v"))

        assert VERIFIED == verdict(b"".join([older, *rest, last]), trail)
        assert VERIFIED != verdict(b"".join([older, *rest, footer]), trail)
        assert VERIFIED != verdict(b"".join([header, *rest, last]), trail)

    def test_a_selection_of_version_1_is_refused(self, trail: Trail) -> None:
        trail.grow(5)
        header, *rest = lines_of(trail.export(query=asking(actor="user:u1")))
        older = edited(header, lambda members: members.update(v=1))

        assert "entry 0" == verdict(b"".join([older, *rest]), trail)


# What a query may say, with what both verifiers must make of it.
QUERIES = (
    {"actor": ["user:u1"]},
    {"-actor": ["user:u1"]},
    {"action": ["recording.*"]},
    {"-action": ["recording.*"]},
    {"action": ["audit.log.created", "recording.played"]},
    {"object": ["recording:recording-1"]},
    {"-object": ["recording:recording-1", "recording:recording-2"]},
    {"about": ["user:u0"], "result": ["ok"]},
    {"-about": ["recording:recording-3", "user:u0"]},
    {"-result": ["ok"]},
    {"since": "2026-11-23T06:16:11", "until": "2026-11-23T06:16:14"},
)
NO_QUERIES = (
    {"actor": []},
    {"actor": ["user:u2", "user:u1"]},
    {"actor": ["user:u1", "user:u1"]},
    {"actor": ["user:u1", 1]},
    {"actor": ["user u1"]},
    {"action": ["recording*"]},
    {"--actor": ["user:u1"]},
    {"recording": ["recording-1"]},
    {"since": ""},
    {"since": "2026-11-23T06:16:11Z"},
    {"until": "yesterday"},
    {"actor": [f"user:{number:03}" for number in range(65)]},
)


class TestQueries:
    @pytest.mark.parametrize("query", QUERIES, ids=str)
    def test_both_select_the_same_rows(
        self, trail: Trail, query: dict[str, Any]
    ) -> None:
        trail.grow(8)
        export = trail.export(query=TrailQuery.parse(query))

        assert VERIFIED == verdict(export, trail)

    @pytest.mark.parametrize("query", NO_QUERIES, ids=lambda query: str(query)[:40])
    def test_what_is_no_query_is_refused(
        self, trail: Trail, query: dict[str, Any]
    ) -> None:
        header, *rest = lines_of(trail.export(query=asking(actor="user:u1")))
        changed = edited(header, lambda members: members.update(query=query))

        assert "entry 0" == verdict(b"".join([changed, *rest]), trail)


class TestEarlierCheckpointFiles:
    def test_a_note_and_an_export_both_hold_one(
        self, trail: Trail, lines: list[bytes], tmp_path: Path
    ) -> None:
        note = trail.reader.checkpoint()
        (tmp_path / "note").write_text(note)
        (tmp_path / "export").write_bytes(b"".join(lines))
        found = [checkpoint_in(tmp_path / name) for name in ("note", "export")]

        assert [note, note] == found
        assert found == [
            script.module.earlier_checkpoint(tmp_path / name)
            for name in ("note", "export")
        ]

    @pytest.mark.parametrize(
        "octets", [b"", b"{}\n", b'{"checkpoint":1}\n', b"a\nb\nc\n\n", b"\xff"]
    )
    def test_another_file_is_refused(self, tmp_path: Path, octets: bytes) -> None:
        (tmp_path / "file").write_bytes(octets)
        with pytest.raises(InvalidInputError):
            checkpoint_in(tmp_path / "file")
        with pytest.raises(script.module.Usage):
            script.module.earlier_checkpoint(tmp_path / "file")

    def test_a_mistyped_key_is_not_the_exports_fault(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        for vkey in ("", "x", trail.vkey[:-1], trail.vkey.replace("+", "-", 1)):
            with pytest.raises(InvalidInputError):
                verify_export(lines, vkey)
            with pytest.raises(script.module.Usage):
                script.module.Key(vkey, script.check)


class TestTamperedDatabases:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (
                (
                    "UPDATE log_entry SET octets = "
                    "CAST(replace(octets, 'user:u2', 'user:u1') AS BLOB) WHERE position = 2"
                ),
                "entry 2",
            ),
            ("UPDATE log_entry SET octets = 'text' WHERE position = 2", "entry 2"),
            ("UPDATE log_entry SET octets = 7 WHERE position = 2", "entry 2"),
            ("UPDATE log_node SET hash = 7 WHERE level = 0", "entry 0"),
            ("DELETE FROM log_entry WHERE position = 0", "entry 0"),
            ("DELETE FROM log_entry WHERE position = 4", "entry 4"),
            ("DELETE FROM log_entry WHERE position = 9", "entry 9"),
            ("DELETE FROM log_entry WHERE position > 6", "entry 7"),
            ("UPDATE log_entry SET octets = x'00' WHERE position = 3", "entry 3"),
            (
                (
                    "UPDATE log_entry SET octets = (SELECT octets FROM log_entry "
                    "WHERE position = 7) WHERE position = 3"
                ),
                "entry 3",
            ),
            ("UPDATE log_entry SET position = 55 WHERE position = 5", "entry 5"),
            ("UPDATE log_node SET hash = zeroblob(32) WHERE level = 0", "entry 0"),
            ("DELETE FROM log_node WHERE level = 0 AND position = 8", "entry 8"),
            ("DELETE FROM log_checkpoint WHERE size < 10", "verified"),
            ("UPDATE log_entry SET actor = 'user:u9'", "verified"),
        ],
    )
    def test_the_export_of_an_edited_database_names_the_first_bad_entry(
        self, trail: Trail, lines: list[bytes], change: str, expected: str
    ) -> None:
        with trail.engine.begin() as connection:
            for table in ("log_entry", "log_node", "log_checkpoint"):
                for verb in ("update", "delete", "insert"):
                    connection.execute(text(f"DROP TRIGGER {table}_no_{verb}"))
            connection.execute(text(change))

        assert expected == verdict(trail.export(), trail)


class TestOwnEd25519:
    GROUPS = json.loads((VECTORS / "wycheproof_ed25519_test.json").read_text())

    def test_the_code_in_the_script_judges_signatures_as_wycheproof_does(self) -> None:
        wrong = []
        judged = 0
        for group in self.GROUPS["testGroups"]:
            key = bytes.fromhex(group["publicKey"]["pk"])
            for case in group["tests"]:
                judged += 1
                signature = bytes.fromhex(case["sig"])
                message = bytes.fromhex(case["msg"])
                valid = script.module.own_ed25519(key, signature, message)
                if valid != (case["result"] == "valid"):
                    wrong.append(case["tcId"])

        assert ([], True) == (wrong, judged > 100)

    def test_an_export_is_verified_and_refused_without_a_library(
        self, trail: Trail, lines: list[bytes]
    ) -> None:
        own = Script(own_ed25519=True)
        note = bytearray(b"".join(lines))
        note[note.index(b"\xe2\x80\x94") + 40] ^= 1

        assert VERIFIED == own(b"".join(lines), trail.vkey)
        assert "entry 0" == own(bytes(note), trail.vkey)


def test_both_verifiers_raise_nothing_but_their_own_errors(
    trail: Trail, lines: list[bytes]
) -> None:
    """Deep nesting, huge numbers and lone surrogates are refused, not crashed on."""
    hostile = [
        b'{"entry":'
        + b'{"a":' * 5000
        + b"1"
        + b"}" * 5000
        + b',"index":0,"leaf":""}\n',
        b'{"entry":{"a":1e999},"index":0,"leaf":""}\n',
        b'{"entry":{"a":"\\ud800"},"index":0,"leaf":""}\n',
        b'{"entry":{},"index":' + b"9" * 5000 + b',"leaf":""}\n',
        b'{"mark":"' + b"a" * 200_000 + b'"}\n',
        b'{"mark":"' + b"a" * 300_000 + b'"}\n',
        b'{"checkpoint":"","marks":' + b"9" * 5000 + b',"rows":0}\n',
    ]
    for line in hostile:
        assert "entry 0" == verdict(lines[0] + line, trail)
        with pytest.raises(TrailBrokenError):
            verify_export([line], trail.vkey)
