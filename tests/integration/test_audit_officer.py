"""``scripts/verify-trail`` as an officer runs it: a file, a key, an exit status."""

import ast
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.trail import Trail, asking, lines_of
from tests.simulators.verifiers import SCRIPT, program
from vault.audit.query import TrailQuery
from vault.audit.verify import verify_export
from vault.database.engine import open_engine


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    folder = tmp_path_factory.mktemp("trail")
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    trail = Trail(engine=engine, folder=folder)
    trail.grow(5)
    trail.grow(2000, batch=500)
    yield trail
    trail.log.close()
    engine.dispose()


@pytest.fixture
def export(trail: Trail, tmp_path: Path) -> Path:
    (tmp_path / "trail.jsonl").write_bytes(trail.export())
    return tmp_path / "trail.jsonl"


class TestExitStatus:
    def test_0_says_what_was_verified(self, trail: Trail, export: Path) -> None:
        done = program(export, trail.vkey)

        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout.startswith("VERIFIED: all 2006 entries of vault.example")

    def test_1_names_the_first_bad_entry(self, trail: Trail, export: Path) -> None:
        octets = export.read_bytes()
        export.write_bytes(octets.replace(b'"count":1234', b'"count":1235'))
        done = program(export, trail.vkey)

        assert (1, "") == (done.returncode, done.stdout)
        assert "entry 1234: the entry is not the one that was logged" in done.stderr

    def test_1_for_a_key_that_did_not_sign(self, trail: Trail, export: Path) -> None:
        other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

        assert 1 == program(export, other).returncode

    @pytest.mark.parametrize(
        "arguments",
        [["absent"], [], ["--nonsense"], ["FILE", "--previous", "absent"]],
    )
    def test_2_for_wrong_usage_and_files_that_are_not_there(
        self, trail: Trail, export: Path, arguments: list[str]
    ) -> None:
        spelled = [str(export) if word == "FILE" else word for word in arguments]
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), *spelled, "--key", trail.vkey],
            capture_output=True,
            text=True,
            check=False,
            cwd=export.parent,
        )

        assert (2, "", False) == (done.returncode, done.stdout, "Trace" in done.stderr)

    def test_2_for_a_mistyped_key(self, trail: Trail, export: Path) -> None:
        done = program(export, trail.vkey[:-2])

        assert (2, False) == (done.returncode, "Trace" in done.stderr)

    def test_0_for_an_export_on_standard_input(
        self, trail: Trail, export: Path
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), "-", "--key", trail.vkey],
            input=export.read_bytes(),
            capture_output=True,
            check=False,
        )

        assert 0 == done.returncode


class TestPrevious:
    def test_the_log_went_on_from_an_earlier_export_or_checkpoint(
        self, trail: Trail, export: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "note").write_text(trail.reader.checkpoint(3))
        for earlier in ("note", "trail.jsonl"):
            done = program(export, trail.vkey, "--previous", earlier)

            assert 0 == done.returncode
            assert "the log began as the earlier checkpoint of" in done.stdout

    def test_a_log_that_shrank_is_refused(
        self, trail: Trail, export: Path, tmp_path: Path
    ) -> None:
        """Cut back to an old size, with a checkpoint that was honestly signed then."""
        older = trail.reader.checkpoint(6)
        lines = list(lines_of(export.read_bytes()))
        newest = str(export)
        header = lines[0].replace(b'"rows":2006,"size":2006', b'"rows":6,"size":6')
        spelled = trail.reader.checkpoint().replace("\n", "\\n").encode()
        header = header.replace(spelled, older.replace("\n", "\\n").encode())
        footer = b'{"checkpoint":"%s","marks":5,"rows":6,"v":2}\n' % (
            older.replace("\n", "\\n").encode()
        )
        (tmp_path / "cut").write_bytes(b"".join([header, *lines[1:12], footer]))
        alone = program(tmp_path / "cut", trail.vkey)
        against = program(tmp_path / "cut", trail.vkey, "--previous", newest)

        assert (0, 1) == (alone.returncode, against.returncode)
        assert "the earlier checkpoint stands for 2006" in against.stderr

    def test_a_selection_needs_the_proof_it_was_exported_with(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        note = trail.reader.checkpoint(6)
        (tmp_path / "note").write_text(note)
        query = asking(actor="user:u1", until="2026-11-23T06:17")
        for name, previous in (("with", note), ("without", None)):
            octets = trail.export(query=query, previous=previous)
            (tmp_path / name).write_bytes(octets)
        statuses = [
            program(tmp_path / name, trail.vkey, "--previous", "note").returncode
            for name in ("with", "without")
        ]

        assert [0, 1] == statuses


class TestStandAlone:
    def test_it_imports_the_standard_library_and_nothing_of_ours(self) -> None:
        imported = set()
        for node in ast.walk(ast.parse(SCRIPT.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])

        assert {"cryptography"} == imported - sys.stdlib_module_names

    def test_it_verifies_and_refuses_on_a_machine_without_any_package(
        self, trail: Trail, export: Path
    ) -> None:
        """``-S`` hides site-packages: its own Ed25519 has to do."""
        octets = export.read_bytes()
        at = octets.rindex("\u2014".encode()) + 60
        statuses = []
        for change in (0, 1):
            changed = bytearray(octets)
            changed[at] ^= change
            export.write_bytes(changed)
            done = subprocess.run(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(SCRIPT),
                    str(export),
                    "--key",
                    trail.vkey,
                ],
                capture_output=True,
                check=False,
            )
            statuses.append(done.returncode)

        assert [0, 1] == statuses

    def test_its_own_ed25519_is_taken_on_request(
        self, trail: Trail, export: Path
    ) -> None:
        assert 0 == program(export, trail.vkey, "--own-ed25519").returncode


def test_an_export_is_verified_in_flat_memory(trail: Trail, export: Path) -> None:
    with export.open("rb") as lines:
        tracemalloc.start()
        verify_export(lines, trail.vkey)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert export.stat().st_size > 600_000
    assert peak < 200_000


def test_an_export_is_written_in_flat_memory(trail: Trail) -> None:
    class Nowhere:
        def write(self, octets: bytes) -> int:
            return len(octets)

    from vault.audit.export import export_jsonl  # noqa: PLC0415

    def peak_of(query: TrailQuery) -> int:
        tracemalloc.start()
        export_jsonl(trail.reader, Nowhere(), query=query)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_of(asking(until="2026-11-23T06:17"))  # compiles the statements

    # One batch of 1000 rows is held at a time, not the 2006 of the log.
    assert peak_of(TrailQuery()) < 3_000_000
