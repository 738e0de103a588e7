from tests.simulators.calls import START_NS
from vault.audit.entry import Draft, compose
from vault.core.flow import Actor, ActorKind, Caller, Grant, MediaPart
from vault.core.ids import GrantId, new_id, new_recording_id
from vault.core.ranges import ByteRange
from vault.playback.ledger import PlayLedger


def grant() -> Grant:
    return Grant(
        id=GrantId(new_id()),
        recording_id=new_recording_id(),
        part=MediaPart.AUDIO,
        caller=Caller(actor=Actor(kind=ActorKind.USER, id=new_id())),
        right="recording:media:play",
        expires_ns=2**62,
    )


def written(*spans: tuple[int, int]) -> Draft:
    ledger, given = PlayLedger(), grant()
    for start, stop in spans:
        ledger.note(given, ByteRange(start=start, stop=stop), now_ns=START_NS)
    (draft,) = ledger.take(given.id)
    return draft


def test_overlapping_and_touching_spans_are_one() -> None:
    draft = written((100, 200), (0, 50), (50, 60), (150, 300))

    assert draft.detail["ranges"] == "0-59,100-299"
    assert draft.detail["bytes"] == 260


def test_many_spans_fit_into_a_leaf() -> None:
    """Neighbours are joined in the text; the count of octets stays exact."""
    draft = written(*((n * 1_000_000, n * 1_000_000 + n + 1) for n in range(100)))

    compose(draft, id=new_id(), time="now", via="web", text_hmacs={})
    assert len(str(draft.detail["ranges"])) <= 128
    assert str(draft.detail["ranges"]).startswith("0-")
    assert str(draft.detail["ranges"]).endswith("-99000099")
    assert draft.detail["bytes"] == 5050


def test_only_sessions_that_fell_silent_are_taken() -> None:
    ledger, early, late = PlayLedger(), grant(), grant()
    ledger.note(early, ByteRange(start=0, stop=1), now_ns=START_NS)
    ledger.note(late, ByteRange(start=0, stop=1), now_ns=START_NS + 10)

    taken = ledger.take_idle(before_ns=START_NS + 5)

    assert [early.id] == [draft.detail["grant"] for draft in taken]
    assert not ledger.empty


def test_a_session_without_octets_leaves_nothing() -> None:
    ledger = PlayLedger()

    assert ledger.take(GrantId("none")) == []
    assert ledger.empty
