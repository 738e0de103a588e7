from typing import Final

import pytest

from tests.simulators.trail import SEED, signer
from vault.audit.checkpoint import Checkpoint
from vault.audit.lineage import (
    generation_of,
    loss_after,
    open_checkpoint,
    precedes,
    successor_of,
)
from vault.core.canonical import JsonObject
from vault.core.errors import TrailBrokenError

ROOT = bytes(32)


def note(origin: str, seed: bytes = SEED) -> str:
    checkpoint = Checkpoint(origin=origin, size=7, root=ROOT)
    return signer(seed, origin).sign_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("origin", "successor"),
    [("a", "a/2"), ("a/2", "a/3"), ("a/9", "a/10"), ("v.example/1", "v.example/1/2")],
)
def test_a_name_has_one_successor(origin: str, successor: str) -> None:
    assert successor == successor_of(origin)
    assert precedes(origin, successor)
    assert not precedes(successor, origin)


@pytest.mark.parametrize("other", ["a", "b", "b/2", "a/02", "a/3/2", "a/x"])
def test_names_of_another_line_precede_nothing(other: str) -> None:
    assert not precedes(other, "a")
    assert precedes(other, "a/2") == (other == "a")


def test_the_first_of_a_line_has_no_number() -> None:
    assert (("a/1", 1), ("a", 1), ("a", 2)) == (
        generation_of("a/1"),
        generation_of("a"),
        generation_of("a/2"),
    )


def test_a_predecessors_checkpoint_is_opened_by_the_same_key() -> None:
    verifier = signer(name="a/3").verifier

    for origin in ("a", "a/2", "a/3"):
        assert origin == open_checkpoint(verifier, note(origin), origin="a/3").origin


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (note("a", bytes(32)), "not signed by"),
        (note("a/4"), "not signed by"),
        (note("b"), "not signed by"),
        ("nonsense", "not a signed note"),
    ],
)
def test_what_another_key_or_a_later_log_signed_is_not(text: str, why: str) -> None:
    with pytest.raises(TrailBrokenError, match=why):
        open_checkpoint(signer(name="a/3").verifier, text)


def test_a_later_log_is_none_of_an_earlier_ones_line() -> None:
    with pytest.raises(TrailBrokenError, match="of another log"):
        open_checkpoint(signer(name="a/3").verifier, note("a/3"), origin="a/2")


SUCCEEDED: Final = {
    "action": "audit.log.succeeded",
    "detail": {"predecessor": "a/2"},
}


class TestLoss:
    def said(self, origin: str, size: int, entry: JsonObject = SUCCEEDED) -> str:
        return loss_after(entry, 5, Checkpoint(origin=origin, size=size, root=ROOT))

    def test_what_was_larger_is_missed(self) -> None:
        assert "entries 5 to 8" in self.said("a/2", 9)
        assert "entries 5 to 5" in self.said("a", 6)

    @pytest.mark.parametrize(("origin", "size"), [("a/2", 5), ("a/3", 9), ("b", 9)])
    def test_what_was_not_larger_or_is_of_another_log_is_not(
        self, origin: str, size: int
    ) -> None:
        assert "" == self.said(origin, size)

    @pytest.mark.parametrize(
        "entry",
        [
            {},
            {"action": "audit.log.succeeded"},
            {"action": "audit.log.created", "detail": {"predecessor": "a/2"}},
            {"action": "audit.log.succeeded", "detail": {"predecessor": 2}},
        ],
    )
    def test_another_entry_says_nothing(self, entry: JsonObject) -> None:
        assert "" == self.said("a/2", 9, entry)
