"""A crash costs a second, not a call: every process killed while it works."""

import signal

import numpy as np
import pytest

from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law
from tests.simulators.installation import Call, until
from tests.simulators.site import Heard, Site
from vault.tap.simulate import SimulatedCall, conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-troubled")]

SECOND = 100
"Packets of both parties."


def _received(site: Site, call: Call) -> int:
    streams = site.pbx.status(call)["streams"]
    return sum(stream["packets_received"] for stream in streams)


def _begun(site: Site, seconds: float = 5.0) -> Call:
    return site.pbx.begin(seconds=seconds, workgroup="Claims")


def _objects(site: Site, heard: Heard) -> set[str]:
    told = site.vault.json("recordings", "show", heard.id)
    return {one["name"] for one in told["objects"]}


def _heard_seconds(site: Site, heard: Heard) -> float:
    """Return how much of what was said is heard, sample for sample, in place."""
    audio = decoded(site.sam.get(f"/recordings/{heard.id}/audio").content)[0]
    said = mu_law(conversation("agent"))[: len(audio)]
    return float(np.count_nonzero(said == aligned(said, audio)) / RATE_HZ)


def test_a_killed_media_worker_costs_a_second_at_most(troubled: Site) -> None:
    call = _begun(troubled)
    with troubled.pbx.speaking(call):
        until(lambda: _received(troubled, call) > 1.5 * SECOND, "media flows")
        worker = troubled.vault.process("vault.tap.worker")
        worker.kill()
    troubled.pbx.end(call)

    heard = troubled.wait(call)

    assert heard.shown["state"] in {"ready", "partial"}
    assert heard.shown["how"] == "bye"
    assert {"capture/0001.recovered", "capture/0002"} <= _objects(troubled, heard)
    assert heard.shown["duration_s"] == pytest.approx(5.0, abs=0.1)
    assert _heard_seconds(troubled, heard) > 5.0 - 1.5
    assert worker.pid != troubled.vault.process("vault.tap.worker").pid


def test_a_killed_tap_costs_no_packet_and_its_calls_go_on(troubled: Site) -> None:
    call = _begun(troubled)
    with troubled.pbx.speaking(call):
        until(lambda: _received(troubled, call) > 2 * SECOND, "media flows")
        tap = troubled.vault.process("tap")
        worker = troubled.vault.process("vault.tap.worker")
        tap.kill()
        until(troubled.vault.takes_calls, "the new one takes calls")
    troubled.pbx.end(call)
    lived = worker.runs
    # It is no descendant of ``serve`` any more; its successor is one again.
    worker.kill()
    until(lambda: _takes(troubled), "there is another worker")

    heard = troubled.wait(call)

    assert tap.pid != troubled.vault.process("tap").pid
    assert lived
    assert heard.state == ("ready", None)
    assert call.packets == heard.total("packets_authentic")
    assert heard.total("packets_authentic") == heard.total("packets_received")
    assert "capture/0002" not in _objects(troubled, heard)
    assert _heard_seconds(troubled, heard) > 5.0 - 0.1


def test_a_tap_killed_with_its_media_worker_goes_on_in_the_next_part(
    troubled: Site,
) -> None:
    """``serve`` has kept the sockets and the call's page."""
    call = _begun(troubled)
    with troubled.pbx.speaking(call):
        until(lambda: _received(troubled, call) > 2 * SECOND, "media flows")
        for one in (troubled.vault.process("tap"), troubled.vault.process("vault.tap.worker")):  # fmt: skip
            one.kill()
        until(troubled.vault.takes_calls, "the new one takes calls")
    troubled.pbx.end(call)

    heard = troubled.wait(call)

    assert heard.shown["state"] in {"ready", "partial"}
    assert heard.shown["how"] == "bye"
    assert {"capture/0001.recovered", "capture/0002"} <= _objects(troubled, heard)
    assert _heard_seconds(troubled, heard) > 5.0 - 1.5


def test_a_killed_renderer_is_replaced_and_renders(troubled: Site) -> None:
    worker = troubled.vault.process("worker")
    worker.stop()
    call = troubled.pbx.place(seconds=1.0, workgroup="Claims")
    worker.kill()

    heard = troubled.wait(call)

    assert heard.state == ("ready", None)
    assert worker.pid != troubled.vault.process("worker").pid


def test_a_killed_syncer_refuses_new_calls_until_there_is_another(
    troubled: Site,
) -> None:
    running = _begun(troubled, seconds=2.0)
    syncer = troubled.vault.process("vault.tap.syncer")
    syncer.kill()

    with troubled.pbx.speaking(running):
        until(lambda: _takes(troubled), "new calls are taken again")
    troubled.pbx.end(running)

    assert syncer.pid != troubled.vault.process("vault.tap.syncer").pid
    heard = troubled.wait(running)
    assert heard.state == ("ready", None)
    assert running.packets == heard.total("packets_authentic")


def _takes(site: Site) -> bool:
    answer = site.pbx.offer(SimulatedCall().build_offer(), workgroup="Claims")
    if answer.status_code == 201:
        site.pbx.http.delete(f"/forks/{answer.json()['id']}")
        return True
    assert answer.status_code == 503
    return False


def test_a_killed_web_is_replaced_and_sessions_stay(troubled: Site) -> None:
    web = troubled.vault.process("web")
    web.kill()

    until(troubled.vault.is_ready, "another web process serves")

    assert troubled.sam.get("/recordings").status_code == 200


def test_stopping_serve_cuts_calls_in_progress_and_loses_nothing(
    troubled: Site,
) -> None:
    call = _begun(troubled)
    with troubled.pbx.speaking(call):
        until(lambda: _received(troubled, call) > 2 * SECOND, "media flows")
        received = _received(troubled, call)
        left = troubled.vault.descendants()
        status = troubled.vault.stop()
    running = [one for one in left if one.runs]
    troubled.vault.start()

    heard = troubled.wait(call)

    assert (0, []) == (status, running)
    assert heard.state == ("partial", "cut")
    # Sealed by the tap that ended, not recovered by the next one.
    names = _objects(troubled, heard)
    assert "capture/0001" in names
    assert not [name for name in names if name.endswith(".recovered")]
    assert heard.total("packets_authentic") >= received
    assert _heard_seconds(troubled, heard) >= received / SECOND - 0.1


def test_a_killed_serve_takes_its_children_along_and_starts_again(
    troubled: Site,
) -> None:
    call = _begun(troubled)
    with troubled.pbx.speaking(call):
        until(lambda: _received(troubled, call) > 2 * SECOND, "media flows")
        left = troubled.vault.descendants()
        serve = troubled.vault.serve
        assert serve is not None
        serve.send_signal(signal.SIGKILL)
        serve.wait()
        until(lambda: not any(one.runs for one in left), "its children are gone")
    troubled.vault.start()

    heard = troubled.wait(call)

    assert heard.state == ("partial", "cut")
    assert _heard_seconds(troubled, heard) > 2.0 - 1.5
