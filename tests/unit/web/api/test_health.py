from dataclasses import replace
from pathlib import Path

from httpx import Client

from tests.simulators.asgi import client_for
from tests.simulators.web_vault import WebVault, running
from vault.web.app import create_web_app
from vault.web.config import WebConfig


def test_a_sound_vault_is_ready(shared_vault: WebVault, nobody: Client) -> None:
    alive, ready = nobody.get("/healthz"), nobody.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert ready.status_code == 200
    assert ready.json()["checks"] == {
        "warden": "ok",
        "database": "ok",
        "store": "ok",
        "emergency": "ok",
        "hardening": "ok",
    }


def test_without_a_warden_it_is_alive_and_not_ready(own_vault: WebVault) -> None:
    client = client_for(own_vault.app())
    own_vault.stop_warden()

    alive, ready = client.get("/healthz"), client.get("/readyz")

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json()["checks"]["warden"] != "ok"


def test_a_tap_that_is_not_well_is_named_and_stops_nothing(
    own_vault: WebVault,
) -> None:
    services = replace(own_vault.services(), tap=lambda: "takes no calls: clock")
    app = create_web_app(services, WebConfig())
    ready = client_for(app).get("/readyz")

    assert ready.status_code == 200
    assert ready.json()["checks"]["tap"] == "takes no calls: clock"


def test_a_gap_in_hardening_is_named_and_stops_nothing(tmp_path: Path) -> None:
    config = WebConfig(hardening_gaps=("memory may be swapped out",))
    with running(tmp_path, config) as vault:
        ready = client_for(vault.app()).get("/readyz")

    assert ready.status_code == 200
    assert ready.json()["checks"]["hardening"] == "memory may be swapped out"
