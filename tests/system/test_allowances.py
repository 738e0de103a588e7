"""Unsafe media, from the command that allows it to the mark that a reader sees."""

from collections.abc import Mapping

import pytest

from tests.simulators.installation import Installation, until
from tests.simulators.site import Heard, Site, problem
from vault.core.media import Protection, SrtpSuite
from vault.tap.simulate import SimulatedCall

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def plain_offer() -> str:
    return SimulatedCall(suite=SrtpSuite.PLAIN_RTP, seconds=0.2).build_offer()


def leaves(vault: Installation, device: str) -> list[tuple[object, object]]:
    """Return what the trail says of a device: the action, and what it may."""
    return [
        (entry["action"], entry["detail"]["allowances"])
        for entry in vault.trail()
        if entry.get("detail", {}).get("device") == device
    ]


def test_what_is_taken_back_ends_within_seconds_and_running_calls_go_on(
    site: Site,
) -> None:
    vault = site.vault
    old = vault.add_pbx("old-pbx", "plain-rtp")
    running = old.begin(suite=SrtpSuite.PLAIN_RTP, seconds=0.5, workgroup="Claims")
    said = vault.run("device", "allow", "OLD-PBX", "--none")
    refused = until(
        lambda: (
            answer if (answer := old.offer(plain_offer())).is_client_error else None
        ),
        "the tap refuses plain RTP",
    )
    old.speak(running)
    old.end(running)
    heard = site.wait(running)
    again = vault.run("device", "allow", "old-pbx", "--none")
    (listed,) = [
        one for one in vault.json("device", "list") if one["name"] == "old-pbx"
    ]

    assert "old-pbx may: nothing unsafe" in said.stdout
    assert (422, 6) == (refused.status_code, problem(refused)["line"])
    assert ("ready", None) == heard.state
    assert running.packets == heard.total("packets_authentic")
    assert (0, []) == (again.returncode, listed["allowances"])
    assert [
        ("access.device.added", "plain-rtp"),
        ("access.device.changed", "none"),
    ] == leaves(vault, listed["id"])


def test_an_allowance_says_what_it_costs(site: Site) -> None:
    site.vault.said("device", "add", "wary-pbx")
    allowed = site.vault.run("device", "allow", "wary-pbx", "plain-rtp")
    site.vault.said("device", "allow", "wary-pbx", "--none")

    assert "put words into them" in allowed.stderr
    assert "wary-pbx may: plain-rtp; taps know within 5 s." in allowed.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("device", "allow", "other-pbx"),
        ("device", "allow", "other-pbx", "plain-rtp", "--none"),
    ],
    ids=" ".join,
)
def test_what_could_be_misread_is_wrong_use(site: Site, words: tuple[str, ...]) -> None:
    done = site.vault.run(*words)

    assert (2, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("suite", list(SrtpSuite))
def test_a_recording_says_how_its_media_came(
    site: Site, suite: SrtpSuite, calls_by_suite: Mapping[SrtpSuite, Heard]
) -> None:
    heard = calls_by_suite[suite]
    started = next(
        entry["detail"].get("protection", Protection.STRONG)
        for entry in site.vault.trail()
        if entry["action"] == "recording.started" and entry["recording"] == heard.id
    )

    assert suite.protection == heard.shown["protection"] == started
    assert [suite.protection] * 2 == [
        stream["protection"] for stream in heard.shown["streams"]
    ]
