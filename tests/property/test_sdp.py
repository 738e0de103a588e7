import base64
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.offer import AnsweredStream, Offer, answer, read_offer
from vault.sip.sdes import MAX_KEYS, Crypto, NamedKey, choose, fresh_key
from vault.sip.sdp import Line, SessionDescription

KEY = base64.b64encode(bytes(30)).decode()
KEY_46 = base64.b64encode(bytes(46)).decode()
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
    f"a=crypto:3 AES_256_CM_HMAC_SHA1_80 inline:{KEY_46}",
    f"a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20",
    f"a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4;inline:{KEY}|2^9|2:4",
    "m=audio 5004 RTP/AVPF 0",
    "c=IN IP6 ::ffff:192.0.2.7",
    "c=IN IP4 0.0.0.0",
    "c=IN IP4 239.1.1.1/5",
    "c=IN IP6 fe80::1%1",
    "c=IN IP4 media.example",
    "a=rtcp:5001 IN IP4 192.0.2.9",
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


allowances = st.frozensets(st.sampled_from(Allowance))
prefixes = st.sampled_from([(), ("192.0.2.0/24",), ("fe80::/10", "192.0.2.7/32")])


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


@given(texts, allowances, prefixes)
def test_an_offer_is_answered_or_refused_with_a_line(
    lines: list[str], allowed: frozenset[Allowance], listed: tuple[str, ...]
) -> None:
    text = joined(lines, "\n")

    def read(text: str) -> Offer:
        return read_offer(
            text, allowed=allowed, origin="192.0.2.9", media_addresses=listed
        )

    error = refusal(read, text)
    if error is not None:
        assert error.line is not None
        assert KEY[:12] not in str(error)
        return
    offer = read(text)
    ours = {
        stream.index: AnsweredStream(port=40_000, key=fresh_key(stream.crypto.suite))
        for stream in offer.streams
    }
    written = answer(offer, ours, address="192.0.2.9", session=1, version=1)

    assert written == SessionDescription.parse(str(written))
    assert [section.profile for section in offer.description.media] == [
        section.profile for section in written.media
    ]


@given(texts, allowances)
def test_nothing_unsafe_is_taken_without_its_allowance(
    lines: list[str], allowed: frozenset[Allowance]
) -> None:
    try:
        offer = read_offer(joined(lines, "\n"), allowed=allowed)
    except (MalformedSignallingError, UnsupportedOfferError):
        return
    needs = {
        Allowance.SHORT_TAG if one.suite.has_short_tag else Allowance.PLAIN_RTP
        for one in offer.streams
        if one.suite is not None and (one.suite.has_short_tag or one.suite.is_plain)
    }

    assert needs <= allowed
    # Where there are keys, they are used.
    for one in offer.streams:
        section = str(offer.description.media[one.index])
        assert not (one.suite is SrtpSuite.PLAIN_RTP and "a=crypto" in section)


@st.composite
def named_lines(draw: st.DrawFn) -> Crypto:
    suite = draw(st.sampled_from([one for one in SrtpSuite if not one.is_plain]))
    size = suite.master_size_bytes
    keys = st.binary(min_size=size, max_size=size).map(SecretBytes)
    length = draw(st.integers(1, 128))
    names = draw(
        st.lists(
            st.binary(min_size=length, max_size=length), max_size=MAX_KEYS, unique=True
        )
    )
    mkis = tuple(NamedKey(mki=name, key=draw(keys)) for name in names)
    return Crypto(
        tag=draw(st.integers(0, 999_999_999)),
        suite=suite,
        key=mkis[0].key if mkis else draw(keys),
        mkis=mkis,
    )


@given(named_lines())
def test_keys_and_their_names_read_back_as_they_were_written(written: Crypto) -> None:
    line = Line(type="a", value=f"crypto:{written}", number=1)

    assert written == choose([line], frozenset(Allowance))


@given(
    st.text(alphabet="inlie:AB+/=|2^1;: 9", max_size=80),
    st.sampled_from([one.value for one in SrtpSuite]),
)
def test_any_key_parameters_are_read_refused_or_malformed(
    parameters: str, suite: str
) -> None:
    line = Line(type="a", value=f"crypto:1 {suite} {parameters}", number=7)
    error = refusal(lambda _: choose([line], frozenset(Allowance)), "")

    assert error is None or 7 == error.line
