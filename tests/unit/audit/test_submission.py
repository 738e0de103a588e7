import base64

import pytest

from tests.simulators.witnesses import Leaves
from vault.audit.submission import MAX_PROOF, Submission
from vault.core.errors import InvalidInputError

SUBMISSION = Leaves().submission(3, 11)
HASH = base64.b64encode(bytes(32)).decode()
LINE = f"{HASH}\n"
NOTE = SUBMISSION.note


def test_a_submission_reads_back_as_itself() -> None:
    assert SUBMISSION == Submission.parse(bytes(SUBMISSION))


def test_it_is_spelled_as_the_specification_has_it() -> None:
    first, *proof = bytes(SUBMISSION).partition(b"\n\n")[0].split(b"\n")

    assert b"old 3" == first
    assert list(SUBMISSION.proof) == [base64.b64decode(one) for one in proof]


def test_the_first_checkpoint_has_no_proof() -> None:
    assert bytes(Leaves().submission(0, 4)).startswith(b"old 0\n\nvault.example/")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "old 0\n\n",
        NOTE,
        f"old 0\n{NOTE}",
        f"\n\n{NOTE}",
        f"old -1\n\n{NOTE}",
        f"old 01\n\n{NOTE}",
        f"old  1\n\n{NOTE}",
        f"old 1 \n\n{NOTE}",
        f"OLD 1\n\n{NOTE}",
        f"old \u0661\n\n{NOTE}",
        f"old 1\r\n\n{NOTE}",
        f"old 1\n{HASH[:-1]}\n\n{NOTE}",
        f"old 1\nAAAA\n\n{NOTE}",
        f"old 1\n {HASH}\n\n{NOTE}",
        f"old {'9' * 20}\n\n{NOTE}",
        f"old 1\n\n{NOTE[:-1]}",
        f"old 1\n\n{NOTE}trailing\n",
        f"old 1\n{LINE * (MAX_PROOF + 1)}\n{NOTE}",
    ],
)
def test_another_spelling_is_none(body: str) -> None:
    with pytest.raises(InvalidInputError):
        Submission.parse(body.encode())


def test_63_hashes_are_taken() -> None:
    body = f"old 1\n{LINE * MAX_PROOF}\n{NOTE}"

    assert MAX_PROOF == len(Submission.parse(body.encode()).proof)


def test_octets_that_are_no_text_are_none() -> None:
    with pytest.raises(InvalidInputError):
        Submission.parse(b"old 0\n\n\xff" + NOTE.encode())
