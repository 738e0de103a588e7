"""Handshakes on a real socket: peers that do well, peers that don't, and strangers."""

import asyncio
import contextlib
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.webrtc import Certificate, DtlsClient, Gateway
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import association
from vault.tap.association import MOST_HANDSHAKES, Association, Expectation
from vault.tap.dtls import ExpectedPeer, Failure, Identity, Keys
from vault.tap.orders import IceCredentials

pytestmark = pytest.mark.network
OURS = IceCredentials(ufrag="oursours", password=SecretBytes(b"p" * 32))
IDENTITY = Identity.fresh()


@dataclass
class Place:
    """A media socket and the peer that is expected there."""

    end: socket.socket
    gateway: Gateway
    others: list[Gateway]

    def expectation(self, within_s: float = 20.0) -> Expectation:
        """Return what an offer of the gateway leads to."""
        return Expectation(
            identity=IDENTITY,
            peer=ExpectedPeer(
                algorithm="sha-256", digests=(self.gateway.certificate.digest(),)
            ),
            ice=OURS if self.gateway.ice else None,
            checked=self.gateway.ice,
            host=self.gateway.address,
            within_s=within_s,
        )

    def stranger(self, **what: Any) -> Gateway:
        """Return somebody who knows the port, and nothing else."""
        stranger = Gateway(**{"address": "127.0.0.2", **what})
        self.others.append(stranger)
        self.tell(stranger)
        stranger.address = "127.0.0.1"  # where it sends to
        return stranger

    def tell(self, gateway: Gateway) -> None:
        """Tell a peer what the answer would."""
        gateway.port = self.end.getsockname()[1]
        gateway.their_ufrag = OURS.ufrag
        gateway.their_password = OURS.password.reveal().decode()
        gateway.their_digest = IDENTITY.sha256

    def waiting(self) -> list[bytes]:
        """Return the datagrams that are left in the kernel."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.end.recv(4096))
        return found

    def meet(
        self, work: Callable[[], object], within_s: float = 20.0
    ) -> tuple[Keys | Failure, object]:
        """Let the peers work while the socket is waited on."""

        async def both() -> tuple[Keys | Failure, object]:
            wait = Association(self.end, self.expectation(within_s))
            working = asyncio.create_task(asyncio.to_thread(work))
            outcome = await waited(wait)
            return outcome, await working

        return asyncio.run(both())


async def waited(wait: Association) -> Keys | Failure:
    """Wait for keys, and for the peer to have our last flight."""
    try:
        outcome = await wait.keys()
        await wait.settle()
        return outcome
    finally:
        wait.close()


@pytest.fixture
def place() -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(**what: Any) -> Place:
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.setblocking(False)
        end.bind(("127.0.0.1", 0))
        made.append(Place(end, Gateway(**what), []))
        made[-1].tell(made[-1].gateway)
        return made[-1]

    yield make
    for one in made:
        one.end.close()
        for gateway in (one.gateway, *one.others):
            gateway.close()


Places = Callable[..., Place]


class TestPeersThatDoWell:
    @pytest.mark.parametrize("ice", [True, False])
    def test_keys_come_and_media_stays_in_the_kernel(
        self, place: Places, ice: bool
    ) -> None:
        here = place(ice=ice)

        def call() -> bool:
            checked = not ice or here.gateway.is_checked()
            shaken = here.gateway.shake()
            here.gateway.speak(5)
            return checked and shaken

        outcome, well = here.meet(call)

        assert isinstance(outcome, Keys)
        assert outcome.suite is SrtpSuite.AEAD_AES_256_GCM
        assert well is True
        assert [packet[0] for packet in here.waiting()] == [0x80] * 5

    def test_checks_are_answered_between_handshake_and_media(
        self, place: Places
    ) -> None:
        here = place()

        def call() -> bool:
            here.gateway.is_checked()
            here.gateway.shake()
            consent = here.gateway.is_checked()
            here.gateway.speak(1)
            return consent

        outcome, consent = here.meet(call)

        assert isinstance(outcome, Keys)
        assert consent is True

    @pytest.mark.parametrize("lose", [(0,), (1,)])
    def test_lost_flights_are_made_up_for(
        self, place: Places, lose: tuple[int, ...]
    ) -> None:
        here = place()

        def call() -> bool:
            here.gateway.is_checked()
            shaken = here.gateway.shake(lose=lose)
            here.gateway.speak(3)
            return shaken

        outcome, shaken = here.meet(call)

        assert isinstance(outcome, Keys)
        assert shaken is True
        assert len(here.waiting()) == 3

    def test_flights_in_small_pieces_are_put_together(self, place: Places) -> None:
        here = place(mtu=256)

        def call() -> bool:
            here.gateway.is_checked()
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return shaken

        outcome, shaken = here.meet(call)

        assert isinstance(outcome, Keys)
        assert shaken is True

    def test_a_peer_that_has_nothing_to_send_is_not_waited_for_for_ever(
        self, place: Places, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(association, "LINGER_S", 0.3)
        here = place()

        outcome, _ = here.meet(
            lambda: here.gateway.is_checked() and here.gateway.shake()
        )

        assert isinstance(outcome, Keys)


@pytest.mark.peer
class TestOpenssl:
    def test_its_client_exports_the_keys_that_we_do(self, tmp_path: Path) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("no openssl (Debian: apt-get install openssl)")
        certificate = Certificate()
        (tmp_path / "peer.pem").write_bytes(certificate.pem())
        client = (
            *(openssl, "s_client", "-dtls1_2", "-use_srtp", "SRTP_AEAD_AES_128_GCM"),
            *("-cert", str(tmp_path / "peer.pem"), "-key", str(tmp_path / "peer.pem")),
            *("-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "56"),
        )

        async def both() -> tuple[Keys | Failure, str]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.setblocking(False)
                end.bind(("127.0.0.1", 0))
                peer = ExpectedPeer(
                    algorithm="sha-256", digests=(certificate.digest(),)
                )
                expected = Expectation(identity=IDENTITY, peer=peer, host="127.0.0.1")
                wait = Association(end, expected)
                running = await asyncio.create_subprocess_exec(
                    *client,
                    *("-connect", f"127.0.0.1:{end.getsockname()[1]}"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                assert running.stdout is not None
                outcome, said = await wait.keys(), ""
                async with asyncio.timeout(20):
                    while "Keying material: " not in said:
                        said += (await running.stdout.readline()).decode()
                running.kill()
                await running.communicate()
                wait.close()
                return outcome, said

        outcome, said = asyncio.run(both())

        # client key ‖ server key ‖ client salt ‖ server salt
        material = bytes.fromhex(said.rpartition("Keying material: ")[2].strip())
        assert isinstance(outcome, Keys)
        assert outcome.suite is SrtpSuite.AEAD_AES_128_GCM
        assert outcome.key.reveal() == material[:16] + material[32:44]
        assert "SRTP Extension negotiated, profile=SRTP_AEAD_AES_128_GCM" in said


class TestStrangers:
    def test_a_hello_from_an_address_that_passed_no_check_gets_silence(
        self, place: Places
    ) -> None:
        here = place()
        stranger = here.stranger()

        def call() -> object:
            # Before the peer, while it shakes hands, and with its own hello.
            stranger.send(*stranger.client.go_on())
            here.gateway.is_checked()
            stranger.send(*stranger.client.go_on())
            hello = here.gateway.client.go_on()
            stranger.send(*hello)
            here.gateway.send(*hello)
            stranger.send(*DtlsClient(stranger.certificate).go_on())
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return shaken, stranger.receive()

        outcome, (shaken, heard) = here.meet(call)

        assert isinstance(outcome, Keys)
        assert (shaken, heard) == (True, None)

    def test_a_check_under_a_wrong_password_opens_no_door(self, place: Places) -> None:
        here = place()
        stranger = here.stranger()

        def call() -> object:
            checked = stranger.is_checked(
                stranger.check(password="q" * 32), within_s=0.2
            )
            stranger.send(*stranger.client.go_on())
            return checked, stranger.receive()

        outcome, heard = here.meet(call, within_s=1.0)

        assert outcome is Failure.NO_CHECK
        assert heard == (False, None)

    def test_without_ice_strangers_with_cookies_leave_the_named_host_its_turn(
        self, place: Places
    ) -> None:
        here = place(ice=False)
        strangers = [here.stranger(ice=False) for _ in range(MOST_HANDSHAKES + 3)]

        def call() -> object:
            half_way = 0
            for one in strangers:
                # A cookie, a handshake begun, and then nothing more.
                one.send(*one.client.go_on())
                if (cookie := one.receive()) is not None:
                    one.send(*one.client.take(cookie))
                    half_way += one.receive() is not None
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return half_way, shaken

        outcome, seen = here.meet(call)

        assert isinstance(outcome, Keys)
        assert seen == (MOST_HANDSHAKES, True)

    def test_without_ice_another_certificate_spoils_nothing(
        self, place: Places
    ) -> None:
        here = place(ice=False)
        stranger = here.stranger(ice=False)

        def call() -> object:
            refused = stranger.shake(within_s=5.0)
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return refused, shaken

        outcome, seen = here.meet(call)

        assert isinstance(outcome, Keys)
        assert seen == (False, True)

    def test_a_flood_of_noise_and_hellos_costs_a_share_and_no_handshake(
        self, place: Places
    ) -> None:
        here = place()
        stranger = here.stranger()
        hello = stranger.client.go_on()

        def call() -> object:
            for _ in range(300):
                stranger.send(secrets.token_bytes(60), *hello, b"\x80" + bytes(171))
            # The buffer may be full: a browser repeats its checks, too.
            checked = any(here.gateway.is_checked(within_s=0.2) for _ in range(50))
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return checked, shaken, stranger.receive()

        outcome, seen = here.meet(call)

        assert isinstance(outcome, Keys)
        assert seen == (True, True, None)


class TestFailures:
    def test_nobody_comes(self, place: Places) -> None:
        checked, unchecked = place(), place(ice=False)

        outcomes = [one.meet(lambda: None, 0.2)[0] for one in (checked, unchecked)]

        assert outcomes == [Failure.NO_CHECK, Failure.NO_HANDSHAKE]

    def test_the_peer_has_another_certificate(self, place: Places) -> None:
        here = place()
        here.gateway.client = DtlsClient(Certificate())

        def call() -> object:
            return here.gateway.is_checked(), here.gateway.shake(within_s=3.0)

        outcome, seen = here.meet(call, within_s=2.5)

        assert outcome is Failure.WRONG_CERTIFICATE
        assert seen == (True, False)

    def test_the_peer_wants_no_srtp(self, place: Places) -> None:
        here = place(profiles=b"")

        def call() -> object:
            return here.gateway.is_checked() and here.gateway.shake(within_s=3.0)

        outcome, _ = here.meet(call, within_s=2.5)

        assert outcome is Failure.NO_SUITE

    def test_a_peer_that_begins_again_after_a_failure_succeeds(
        self, place: Places
    ) -> None:
        here = place()

        def call() -> object:
            here.gateway.is_checked()
            right, here.gateway.client = (
                here.gateway.client,
                DtlsClient(Certificate()),
            )
            refused = here.gateway.shake(within_s=3.0)
            here.gateway.client = right
            shaken = here.gateway.shake()
            here.gateway.speak(1)
            return refused, shaken

        outcome, seen = here.meet(call)

        assert isinstance(outcome, Keys)
        assert seen == (False, True)


class TestLife:
    def test_after_an_ice_restart_checks_pass_under_the_new_password(
        self, place: Places
    ) -> None:
        here = place()
        new = replace(OURS, ufrag="newfresh", password=SecretBytes(b"n" * 32))

        async def both() -> tuple[Keys | Failure, object]:
            wait = Association(here.end, here.expectation())
            waiting = asyncio.create_task(waited(wait))
            await asyncio.sleep(0)
            wait.renew(new)

            def call() -> object:
                old = here.gateway.is_checked(within_s=0.2)
                here.gateway.their_ufrag = new.ufrag
                here.gateway.their_password = new.password.reveal().decode()
                renewed = here.gateway.is_checked()
                here.gateway.shake()
                here.gateway.speak(1)
                return old, renewed

            seen = await asyncio.to_thread(call)
            return await waiting, seen

        outcome, seen = asyncio.run(both())

        assert isinstance(outcome, Keys)
        assert seen == (False, True)

    def test_a_wait_that_is_ended_reads_no_more(self, place: Places) -> None:
        here = place()

        async def ended() -> None:
            wait = Association(here.end, here.expectation())
            waiting = asyncio.create_task(waited(wait))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            here.gateway.send(b"\x80" + bytes(20))
            await asyncio.sleep(0.1)

        asyncio.run(ended())

        assert len(here.waiting()) == 1
