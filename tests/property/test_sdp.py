import base64
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.sip.offer import AnsweredStream, answer, read_offer
from vault.sip.sdes import fresh_key
from vault.sip.sdp import SessionDescription

KEY = base64.b64encode(bytes(30)).decode()
SAID = [
    "v=0",
    "s=-",
    "c=IN IP4 192.0.2.1",
    "m=audio 5000 RTP/SAVP 0 8 101",
    "m=audio 0 RTP/AVP 0",
    "m=video 5002 RTP/SAVP 96",
    "m=audio 1 UDP/TLS/RTP/SAVPF 111",
    f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
    f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31|1:1",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-15",
    "a=label:agent",
    "a=rtcp-mux",
    "a=inactive",
    "a=sendonly",
]
# A line as it may be, damaged at one place by anything.
damaged = st.builds(
    lambda line, at, text: (
        line[: at % (len(line) + 1)] + text + line[at % (len(line) + 1) :]
    ),
    st.sampled_from(SAID),
    st.integers(0, 200),
    st.text(max_size=4),
)
texts = st.lists(
    st.one_of(st.sampled_from(SAID), damaged, st.text(max_size=40)), max_size=20
)


def joined(lines: list[str], ending: str) -> str:
    return ending.join(["v=0", *lines])


def refusal(
    read: Callable[[str], object], text: str
) -> MalformedSignallingError | UnsupportedOfferError | None:
    try:
        read(text)
    except (MalformedSignallingError, UnsupportedOfferError) as error:
        return error
    return None


@given(st.text())
def test_any_text_is_sdp_or_malformed_with_a_line(text: str) -> None:
    error = refusal(SessionDescription.parse, text)

    assert error is None or error.line is not None


@given(texts, st.sampled_from(["\r\n", "\n", "\r"]))
def test_what_parses_survives_being_written(lines: list[str], ending: str) -> None:
    try:
        found = SessionDescription.parse(joined(lines, ending))
    except MalformedSignallingError:
        return

    assert found == SessionDescription.parse(str(found))


@given(texts)
def test_an_offer_is_answered_or_refused_with_a_line(lines: list[str]) -> None:
    text = joined(lines, "\n")
    error = refusal(read_offer, text)
    if error is not None:
        assert error.line is not None
        assert KEY[:12] not in str(error)
        return
    offer = read_offer(text)
    ours = {
        stream.index: AnsweredStream(port=40_000, key=fresh_key(stream.crypto.suite))
        for stream in offer.streams
    }
    written = answer(offer, ours, address="192.0.2.9", session=1, version=1)

    assert written == SessionDescription.parse(str(written))
    assert [section.profile for section in offer.description.media] == [
        section.profile for section in written.media
    ]
