import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.simulators.trail import ORIGIN, Trail, asking
from tests.simulators.verifiers import VERIFIED, program_verdict
from vault.audit.bundle import Bundle, export_bundle
from vault.audit.bundle_report import MAX_SHOWN
from vault.audit.continuity import consistency
from vault.audit.extract import Extract, export_lines
from vault.audit.formats.registry import FORMATS
from vault.audit.kinds import KINDS, Order, export_trail
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.statement import statement_of
from vault.core.errors import ConflictError, InvalidInputError, TrailBrokenError

MADE = "2026-11-24T00:00:00.000000000Z"
HOSTILE = "<script>alert(1)</script>\"'&"


def extracted(
    trail: Trail, name: str = "csv", query: TrailQuery = EVERYTHING
) -> tuple[str, dict[str, object]]:
    out = io.BytesIO()
    extract = Extract(form=FORMATS[name], query=query, made=MADE)
    summary = export_lines(trail.reader, out, extract)
    said = statement_of(summary, format=name, made=MADE)

    assert hashlib.sha256(out.getvalue()).hexdigest() == said["sha256"]
    return out.getvalue().decode(), dict(said)


class TestExtracts:
    @pytest.mark.parametrize("name", FORMATS)
    def test_every_entry_and_a_last_record_are_there(
        self, trail: Trail, name: str
    ) -> None:
        trail.grow(5, batch=5)
        document, said = extracted(trail, name)
        lines = document.splitlines()

        assert 6 + 1 + (name == "csv") == len(lines)
        assert (6, 6, ORIGIN) == (said["rows"], said["size"], said["origin"])
        assert "audit.export.statement" in lines[-1]

    def test_a_selection_says_its_query(self, trail: Trail) -> None:
        trail.grow(9, batch=9)
        document, said = extracted(trail, query=asking(actor="user:u1"))
        rows = list(csv.DictReader(io.StringIO(document, newline="")))
        members = {"actor": ["user:u1"]}

        assert {"user:u1"} == {row["actor"] for row in rows[:-1]}
        assert members == json.loads(rows[-1]["detail"])["query"] == said["query"]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE log_entry SET octets = replace(octets, 'u1', 'u2')",
            "DELETE FROM log_entry WHERE position = 2",
            "UPDATE log_node SET hash = zeroblob(32) WHERE level = 0 AND position = 3",
        ],
    )
    def test_what_is_not_what_was_logged_ends_the_export(
        self, trail: Trail, change: str
    ) -> None:
        trail.grow(5, batch=5)
        with trail.engine.begin() as connection:
            for (name,) in connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.execute(text(change))

        with pytest.raises(TrailBrokenError):
            extracted(trail)

    def test_a_kind_that_is_none_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="bundle"):
            Order(kind="xml", made=MADE)

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_has_a_name_and_a_type(self, trail: Trail, kind: str) -> None:
        order = Order(kind=kind, made=MADE, vkey=trail.vkey)
        out = io.BytesIO()
        summary = export_trail(trail.reader, out, order)

        assert order.file_name.startswith("callvault-")
        assert "/" in order.media_type
        assert (1, None) == (summary.rows, summary.previous_size)


class TestContinuity:
    def test_a_log_of_another_name_is_refused_with_a_way_out(
        self, trail: Trail
    ) -> None:
        note = trail.reader.checkpoint()
        other = note.replace(ORIGIN, "another.example/audit")

        with pytest.raises(ConflictError, match="--previous"):
            consistency(trail.reader, note, other)

    def test_a_log_that_was_cut_is_refused_with_a_way_out(self, trail: Trail) -> None:
        trail.grow(3)
        note = trail.reader.checkpoint()
        later = note.replace(f"{ORIGIN}\n4\n", f"{ORIGIN}\n9\n", 1)

        with pytest.raises(TrailBrokenError, match="--no-previous"):
            consistency(trail.reader, note, later)

    def test_the_same_checkpoint_needs_no_proof(self, trail: Trail) -> None:
        note = trail.reader.checkpoint()

        assert {"previous": note, "proof": []} == consistency(trail.reader, note, note)


def bundled(trail: Trail, folder: Path, bundle: Bundle) -> Path:
    with (folder / "bundle.zip").open("wb") as out:
        export_bundle(trail.reader, out, bundle)
    with zipfile.ZipFile(folder / "bundle.zip") as archive:
        archive.extractall(folder)
    return folder / "callvault-trail"


class TestBundles:
    def test_its_own_verifier_and_digests_hold(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        trail.grow(8)
        earlier = trail.reader.checkpoint(4)
        bundle = Bundle(
            made=MADE,
            by="user:u1",
            vkey=trail.vkey,
            previous=earlier,
            query=asking(actor="user:u1"),
        )
        folder = bundled(trail, tmp_path, bundle)
        sums = (folder / "SHA256SUMS").read_text().splitlines()

        assert VERIFIED == program_verdict(
            folder / "entries.jsonl",
            trail.vkey,
            "--previous",
            str(folder / "checkpoint-earlier.txt"),
        )
        assert sums == [
            f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}"
            for name in (line.split("  ")[1] for line in sums)
        ]
        assert {*(line.split("  ")[1] for line in sums), "SHA256SUMS"} == {
            file.name for file in folder.iterdir()
        }

    def test_its_report_escapes_everything(self, trail: Trail, tmp_path: Path) -> None:
        trail.log.append([_hostile()])
        bundle = Bundle(
            made=MADE, by="user:u1", vkey=trail.vkey, names={"user:u1": HOSTILE}
        )
        report = (bundled(trail, tmp_path, bundle) / "report.html").read_text()

        assert "<script" not in report
        assert "&lt;script&gt;" in report
        assert "default-src 'none'" in report

    def test_its_report_says_how_many_more_there_are(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        trail.grow(MAX_SHOWN + 9, batch=MAX_SHOWN + 9)
        bundle = Bundle(made=MADE, by="user:u1", vkey=trail.vkey)
        report = (bundled(trail, tmp_path, bundle) / "report.html").read_text()

        assert "The first 500 of 510 entries. The other 10 are in" in report
        assert MAX_SHOWN == report.count("<tr><td>") - 5

    def test_a_log_that_does_not_go_on_makes_no_archive(self, trail: Trail) -> None:
        note = trail.reader.checkpoint().replace(f"{ORIGIN}\n1\n", f"{ORIGIN}\n9\n", 1)
        out = io.BytesIO()

        with pytest.raises(TrailBrokenError):
            export_bundle(
                trail.reader,
                out,
                Bundle(made=MADE, by="os:0", vkey=trail.vkey, previous=note),
            )
        assert not zipfile.is_zipfile(io.BytesIO(out.getvalue()))


def _hostile() -> bytes:
    members = {
        "action": HOSTILE,
        "actor": "user:u1",
        "id": "e-1",
        "result": HOSTILE,
        "time": MADE,
        "v": 1,
        "via": HOSTILE,
    }
    return json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
