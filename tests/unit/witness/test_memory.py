from pathlib import Path

import pytest

from tests.simulators.trail import ORIGIN, signer
from tests.simulators.witnesses import Leaves
from vault.audit.checkpoint import Checkpoint
from vault.audit.submission import Submission
from vault.core.errors import ConflictError, TrailBrokenError
from vault.witness.memory import MAX_EVIDENCE, Memory

KEYS = (signer(bytes(32)).verifier, signer().verifier)
LOG = Leaves()


def test_what_was_kept_is_known(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    before = memory.known(ORIGIN, KEYS)
    memory.keep(LOG.checkpoint(5), LOG.note(5))

    assert (None, LOG.checkpoint(5)) == (before, memory.known(ORIGIN, KEYS))


def test_each_log_has_a_file_of_its_own(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    other = signer(name="other/../log")
    checkpoint = Checkpoint(origin="other/../log", size=3, root=bytes(32))
    memory.keep(LOG.checkpoint(5), LOG.note(5))
    memory.keep(checkpoint, other.sign_checkpoint(checkpoint))

    assert checkpoint == memory.known("other/../log", [other.verifier])
    assert 2 == len(list(tmp_path.glob("*.json")))
    assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.json")}


def test_the_file_of_another_log_is_not_believed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep(LOG.checkpoint(5), LOG.note(5))
    (file,) = tmp_path.glob("*.json")
    other = signer(name="other")
    checkpoint = Checkpoint(origin="other", size=3, root=bytes(32))
    memory.keep(checkpoint, other.sign_checkpoint(checkpoint))
    (second,) = set(tmp_path.glob("*.json")) - {file}
    second.replace(file)
    with pytest.raises(TrailBrokenError):
        memory.known(ORIGIN, [*KEYS, other.verifier])


def test_a_torn_file_is_not_read_as_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep(LOG.checkpoint(5), LOG.note(5))
    (file,) = tmp_path.glob("*.json")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TrailBrokenError):
        memory.known(ORIGIN, KEYS)


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Memory(tmp_path)
    with pytest.raises(ConflictError):
        Memory(tmp_path)
    first.close()

    Memory(tmp_path).close()


def test_evidence_has_an_end(tmp_path: Path) -> None:
    memory = Memory(tmp_path)

    def keep(size: int, kind: str, *proof: bytes) -> Path | None:
        checkpoint = Checkpoint(origin=ORIGIN, size=size, root=bytes(32))
        submission = Submission(
            old_size=0, proof=proof, note=signer().sign_checkpoint(checkpoint)
        )
        return memory.keep_evidence(ORIGIN, submission, kind)

    kept = [keep(size, "not-consistent") for size in range(MAX_EVIDENCE + 1)]

    assert kept[-1] is None
    assert kept[0] == keep(0, "not-consistent", bytes(32))
    assert keep(0, "other-tree") not in {None, kept[0]}
