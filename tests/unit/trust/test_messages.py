from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.audit.entry import Action, Draft
from vault.core import canonical
from vault.core.errors import InvalidInputError, NotFoundError, ThrottledError
from vault.core.flow import Actor, ActorKind, Caller, Grant, MediaPart, Purpose
from vault.core.ids import GrantId, RecordingId, new_recording_id
from vault.trust import messages as m

CALLER = Caller(actor=Actor(kind=ActorKind.USER, id="u1"), session="s", origin="::1")
ID = new_recording_id()
TYPED = "Frau Müller hat sich beschwert"
REQUESTS = [
    m.AppendRequest(
        drafts=(
            Draft(action=Action.PROCESS_STARTED, caller=CALLER),
            Draft(action=Action.RECORDING_LISTED, caller=CALLER, detail={"count": 5}),
        )
    ),
    m.ReleaseRequest(
        recording_id=ID,
        caller=CALLER,
        purpose=Purpose.PLAY,
        grant=GrantId("g-1"),
        right="recording:media:play",
        reason=TYPED,
    ),
    m.ReleaseRequest(recording_id=ID, caller=CALLER, purpose=Purpose.RENDER),
    m.OpenRowsRequest(caller=CALLER, recordings=(ID, new_recording_id())),
    m.OpenRowsRequest(caller=CALLER, recordings=()),
    m.SealRowRequest(recording_id=ID, metadata=b'{"a":1}', month="2026-11"),
    m.TokensRequest(
        caller=CALLER, field="caller", value="+49 30 1", months=("2026-10", "2026-11")
    ),
    m.HealthRequest(),
]


@pytest.mark.parametrize(
    "spoken",
    [
        m.ReleaseRequest(
            recording_id=ID, caller=CALLER, purpose=Purpose.PLAY, reason=TYPED
        ),
        Draft(
            action=Action.RECORDING_HOLD_PLACED, caller=CALLER, text={"reason": TYPED}
        ),
        Grant(
            id=GrantId("g-1"),
            recording_id=ID,
            part=MediaPart.AUDIO,
            caller=CALLER,
            right="recording:media:play",
            expires_ns=1,
            reason=TYPED,
        ),
    ],
)
def test_typed_words_are_in_no_repr(spoken: object) -> None:
    assert TYPED not in repr(spoken)


def changed(request: m.Request, **args: canonical.JsonValue) -> bytes:
    return canonical.dumps(
        {"v": 1, "id": 1, "call": request.call, "args": {**request.members(), **args}}
    )


# How long an example takes says more about the machine than about us.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each.call)
def test_a_request_comes_out_as_it_went_in(request_: m.Request) -> None:
    envelope = m.Envelope.parse(m.encode_request(7, request_))

    assert envelope.id == 7
    assert request_ == envelope.request()


@pytest.mark.parametrize(
    "octets",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"args":{},"call":"health","id":1,"v":2}',
        b'{"args":{},"call":"health","id":1.5,"v":1}',
        b'{"args":{},"call":"health","id":-1,"v":1}',
        b'{"args":{},"call":"HEALTH","id":1,"v":1}',
        b'{"args":[],"call":"health","id":1,"v":1}',
        b'{"args":{},"call":"health","id":1,"v":1,"x":1}',
        b'{"args":{},"call":"health","id":1,"id":1,"v":1}',
        b'{"args": {}, "call": "health", "id": 1, "v": 1}',
        b'{"v":1,"id":1,"call":"health","args":{}}',
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_what_is_no_request_is_refused_from_the_outside(octets: bytes) -> None:
    with pytest.raises(InvalidInputError):
        m.Envelope.parse(octets)


@_PATIENT
@given(octets=st.binary(max_size=200))
def test_no_octets_break_the_parsers(octets: bytes) -> None:
    for parse in (m.Envelope.parse, m.parse_reply):
        with pytest.raises(InvalidInputError):
            parse(octets)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@_PATIENT
@given(
    call=st.sampled_from([each.call for each in REQUESTS] + ["unheard_of"]),
    args=st.dictionaries(
        st.sampled_from(["drafts", "caller", "recording", "recordings", "months", "x"]),
        _JSON,
    ),
)
def test_arguments_of_any_shape_are_read_or_refused(
    call: str, args: Mapping[str, canonical.JsonValue]
) -> None:
    octets = canonical.dumps({"v": 1, "id": 1, "call": call, "args": args})
    envelope = m.Envelope.parse(octets)
    try:
        request = envelope.request()
    except (InvalidInputError, NotFoundError):
        return

    assert call == request.call


@pytest.mark.parametrize(
    ("request_", "change"),
    [
        (REQUESTS[0], {"drafts": []}),
        (REQUESTS[0], {"drafts": [{}] * 101}),
        (REQUESTS[1], {"purpose": "steal"}),
        (REQUESTS[1], {"grant": "g 1"}),
        (REQUESTS[1], {"extra": 1}),
        (REQUESTS[3], {"recordings": [str(new_recording_id()) for _ in range(201)]}),
        (REQUESTS[5], {"metadata": "no base64"}),
        (REQUESTS[5], {"month": "2026-1"}),
        (REQUESTS[6], {"months": ["2026-11"] * 25}),
        (REQUESTS[7], {"extra": 1}),
    ],
)
def test_arguments_of_another_shape_are_refused(
    request_: m.Request, change: Mapping[str, canonical.JsonValue]
) -> None:
    with pytest.raises(InvalidInputError):
        m.Envelope.parse(changed(request_, **change)).request()


def test_a_recording_id_that_is_none_is_not_found() -> None:
    for request in (REQUESTS[1], REQUESTS[5]):
        with pytest.raises(NotFoundError):
            m.Envelope.parse(changed(request, recording=ID.upper())).request()


def test_recordings_named_twice_are_opened_once() -> None:
    request = m.OpenRowsRequest(caller=CALLER, recordings=(ID, ID))
    read = m.Envelope.parse(m.encode_request(1, request)).request()

    assert read == m.OpenRowsRequest(caller=CALLER, recordings=(ID,))


def test_text_that_json_cannot_spell_is_refused_and_not_sent() -> None:
    request = m.ReleaseRequest(
        recording_id=RecordingId(ID),
        caller=CALLER,
        purpose=Purpose.PLAY,
        reason="\ud800",
    )

    with pytest.raises(InvalidInputError):
        m.encode_request(1, request)


def test_an_answer_and_a_refusal_are_told_apart() -> None:
    id, answer = m.parse_reply(m.encode_answer(3, {"n": 5}))
    assert id == 3
    assert not isinstance(answer, Exception)
    assert answer.count("n") == 5

    id, error = m.parse_reply(m.encode_refusal(4, ThrottledError("slow")))
    assert id == 4
    assert isinstance(error, ThrottledError)


@pytest.mark.parametrize(
    "octets",
    [
        b'{"id":1,"v":1}',
        b'{"error":{},"id":1,"ok":{},"v":1}',
        b'{"id":1,"ok":{},"v":2}',
        b'{"id":1,"ok":[],"v":1}',
    ],
)
def test_what_is_no_reply_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidInputError):
        m.parse_reply(octets)
