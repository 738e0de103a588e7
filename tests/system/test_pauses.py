"""Pauses of a whole installation: by an integration, and by an operator."""

from itertools import pairwise

import numpy as np
import pytest

from tests.simulators.hearing import RATE_HZ, decoded
from tests.simulators.installation import Call, until
from tests.simulators.site import NUMBERS, Site
from vault.core.flow import Allowance

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def begun(site: Site, **facts: str) -> Call:
    return site.pbx.begin(seconds=6.0, workgroup="Claims", **{**NUMBERS, **facts})


def silence_s(samples: np.ndarray) -> float:
    """Return the longest stretch without any sound at all."""
    heard = np.flatnonzero(samples.any(axis=0))
    return max(after - before for before, after in pairwise(heard.tolist())) / RATE_HZ


def test_a_desktop_pauses_the_call_of_its_agent_which_goes_on_by_itself(
    site: Site,
) -> None:
    desktop = site.vault.add_pbx("desktop", Allowance.PAUSE_OTHERS)
    call = begun(site, agent="desktop-agent")

    with site.pbx.speaking(call):
        until(
            lambda: site.pbx.status(call)["streams"][0]["packets_authentic"] > 50,
            "the call is heard",
        )
        answer = desktop.http.post(
            "/forks/matching",
            json={
                "call": {"agent": "desktop-agent"},
                "state": "paused",
                "resume_after_s": 1.5,
            },
        )
        found = answer.json()["forks"]
        until(
            lambda: site.pbx.status(call)["state"] == "recording",
            "it goes on by itself",
        )
    site.pbx.end(call)
    heard = site.wait(call)
    samples = decoded(site.sam.get(f"/recordings/{call.id}/audio").content)
    who = {
        entry["action"]: entry["actor"]
        for entry in site.vault.trail()
        if entry.get("recording") == call.id
    }

    assert [(call.id, "paused")] == [(one["id"], one["state"]) for one in found]
    assert heard.state == ("ready", None)
    assert heard.shown["duration_s"] == pytest.approx(6.0, abs=0.1)
    assert heard.call.packets == heard.total("packets_authentic")
    assert heard.total("packets_lost") == 0
    # The simulated talk has shorter breaks of its own, on both lines at once.
    assert 1.3 < silence_s(samples) < 2.5
    assert who["recording.paused"].startswith("device:")
    assert who["recording.resumed"] == "process:tap"


def test_an_operator_pauses_and_resumes_on_the_machine(site: Site) -> None:
    call = begun(site)

    paused = site.vault.json("recordings", "pause", call.id)
    resumed = site.vault.json("recordings", "resume", call.id)
    site.pbx.end(call)
    gone = site.vault.run("recordings", "pause", call.id)

    assert [(call.id, "paused"), (call.id, "recording")] == [
        (one["id"], one["state"]) for one in (paused, resumed)
    ]
    assert 0 < paused["resumes_in_s"] <= 900
    assert resumed["resumes_in_s"] is None
    assert 1 == gone.returncode
    assert "no such call" in gone.stderr
