"""Whatever a stranger sends: nothing but silence, an answer or a named line."""

import string

from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.webrtc import Certificate, DtlsClient, attribute, signed
from vault.core.errors import InvalidInputError
from vault.core.secrets import SecretBytes
from vault.sip.dtls import AnsweredDtls, Fingerprint
from vault.sip.offer import AnsweredStream, answer, read_offer
from vault.sip.sdp import SessionDescription
from vault.tap.dtls import ExpectedPeer, Identity, Keys, is_client_hello
from vault.tap.orders import IceCredentials
from vault.tap.rtp import is_dtls
from vault.tap.stun import answer_check

OURS = IceCredentials(ufrag="oursours", password=SecretBytes(b"p" * 32))
SOURCE = ("192.0.2.1", 5000)
IDENTITY = Identity.fresh()
CERTIFICATE = Certificate()
EXPECTED = ExpectedPeer(algorithm="sha-256", digests=(CERTIFICATE.digest(),))
(HELLO,) = DtlsClient(CERTIFICATE).go_on()
attributes = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)))
ice_chars = st.text(string.ascii_letters + string.digits + "+/", min_size=4)
values = st.one_of(
    st.text(max_size=80),
    ice_chars,
    st.sampled_from(["passive", "active", "actpass", CERTIFICATE.fingerprint()]),
)
names = st.sampled_from(
    [
        *("fingerprint", "setup", "ice-ufrag", "ice-pwd", "ice-lite", "rtcp-mux"),
        *("mid", "tls-id", "group", "candidate", "extmap", "label"),
    ]
)


@given(st.binary(max_size=1400))
def test_octets_that_were_not_signed_get_no_answer(octets: bytes) -> None:
    assert answer_check(octets, SOURCE, OURS) is None


@given(attributes, st.binary(max_size=60), st.sampled_from([b"p" * 32, b"q" * 32]))
def test_what_is_answered_was_for_us_and_signed_by_us(
    extra: list[tuple[int, bytes]], user: bytes, key: bytes
) -> None:
    body = b"".join(attribute(*one) for one in [(0x0006, user), *extra])

    answered = answer_check(signed(body, key), SOURCE, OURS)

    if answered is not None:
        assert key == OURS.password.reveal()
        assert user.startswith(b"oursours:")


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_a_handshake_takes_any_octets_without_a_word_and_gives_no_keys(
    datagrams: list[bytes],
) -> None:
    handshake = IDENTITY.begin(EXPECTED, SOURCE)

    for datagram in datagrams:
        handshake.take(datagram)
        handshake.outgoing()

    assert not isinstance(handshake.outcome, Keys)


@given(st.integers(0, len(HELLO) - 1), st.integers(1, 255))
def test_a_damaged_hello_is_no_key_and_no_exception(at: int, flip: int) -> None:
    damaged = bytearray(HELLO)
    damaged[at] ^= flip
    handshake = IDENTITY.begin(EXPECTED, SOURCE)

    handshake.take(bytes(damaged))
    handshake.outgoing()
    begun, _ = IDENTITY.listen(bytes(damaged), EXPECTED, SOURCE)

    assert begun is None
    assert not isinstance(handshake.outcome, Keys)


@given(st.binary(max_size=64))
def test_a_datagram_is_of_one_kind(octets: bytes) -> None:
    assert is_dtls(octets) or not is_client_hello(octets)


@given(st.lists(st.tuples(names, values), max_size=12))
def test_an_offer_is_answered_or_its_line_is_named(
    lines: list[tuple[str, str]],
) -> None:
    body = "".join(f"a={name}:{value}\r\n" for name, value in lines)
    text = f"v=0\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{body}"
    ours = AnsweredDtls(
        fingerprint=Fingerprint(algorithm="sha-256", digest=IDENTITY.sha256),
        ufrag=OURS.ufrag,
        password=OURS.password,
    )

    try:
        offer = read_offer(text)
    except InvalidInputError:
        return
    streams = {
        stream.index: AnsweredStream(port=4000, key=SecretBytes(b""), dtls=ours)
        for stream in offer.streams
    }
    written = str(answer(offer, streams, address="192.0.2.9", session=1, version=1))

    assert str(SessionDescription.parse(written)) == written
    assert "a=setup:passive" in written
