import itertools
import threading
from pathlib import Path

import pytest

from tests.simulators.trail import ORIGIN, signer
from tests.simulators.witnesses import NOW_S, Leaves, cosigner, witness
from vault.audit import mark
from vault.audit.checkpoint import Checkpoint
from vault.audit.cosignature import with_lines
from vault.audit.submission import Submission
from vault.audit.tree import EMPTY_ROOT
from vault.core.errors import AuditUnavailableError, TrailBrokenError
from vault.witness.judging import MAX_SIZE, Answer, Verdict, Witness

LOG = Leaves()
FORK = Leaves(fork=3)


@pytest.fixture
def one(tmp_path: Path) -> Witness:
    return witness(tmp_path / "w")


def verdict(one: Witness, old: int, new: int, log: Leaves = LOG) -> Verdict:
    return one.judge(log.submission(old, new)).verdict


class TestCosigning:
    def test_the_first_checkpoint_is_cosigned_without_a_proof(
        self, one: Witness
    ) -> None:
        answer = one.judge(LOG.submission(0, 5))
        found = cosigner().cosigner.open(with_lines(LOG.note(5), [answer.lines]))

        assert Verdict.COSIGNED == answer.verdict
        assert (LOG.checkpoint(5), NOW_S) == (found.checkpoint, found.time_s)

    def test_a_log_that_grows_is_cosigned_at_every_step(self, one: Witness) -> None:
        sizes = [0, 1, 2, 3, 7, 8, 9, 16, 33, 40]
        verdicts = [verdict(one, old, new) for old, new in itertools.pairwise(sizes)]

        assert [Verdict.COSIGNED] * 9 == verdicts

    def test_the_same_checkpoint_is_cosigned_again(self, one: Witness) -> None:
        verdict(one, 0, 5)

        assert Verdict.COSIGNED == verdict(one, 5, 5)

    def test_the_empty_log_is_cosigned_if_its_tree_is_empty(self, one: Witness) -> None:
        empty = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)
        other = Checkpoint(origin=ORIGIN, size=0, root=bytes(32))
        verdicts = [
            one.judge(
                Submission(old_size=0, proof=(), note=signer().sign_checkpoint(each))
            ).verdict
            for each in (other, empty)
        ]

        assert [Verdict.OTHER_TREE, Verdict.COSIGNED] == verdicts

    def test_extension_lines_of_the_log_are_cosigned_as_they_stand(
        self, one: Witness
    ) -> None:
        note = signer().sign(f"{LOG.checkpoint(4)}ext\n")
        answer = one.judge(Submission(old_size=0, proof=(), note=note))

        found = cosigner().cosigner.open(with_lines(note, [answer.lines]))

        assert LOG.checkpoint(4) == found.checkpoint


