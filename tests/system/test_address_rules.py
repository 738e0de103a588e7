"""Who may come from where, from the command that says it to the listeners."""

import httpx
import pytest

from tests.simulators.installation import until
from tests.simulators.site import Site

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def test_a_rule_shuts_a_listener_within_seconds_and_opens_it_again(site: Site) -> None:
    vault = site.vault
    forks = f"http://{vault.forks}/healthz"

    def status() -> int:
        return httpx.get(forks, timeout=10).status_code

    open_before = status()
    added = vault.json("address", "add", "forks", "deny", "127.0.0.0/8")
    try:
        listed = vault.json("address", "list")
        until(lambda: status() == 403 or None, "the fork API is shut")
        pages = httpx.get(f"http://{vault.web}/healthz", timeout=10).status_code
    finally:
        vault.said("address", "remove", "forks", "deny", "127.0.0.0/8")
    until(lambda: status() == 200 or None, "the fork API is open again")
    actions = [
        entry["action"]
        for entry in vault.trail()
        if entry.get("detail", {}).get("rule") == added["id"]
    ]

    assert (200, 200) == (open_before, pages)
    assert [added] == listed
    assert ["access.address.added", "access.address.removed"] == actions
