"""Calls of a WebRTC gateway outlive the tap, and the worker that has them."""

from collections.abc import Iterator

import pytest

from tests.simulators.installation import until
from tests.simulators.site import Site
from tests.simulators.webrtc import Gateway

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-troubled")]


@pytest.fixture
def peers() -> Iterator[tuple[Gateway, Gateway]]:
    agent, customer = Gateway(), Gateway()
    yield agent, customer
    agent.close()
    customer.close()


def handshakes(site: Site, id: str) -> list[str]:
    """Return where the handshakes of a call stand."""
    streams = site.pbx.http.get(f"/forks/{id}").json()["streams"]
    return [stream["handshake"] for stream in streams]


def test_a_keyed_stream_goes_on_and_an_interrupted_handshake_can_be_offered_again(
    troubled: Site, peers: tuple[Gateway, Gateway]
) -> None:
    agent, customer = peers
    offer = agent.offer(customer)
    made = troubled.pbx.offer(offer, workgroup="Claims").json()
    agent.read(made["sdp"])
    assert agent.is_checked()
    assert agent.shake()
    agent.speak(10)
    until(lambda: handshakes(troubled, made["id"]) == ["done", "pending"], "keys")

    # 1. The supervisor dies: its worker still answers checks and takes media.
    worker = troubled.vault.process("vault.tap.worker")
    troubled.vault.process("tap").kill()
    assert agent.is_checked()
    agent.speak(10)
    until(troubled.vault.takes_calls, "the new one takes calls")
    assert handshakes(troubled, made["id"]) == ["done", "interrupted"]

    # 2. The same offer again: nothing new for one stream, all new for the other.
    again = troubled.pbx.http.put(f"/forks/{made['id']}", json={"sdp": offer})
    assert again.status_code == 200, again.text
    answer = again.json()["sdp"]
    assert answer.split("m=")[1] == made["sdp"].split("m=")[1]
    customer.read(answer, 1)
    assert customer.is_checked()
    assert customer.shake()
    for gateway in peers:
        gateway.speak(10)
    until(lambda: handshakes(troubled, made["id"]) == ["done", "done"], "keys again")

    # 3. The worker dies, too: another one knows keys, counters and credentials.
    worker.kill()
    assert any(agent.is_checked(within_s=0.5) for _ in range(60))
    for gateway in peers:
        gateway.speak(10)
    assert troubled.pbx.http.delete(f"/forks/{made['id']}").status_code == 204
    shown = troubled.vault.finished(troubled.sam, made["id"])

    counted = [
        (one["packets_authentic"], one["packets_lost"], one["packets_undecryptable"])
        for one in shown["streams"]
    ]
    assert counted == [(40, 0, 0), (20, 0, 0)]