class TestRefusing:
    def test_a_log_that_it_does_not_follow(self, one: Witness) -> None:
        other = signer(name="elsewhere").sign_checkpoint(
            Checkpoint(origin="elsewhere", size=1, root=bytes(32))
        )
        answer = one.judge(Submission(old_size=0, proof=(), note=other))

        assert Answer(verdict=Verdict.UNKNOWN_LOG) == answer

    def test_another_key_of_the_same_name(self, one: Witness) -> None:
        note = signer(bytes(32)).sign_checkpoint(LOG.checkpoint(5))
        answer = one.judge(Submission(old_size=0, proof=(), note=note))

        assert Verdict.NOT_SIGNED == answer.verdict

    def test_a_signature_that_does_not_cover_the_text(self, one: Witness) -> None:
        note = LOG.note(5).replace(f"{ORIGIN}\n5\n", f"{ORIGIN}\n6\n")
        answer = one.judge(Submission(old_size=0, proof=(), note=note))

        assert Verdict.NOT_SIGNED == answer.verdict

    def test_an_old_size_that_is_larger_than_the_new_one(self, one: Witness) -> None:
        verdict(one, 0, 5)

        assert Verdict.MALFORMED == verdict(one, 6, 5)

    def test_a_size_that_it_could_not_write_down(self, one: Witness) -> None:
        huge = Checkpoint(origin=ORIGIN, size=MAX_SIZE + 1, root=bytes(32))
        note = signer().sign_checkpoint(huge)
        answer = one.judge(Submission(old_size=0, proof=(), note=note))

        assert Verdict.MALFORMED == answer.verdict

    def test_what_is_signed_and_no_checkpoint(self, one: Witness) -> None:
        note = signer().sign(f"{ORIGIN}\nmany\n")

        assert (
            Verdict.MALFORMED
            == one.judge(Submission(old_size=0, proof=(), note=note)).verdict
        )

    @pytest.mark.parametrize("old", [0, 4, 6, 9])
    def test_an_old_size_that_is_not_its_own_and_it_says_which_is(
        self, one: Witness, old: int
    ) -> None:
        verdict(one, 0, 5)
        answer = one.judge(LOG.submission(old, 9))

        assert Answer(verdict=Verdict.OTHER_SIZE, size=5) == answer

    def test_a_smaller_log_than_it_cosigned(self, one: Witness) -> None:
        verdict(one, 0, 9)

        assert Verdict.OTHER_SIZE == verdict(one, 5, 5)
        assert Verdict.MALFORMED == verdict(one, 9, 5)

    def test_another_tree_of_the_same_size(self, one: Witness) -> None:
        verdict(one, 0, 9)
        answer = one.judge(FORK.submission(9, 9))

        assert Answer(verdict=Verdict.OTHER_TREE, size=9) == answer

    def test_a_tree_that_does_not_go_on_from_its_own(self, one: Witness) -> None:
        verdict(one, 0, 9)
        answer = one.judge(FORK.submission(9, 20))

        assert Answer(verdict=Verdict.NOT_CONSISTENT, size=9) == answer

    def test_a_proof_where_there_is_nothing_to_prove(self, one: Witness) -> None:
        for old in (0, 5):
            note = LOG.note(5)
            answer = one.judge(Submission(old_size=old, proof=(bytes(32),), note=note))

            assert Verdict.NOT_CONSISTENT == answer.verdict
            verdict(one, 0, 5)

    def test_what_was_refused_is_not_remembered(self, one: Witness) -> None:
        verdict(one, 0, 9)
        verdict(one, 9, 20, FORK)

        assert Verdict.COSIGNED == verdict(one, 9, 20)

    def test_a_signed_contradiction_is_kept_with_what_it_contradicts(
        self, one: Witness, tmp_path: Path
    ) -> None:
        verdict(one, 0, 9)
        verdict(one, 9, 9, FORK)
        (kept,) = (tmp_path / "w" / "evidence").iterdir()

        assert (
            bytes(FORK.submission(9, 9)) + b"\n" + LOG.note(9).encode()
            == kept.read_bytes()
        )

    def test_evidence_that_cannot_be_kept_changes_no_answer(
        self, one: Witness, tmp_path: Path
    ) -> None:
        verdict(one, 0, 9)
        (tmp_path / "w" / "evidence").write_text("in the way")

        assert Verdict.OTHER_TREE == verdict(one, 9, 9, FORK)


class TestRemembering:
    def test_another_process_goes_on_from_what_was_remembered(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "w"
        first = witness(folder)
        verdict(first, 0, 9)
        first._memory.close()
        second = witness(folder)

        assert Verdict.OTHER_TREE == verdict(second, 9, 9, FORK)
        assert Verdict.COSIGNED == verdict(second, 9, 12)

    def test_nothing_is_signed_that_could_not_be_remembered(
        self, one: Witness, tmp_path: Path
    ) -> None:
        verdict(one, 0, 5)
        (kept,) = (tmp_path / "w").glob("*.json")
        # A folder in the way of the fresh file: the write fails for root, too.
        blocked = kept.with_name(kept.name + ".new")
        blocked.mkdir()
        with pytest.raises(AuditUnavailableError):
            verdict(one, 5, 9)
        blocked.rmdir()

        assert Verdict.COSIGNED == verdict(one, 5, 9)

    def test_a_memory_that_the_log_has_not_signed_is_not_believed(
        self, one: Witness, tmp_path: Path
    ) -> None:
        verdict(one, 0, 5)
        (kept,) = (tmp_path / "w").glob("*.json")
        forged = signer(bytes(32)).sign_checkpoint(FORK.checkpoint(5))
        mark.write(kept, mark.Mark.of(FORK.checkpoint(5), forged))
        with pytest.raises(TrailBrokenError):
            verdict(one, 5, 9)

    def test_of_many_at_a_time_sizes_only_grow(
        self, one: Witness, tmp_path: Path
    ) -> None:
        # The race of the specification: A checks N, B checks N + K, B is kept, A is.
        cosigned: list[int] = []
        start = threading.Barrier(8)

        def ask(step: int) -> None:
            start.wait()
            size = 0
            for new in range(step, 40, 3):
                answer = one.judge(LOG.submission(min(size, new), new))
                if answer.verdict is Verdict.COSIGNED:
                    cosigned.append(new)
                size = answer.size or new

        threads = [threading.Thread(target=ask, args=(n + 1,)) for n in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        (kept,) = (tmp_path / "w").glob("*.json")
        remembered = mark.read(kept)

        assert remembered is not None
        assert max(cosigned) == remembered.size
