"""Handshakes in memory, with OpenSSL's client as the peer."""

import secrets
import time
from pathlib import Path

import pytest

from tests.simulators.webrtc import ALL_PROFILES, Certificate, DtlsClient
from vault.core.media import SrtpSuite
from vault.tap.dtls import (
    MTU,
    ExpectedPeer,
    Failure,
    Handshake,
    Identity,
    Keys,
    is_client_hello,
)
from vault.tap.rtp import is_dtls

SOURCE = ("192.0.2.1", 5000)
ELSEWHERE = ("192.0.2.1", 5001)
SIZES = {
    SrtpSuite.AEAD_AES_256_GCM: (32, 12),
    SrtpSuite.AEAD_AES_128_GCM: (16, 12),
    SrtpSuite.AES_CM_128_HMAC_SHA1_80: (16, 14),
}


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Identity.fresh()


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate()


def expected(certificate: Certificate, algorithm: str = "sha-256") -> ExpectedPeer:
    return ExpectedPeer(
        algorithm=algorithm, digests=(bytes(4), certificate.digest(algorithm))
    )


def carry(handshake: Handshake, client: DtlsClient) -> None:
    """Bring what the server says to the client, and its answers back."""
    for datagram in handshake.outgoing():
        for further in client.take(datagram):
            handshake.take(further)


def meet(handshake: Handshake, client: DtlsClient, *, rounds: int = 6) -> list[bytes]:
    """Carry datagrams to and fro; return those of the server."""
    said: list[bytes] = []
    for _ in range(rounds):
        for datagram in client.go_on():
            handshake.take(datagram)
        said += (answers := handshake.outgoing())
        for datagram in answers:
            for further in client.take(datagram):
                handshake.take(further)
        said += (answers := handshake.outgoing())
        for datagram in answers:
            client.take(datagram)
    return said


