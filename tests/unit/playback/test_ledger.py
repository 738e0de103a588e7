from tests.simulators.calls import START_NS
from vault.audit.entry import Draft, compose
from vault.core.flow import Actor, ActorKind, Caller, Grant, MediaPart
from vault.core.ids import GrantId, new_id, new_recording_id
from vault.core.ranges import ByteRange
from vault.playback.ledger import PlayLedger
from vault.playback.timing import Timing

EVEN = Timing(offsets=[100, 7_200_100], times_ms=[0, 7_200_000])
"A millisecond in each octet, for two hours, behind a header."


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


def heard(*spans_s: tuple[int, int], header: bool = False) -> object:
    ledger, given = PlayLedger(), grant()
    spans = [(100 + a * 1000, 100 + b * 1000) for a, b in spans_s]
    for start, stop in [*spans, *([(0, 100)] if header else [])]:
        ledger.note(
            given,
            ByteRange(start=start, stop=stop),
            now_ns=START_NS,
            name="rendition/0001",
            timing=lambda: EVEN,
        )
    (draft,) = ledger.take(given.id)
    compose(draft, id=new_id(), time="now", via="web", text_hmacs={})
    return draft.detail.get("heard")


def test_what_was_heard_is_said_in_minutes_and_seconds() -> None:
    assert heard((10, 60), (60, 90), (120, 125)) == "0:10-1:30,2:00-2:05"


def test_beyond_an_hour_the_hour_is_said() -> None:
    assert heard((3599, 3723)) == "59:59-1:02:03"


def test_a_header_alone_was_not_heard() -> None:
    assert heard(header=True) is None


def test_a_hundred_jumps_fit_into_a_leaf() -> None:
    said = str(heard(*((n * 60, n * 60 + 2) for n in range(100))))

    assert len(said) <= 128
    assert said.startswith("0:00-")
    assert said.endswith("-1:39:02")


def test_two_renditions_are_two_lines() -> None:
    ledger, given = PlayLedger(), grant()
    for name in ("rendition/0001", "rendition/0002"):
        ledger.note(given, ByteRange(start=0, stop=9), now_ns=START_NS, name=name)

    drafts = ledger.take(given.id)

    assert ["rendition/0001", "rendition/0002"] == [d.detail["object"] for d in drafts]


def test_the_times_of_a_session_are_asked_for_once() -> None:
    ledger, given, asked = PlayLedger(), grant(), list[None]()
    for start in range(5):
        ledger.note(
            given,
            ByteRange(start=start, stop=start + 1),
            now_ns=START_NS,
            timing=lambda: asked.append(None),
        )

    assert len(asked) == 1


def test_what_could_not_be_written_is_kept_up_to_a_limit() -> None:
    ledger = PlayLedger()

    ledger.keep([written((0, 1))] * 1500)

    assert not ledger.empty
    assert len(ledger.take_unwritten()) == 1000
    assert ledger.empty
