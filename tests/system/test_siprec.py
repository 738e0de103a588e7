"""Calls by SIPREC, from the INVITE to a listener's ear, through ``callvault serve``."""

import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law
from tests.simulators.installation import Installation, until
from tests.simulators.ports import free_port
from tests.simulators.siprec_client import (
    ADA,
    CUSTOMER,
    SiprecPbx,
    new_recording,
    recordings,
)
from vault.sip.messages import Request
from vault.siprec.simulated_bodies import metadata_of
from vault.tap.simulate import SimulatedCall, conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-siprec")]

PEOPLE = (("sam", "supervisor", "default"), ("admin", "administrator"))


class Place:
    """An installation that serves, one device that speaks SIPREC, and a listener."""

    def __init__(self, **settings: str) -> None:
        self.vault = Installation(settings)
        self.vault.said("init", "--yes")
        self.vault.start()
        for person in PEOPLE:
            self.vault.add_user(*person)
        self.token = self.vault.add_pbx("gateway").token
        self.sam = self.vault.sign_in("sam")

    def pbx(self, transport: str = "tcp") -> SiprecPbx:
        return SiprecPbx.of(self.vault, "gateway", self.token, transport)

    def terminate(self) -> None:
        """Ask ``serve`` to end."""
        assert self.vault.serve is not None
        self.vault.serve.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Wait until it has, and return its status."""
        assert self.vault.serve is not None
        return self.vault.serve.wait(60)

    def metrics(self) -> str:
        return httpx.get(f"http://{self.vault.metrics}/metrics", timeout=10).text


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place()
    try:
        yield place
        assert place.vault.stop() == 0
    finally:
        place.vault.close()


@pytest.fixture
def places() -> Iterator[Callable[..., Place]]:
    """Make installations that a test may break."""
    made: list[Place] = []

    def make(**settings: str) -> Place:
        made.append(Place(**settings))
        return made[-1]

    yield make
    for one in made:
        one.vault.close()


class TestACall:
    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    def test_it_is_ready_and_its_parties_are_known(
        self, place: Place, transport: str
    ) -> None:
        before = recordings(place.sam)
        call = place.pbx(transport).place(seconds=2.0)
        id = new_recording(place.sam, before)
        shown = place.vault.finished(place.sam, id)
        audio = place.sam.get(f"/recordings/{id}/audio")

        assert ("ready", None) == (shown["state"], shown["reason"])
        assert call.packets == sum(one["packets_authentic"] for one in shown["streams"])
        assert ["agent", "customer"] == [one["label"] for one in shown["streams"]]
        assert {"sip:ada@example.net", "sip:+442079460123@example.net"} == {
            one["aor"] for one in shown["parties"]
        }
        assert "Ada Lovelace" in {one.get("name") for one in shown["parties"]}
        said = mu_law(conversation("agent"))[: 2 * RATE_HZ]
        heard = decoded(audio.content)
        assert any(np.array_equal(said, aligned(said, channel)) for channel in heard)

    def test_who_joins_and_who_leaves_is_shown(self, place: Place) -> None:
        before = recordings(place.sam)
        call = place.pbx().begin(seconds=1.0)
        call.speak()
        bob = replace(ADA, id="p-bob", aor="sip:bob@example.net", name="Bob")
        later = call.client.update("", metadata_of((bob, CUSTOMER)))
        call.end()
        id = new_recording(place.sam, before)
        shown = place.vault.finished(place.sam, id)

        parties = {one["aor"]: one for one in shown["parties"]}

        assert 200 == later.status
        assert {ADA.aor, CUSTOMER.aor, bob.aor} == set(parties)
        assert "left" in parties[ADA.aor]
        assert "joined" in parties[bob.aor]

    def test_it_may_be_asked_for_by_who_does_not_know_the_token_and_is_not_recorded(
        self, place: Place
    ) -> None:
        before = recordings(place.sam)
        stranger = place.pbx()
        stranger.token = "guessed"
        client, answer = stranger.invited(SimulatedCall(seconds=0.1))
        client.close()

        assert 401 == answer.status
        assert before == recordings(place.sam)

    def test_metrics_and_readiness_know_of_it(self, place: Place) -> None:
        with place.pbx().client() as client:
            options = client.options()
        until(lambda: 'requests_total{method="OPTIONS"}' in place.metrics(), "metrics")
        said = place.vault.said("doctor")
        ready = httpx.get(f"http://{place.vault.web}/readyz", timeout=10).json()

        assert 200 == options.status
        assert "callvault_sip_listeners 2.0" in place.metrics()
        assert f"SIP listens on udp:{place.vault.sip}" in " ".join(said.split())
        assert "ok" == ready["checks"]["tap"]

    def test_no_number_and_no_name_is_in_the_log(self, place: Place) -> None:
        place.pbx().place(seconds=0.2)
        logged = place.vault.logged()

        assert "442079460123" not in logged
        assert "ada@" not in logged
        assert "Lovelace" not in logged
        assert place.token not in logged


def test_over_tls_calls_are_recorded_and_those_that_run_at_the_end_are_hung_up(
    places: Callable[..., Place], tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path)
    port = free_port()
    place = places(
        CALLVAULT_SIP_TLS_CERT=str(cert),
        CALLVAULT_SIP_TLS_KEY=str(key),
        CALLVAULT_SIP_LISTEN=f"tls:127.0.0.1:{port}",
    )
    place.vault.sip = f"127.0.0.1:{port}"
    pbx = place.pbx("tls")
    pbx.tls = ssl.create_default_context(cafile=str(cert))
    pbx.place(seconds=1.0)
    shown = place.vault.finished(place.sam, new_recording(place.sam, ()))
    call = pbx.begin(seconds=2.0)
    with call.speaking():
        place.terminate()
        bye = call.client.receive(30)
        assert isinstance(bye, Request)
        call.client._take(bye)
    status = place.ended()
    call.client.close()

    assert "ready" == shown["state"]
    assert ("BYE", 0) == (bye.method, status)
    assert "goes down" in (bye.headers.get("Reason") or "")


def test_the_first_check_needs_no_pbx(place: Place) -> None:
    file = place.vault.place / "gateway.token"
    file.write_text(place.token)
    file.chmod(0o600)
    before = recordings(place.sam)
    words = ["--siprec", f"udp:{place.vault.sip}", "--device", "gateway"]
    said = place.vault.json(
        "simulate", *words, "--token-file", file, "--seconds", "0.5", "--agent", "ada"
    )
    shown = place.vault.finished(place.sam, new_recording(place.sam, before))
    wrong = place.vault.run(
        "simulate", *words[:-1], "nobody", "--token-file", file, "--seconds", "0.5"
    )

    assert ("ready", 50) == (shown["state"], said["sent"])
    assert "tel:+442079460123" in {one["aor"] for one in shown["parties"]}
    assert (1, True) == (wrong.returncode, "answered 401" in wrong.stderr)


def test_a_dialog_outlives_the_tap(places: Callable[..., Place]) -> None:
    place = places(CALLVAULT_DRAIN_S="600")
    call = place.pbx("udp").begin(seconds=6.0)
    with call.speaking():
        place.vault.process("tap").kill()
        until(place.vault.takes_calls, "the next tap serves")
        held = call.client.update("", metadata_of((ADA,)))
    call.end()
    shown = place.vault.finished(place.sam, new_recording(place.sam, ()))

    assert 200 == held.status
    assert ("ready", None) == (shown["state"], shown["reason"])
    assert shown["duration_s"] == pytest.approx(6.0, abs=0.1)
    assert '"how": "bye"' in place.vault.logged()

    # It drains for ten minutes, unless it is asked twice.
    call = place.pbx().begin(seconds=1.0)
    place.terminate()
    until(lambda: "tap.draining" in place.vault.logged(), "it drains")
    place.terminate()
    call.client.close()

    assert 0 == place.ended()


def test_while_it_drains_calls_run_out_and_new_ones_go_elsewhere(
    places: Callable[..., Place],
) -> None:
    place = places(CALLVAULT_DRAIN_S="60")
    pbx = place.pbx()
    call = pbx.begin(seconds=3.0)
    with call.speaking():
        place.terminate()
        until(lambda: "tap.draining" in place.vault.logged(), "it drains")
        with pbx.client() as asking:
            options = asking.options()
        client, refused = pbx.invited(SimulatedCall(seconds=0.1))
        client.close()
        pages = place.sam.get("/recordings").status_code
    call.end()

    assert (503, 503, 200) == (options.status, refused.status, pages)
    assert "30" == options.headers.get("Retry-After")
    assert 0 == place.ended()
    assert '"cut": 0' in place.vault.logged()


class TestPorts:
    def test_one_that_was_asked_for_and_is_taken_stops_the_tap(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            vault = Installation({"CALLVAULT_SIP_LISTEN": f"tcp:127.0.0.1:{port}"})
            try:
                vault.said("init", "--yes")
                ended = vault.run("tap")
            finally:
                vault.close()

        assert 1 == ended.returncode
        assert str(port) in ended.stderr