class TestKeys:
    @pytest.mark.parametrize(
        ("offered", "suite"),
        [
            (ALL_PROFILES, SrtpSuite.AEAD_AES_256_GCM),
            (
                b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM",
                SrtpSuite.AEAD_AES_128_GCM,
            ),
            (
                b"SRTP_AES128_CM_SHA1_32:SRTP_AES128_CM_SHA1_80",
                SrtpSuite.AES_CM_128_HMAC_SHA1_80,
            ),
        ],
    )
    def test_our_order_decides_and_the_key_is_the_clients(
        self,
        identity: Identity,
        certificate: Certificate,
        offered: bytes,
        suite: SrtpSuite,
    ) -> None:
        client = DtlsClient(certificate, profiles=offered)
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, client)

        keys = handshake.outcome
        assert isinstance(keys, Keys)
        assert keys.suite is suite
        key, salt = SIZES[suite]
        material = client.connection.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (key + salt)
        )
        clients = material[:key] + material[2 * key : 2 * key + salt]
        assert keys.key.reveal() == clients

    @pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
    def test_every_hash_of_an_offer_can_be_shown(
        self, identity: Identity, certificate: Certificate, algorithm: str
    ) -> None:
        handshake = identity.begin(expected(certificate, algorithm), SOURCE)

        meet(handshake, DtlsClient(certificate))

        assert isinstance(handshake.outcome, Keys)

    def test_an_rsa_certificate_will_do(self, identity: Identity) -> None:
        certificate = Certificate(is_rsa=True)
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, DtlsClient(certificate))

        assert isinstance(handshake.outcome, Keys)

    def test_it_is_dtls_1_2_with_forward_secrecy(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, client)

        name = client.connection.get_cipher_name()
        version = client.connection.get_protocol_version_name()
        assert (version, name) == ("DTLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
        assert client.server_digest() == identity.sha256

    def test_neither_keys_nor_a_key_log_are_shown(
        self,
        identity: Identity,
        certificate: Certificate,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        fresh = Identity.fresh()
        handshake = fresh.begin(expected(certificate), SOURCE)

        meet(handshake, DtlsClient(certificate))

        assert isinstance(handshake.outcome, Keys)
        shown = repr(handshake.outcome)
        assert handshake.outcome.key.reveal().hex() not in shown
        assert list(tmp_path.iterdir()) == []

    def test_datagrams_fit_through_every_path(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        handshake = identity.begin(expected(certificate), SOURCE)

        said = meet(handshake, DtlsClient(certificate, mtu=300))

        assert isinstance(handshake.outcome, Keys)
        assert max(len(datagram) for datagram in said) <= MTU
        assert all(is_dtls(datagram) for datagram in said)


class TestFailures:
    def test_another_certificate_ends_it_before_there_are_keys(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(Certificate())
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, client)

        assert handshake.outcome is Failure.WRONG_CERTIFICATE
        assert client.is_done is False

    def test_a_peer_without_a_certificate_is_nobody(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(None)
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, client)

        assert handshake.outcome is Failure.NO_HANDSHAKE
        assert client.is_done is False

    @pytest.mark.parametrize("profiles", [b"", b"SRTP_AES128_CM_SHA1_32"])
    def test_a_peer_without_a_profile_of_ours_gets_no_keys(
        self, identity: Identity, certificate: Certificate, profiles: bytes
    ) -> None:
        handshake = identity.begin(expected(certificate), SOURCE)

        meet(handshake, DtlsClient(certificate, profiles=profiles))

        assert handshake.outcome is Failure.NO_SUITE

    def test_noise_before_and_between_changes_nothing(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        handshake = identity.begin(expected(certificate), SOURCE)
        noise = [
            b"",
            b"\x16",
            b"\x16\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + secrets.token_bytes(32),
            b"\x16\xfe\xfd" + bytes(8) + b"\xff\xff" + secrets.token_bytes(32),
            b"\x16\xfe\xfd" + bytes(8) + b"\x00\x20\x63" + secrets.token_bytes(31),
            b"\x17\xfe\xfd" + bytes(8) + b"\x00\x20" + secrets.token_bytes(32),
            b"\x3f" * 1400,
            b"\x14\xfe\xfd" + bytes(8) + b"\x00\x01\x01",
        ]

        for datagram in noise:
            handshake.take(datagram)
        for hello in client.go_on():
            handshake.take(hello)
        for datagram in noise:
            handshake.take(datagram)
        carry(handshake, client)
        meet(handshake, client)

        assert isinstance(handshake.outcome, Keys)

    def test_an_alert_that_anybody_could_have_sent_ends_nothing(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        handshake = identity.begin(expected(certificate), SOURCE)
        fatal = b"\x15\xfe\xfd" + bytes(6) + b"\x00\x63" + b"\x00\x02" + b"\x02\x28"

        (hello,) = client.go_on()
        handshake.take(hello)
        handshake.take(fatal)
        handshake.take(fatal + fatal)
        carry(handshake, client)
        meet(handshake, client)

        assert isinstance(handshake.outcome, Keys)

    def test_what_comes_after_a_failure_is_not_looked_at(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        handshake = identity.begin(expected(certificate), SOURCE)
        meet(handshake, DtlsClient(Certificate()))
        handshake.outgoing()

        (hello,) = DtlsClient(certificate).go_on()
        handshake.take(hello)

        assert handshake.outcome is Failure.WRONG_CERTIFICATE
        assert handshake.outgoing() == []
        assert handshake.timeout_s() is None

    def test_digests_that_nobody_could_show_are_a_mistake_of_ours(self) -> None:
        with pytest.raises(ValueError, match="no digests"):
            ExpectedPeer(algorithm="sha-1", digests=(bytes(20),))


class TestLostDatagrams:
    def test_a_flight_is_sent_again_when_its_time_is_up(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        handshake = identity.begin(expected(certificate), SOURCE)
        (hello,) = DtlsClient(certificate).go_on()
        handshake.take(hello)
        first = handshake.outgoing()

        timeout_s = handshake.timeout_s()
        assert timeout_s is not None
        deadline = time.monotonic() + 10
        while not (again := handshake.outgoing()):
            assert time.monotonic() < deadline
            handshake.on_timeout()

        assert sum(map(len, again)) == sum(map(len, first))

    def test_the_last_flight_is_repeated_for_a_peer_that_missed_it(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        handshake = identity.begin(expected(certificate), SOURCE)
        (hello,) = client.go_on()
        handshake.take(hello)
        for answer in handshake.outgoing():
            for further in client.take(answer):
                handshake.take(further)
        assert isinstance(handshake.outcome, Keys)
        lost = handshake.outgoing()
        assert lost != []

        deadline = time.monotonic() + 10
        while not client.is_done:
            assert time.monotonic() < deadline
            for further in client.repeat():
                handshake.take(further)
            for answer in handshake.outgoing():
                client.take(answer)

        assert client.error is None


class TestCookies:
    def test_an_address_costs_nothing_until_it_brings_its_cookie(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        (first,) = client.go_on()

        begun, answers = identity.listen(first, expected(certificate), SOURCE)
        assert begun is None
        # No longer than what was sent: there is nothing to reflect.
        assert [len(one) <= len(first) for one in answers] == [True]

        (second,) = client.take(answers[0])
        elsewhere, _ = identity.listen(second, expected(certificate), ELSEWHERE)
        assert elsewhere is None

        begun, answers = identity.listen(second, expected(certificate), SOURCE)
        assert begun is not None
        for answer in answers:
            for further in client.take(answer):
                begun.take(further)
        for answer in begun.outgoing():
            client.take(answer)
        assert isinstance(begun.outcome, Keys)
        assert client.is_done

    def test_cookies_of_another_process_are_worth_nothing(
        self, identity: Identity, certificate: Certificate
    ) -> None:
        client = DtlsClient(certificate)
        (first,) = client.go_on()
        _, answers = Identity.fresh().listen(first, expected(certificate), SOURCE)
        (second,) = client.take(answers[0])

        begun, _ = identity.listen(second, expected(certificate), SOURCE)

        assert begun is None

    @pytest.mark.parametrize(
        "noise",
        [b"\x16\xfe\xfd" + bytes(40), b"\x16\xfe\xfd" + bytes(8) + b"\x00\x20" * 20],
    )
    def test_noise_begins_nothing(
        self, identity: Identity, certificate: Certificate, noise: bytes
    ) -> None:
        begun, _ = identity.listen(noise, expected(certificate), SOURCE)

        assert begun is None


class TestKindOfDatagram:
    def test_a_client_hello_is_known_by_its_head(
        self, certificate: Certificate
    ) -> None:
        (hello,) = DtlsClient(certificate).go_on()

        assert is_client_hello(hello)
        assert not is_client_hello(hello[:20])
        assert not is_client_hello(b"\x16\x03\x01" + hello[3:])
        assert not is_client_hello(hello[:3] + b"\x00\x01" + hello[5:])
        assert not is_client_hello(hello[:13] + b"\x02" + hello[14:])

    def test_the_first_octet_says_dtls(self) -> None:
        said = [octet for octet in range(256) if is_dtls(bytes([octet]) + bytes(13))]

        assert said == list(range(20, 64))
