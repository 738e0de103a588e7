"""``callvault right|class|approval|emergency|hold``, beside a vault that serves."""

import httpx
import pytest

from tests.simulators.installation import Installation
from tests.simulators.site import Heard, Site

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]

WHY = "complaint of Mrs Example"


@pytest.fixture(scope="module")
def heard(site: Site) -> Heard:
    return site.heard(seconds=1.5)


def played(client: httpx.Client, heard: Heard) -> tuple[int, str]:
    answer = client.get(f"/recordings/{heard.id}/audio")
    if answer.status_code < 400:
        return answer.status_code, ""
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def actions(vault: Installation, word: str) -> list[str]:
    return [
        entry["action"]
        for entry in vault.trail()
        if word in entry["action"] and entry["actor"].startswith("os:")
    ]


def test_a_right_counts_from_the_moment_it_is_given(site: Site, heard: Heard) -> None:
    vault = site.vault
    vault.add_user("dora", "agent", "Elsewhere")
    dora = vault.sign_in("dora")
    before = played(dora, heard)
    words = ("--permission", "recording:media:play", "--over", "workgroup:claims")
    given = vault.json("right", "add", "--to", "user:DORA", *words, "--until", "2h")
    during = played(dora, heard)
    listed = vault.json("right", "list")
    vault.said("right", "revoke", given["id"])

    assert ((404, "not-found"), (200, ""), (404, "not-found")) == (
        before,
        during,
        played(dora, heard),
    )
    assert given in listed
    assert ("user:dora", "workgroup:Claims") == (given["to"], given["over"])
    assert ["access.right.given", "access.right.revoked"] == actions(vault, "right")


def test_a_class_asks_and_an_operator_agrees(site: Site, heard: Heard) -> None:
    vault, sam = site.vault, site.sam
    vault.said("class", "set", "sealed", "--needs-approval")
    vault.said("class", "assign", heard.id, "sealed")
    refused = played(sam, heard)
    asked = sam.post("/approvals", json={"recording": heard.id, "reason": WHY}).json()
    (waiting,) = [
        one for one in vault.json("approval", "list") if one["id"] == asked["id"]
    ]
    vault.said("approval", "approve", asked["id"])
    allowed = played(sam, heard)
    in_use = vault.run("class", "remove", "sealed")
    vault.said("class", "assign", heard.id, "--none")
    vault.said("class", "remove", "sealed")

    assert ((403, "approval-required"), (200, "")) == (refused, allowed)
    assert ("play", "pending", "sam", heard.id) == tuple(
        waiting[name] for name in ("kind", "state", "user", "recording")
    )
    assert (1, True) == (in_use.returncode, "recordings" in in_use.stderr)


def test_a_change_of_an_administrator_waits_and_is_refused(site: Site) -> None:
    vault = site.vault
    right = {"to": "role:administrator", "permission": "recording:media:play"}
    asked = site.admin.post("/rights", json=right)
    waiting = {one["id"]: one for one in vault.json("approval", "list")}
    vault.said("approval", "refuse", asked.json()["approval"])

    assert asked.status_code == 202
    assert "right.give" in waiting[asked.json()["approval"]]["change"]


def test_the_glass_is_broken_heard_and_whole_again(site: Site, heard: Heard) -> None:
    vault = site.vault
    vault.add_user("emil", "agent", "Elsewhere")
    emil = vault.sign_in("emil")
    opened = vault.run("emergency", "open", "emil", "--reason-stdin", stdin=WHY + "\n")
    during = played(emil, heard)
    (one,) = vault.json("emergency", "list")
    metrics = vault.told()
    vault.said("emergency", "end", "emil")

    assert 0 == opened.returncode
    assert "access-emergency-opened" in opened.stderr
    assert ((200, ""), (404, "not-found")) == (during, played(emil, heard))
    assert "emil" == one["user"]
    assert "Example" not in metrics
    assert ["access.emergency.opened", "access.emergency.ended"] == actions(
        vault, "emergency"
    )


def test_a_hold_is_placed_seen_and_released(site: Site, heard: Heard) -> None:
    vault = site.vault
    vault.said("hold", "place", heard.id, "--reason", WHY)
    held = site.sam.get(f"/recordings/{heard.id}").json()["held"]
    listed = [one["id"] for one in vault.json("hold", "list")]
    vault.said("hold", "release", heard.id, "--reason", WHY)

    assert (True, [heard.id]) == (held, listed)
    assert not site.sam.get(f"/recordings/{heard.id}").json()["held"]
    assert ["recording.hold.placed", "recording.hold.released"] == actions(
        vault, "hold"
    )


def test_a_workgroup_moves_below_another_and_its_calls_with_it(
    site: Site, heard: Heard
) -> None:
    vault = site.vault
    vault.add_user("nora", "supervisor", "Everybody")
    nora = vault.sign_in("nora")
    before = played(nora, heard)
    vault.said("workgroup", "set", "claims", "--parent", "Everybody")
    during = played(nora, heard)
    loop = vault.run("workgroup", "set", "Everybody", "--parent", "claims")
    vault.said("workgroup", "set", "claims", "--no-parent")

    assert ((404, "not-found"), (200, ""), (404, "not-found")) == (
        before,
        during,
        played(nora, heard),
    )
    assert (1, True) == (loop.returncode, "below itself" in loop.stderr)
