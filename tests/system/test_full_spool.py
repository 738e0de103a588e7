"""A spool without room: what cannot be kept is refused at once."""

import secrets
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.simulators.installation import Call, media_ports, until
from tests.simulators.site import PEOPLE, Site, problem, serving
from vault.tap.simulate import SimulatedCall

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-small")]

MIB = 1 << 20


@pytest.fixture(scope="module")
def small() -> Iterator[Site]:
    """An installation whose spool holds one MiB."""
    with serving(people=PEOPLE[:1], CALLVAULT_SPOOL_QUOTA_BYTES=str(MIB)) as site:
        yield site


def _flood(call: Call, datagrams: int) -> None:
    """Send what looks like RTP and authenticates nowhere; it is kept sealed."""
    pace = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", media_ports(call.answer)[0]))
        for number in range(datagrams):
            header = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number, 7)
            sender.send(header + secrets.token_bytes(1400))
            if number % 20 == 19:
                pace.wait(0.02)


def _refused(site: Site) -> bool:
    answer = site.pbx.offer(SimulatedCall().build_offer(), workgroup="Claims")
    if answer.status_code == 201:
        site.pbx.http.delete(f"/forks/{answer.json()['id']}")
        return False
    assert (503, "/problems/spool-full") == (
        answer.status_code,
        problem(answer)["type"],
    )
    assert int(answer.headers["retry-after"]) > 0
    return True


def test_a_full_spool_refuses_new_calls_and_keeps_the_running_ones(
    small: Site,
) -> None:
    running = small.pbx.begin(seconds=1.0, workgroup="Claims")
    flooded = small.pbx.begin(workgroup="Claims")
    before = _refused(small)
    _flood(flooded, 900)

    until(lambda: _refused(small), "the quota is used")
    small.pbx.speak(running)
    for call in (running, flooded):
        small.pbx.end(call)
    until(lambda: not _refused(small), "there is room again")

    assert not before
    heard = small.wait(running)
    assert heard.state == ("ready", None)
    assert running.packets == heard.total("packets_authentic")
    assert small.wait(flooded).state == ("partial", "srtp-unauthenticated")
