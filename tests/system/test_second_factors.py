"""Second factors in an installation as it runs: three processes, one key, the operator."""

import stat

import pyotp
import pytest

from tests.simulators.site import Site

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def test_an_app_is_asked_for_until_the_operator_resets_it(site: Site) -> None:
    vault = site.vault
    vault.add_user("fiona", "supervisor", "Claims")
    fiona = vault.sign_in("fiona")
    begun = fiona.post("/factors/totp").json()
    app = pyotp.TOTP(begun["secret"])
    added = fiona.post("/factors/totp/confirmation", json={"otp": app.now()})
    codes = fiona.post("/factors/recovery-codes").json()["codes"]
    listed = vault.json("user", "factors", "list", "fiona")
    password = vault.passwords["fiona"]
    by_password = fiona.post("/sessions", json={"user": "fiona", "password": password})
    by_code = fiona.post(
        "/sessions", json={"user": "fiona", "password": password, "otp": codes[0]}
    )
    said = vault.said("user", "factors", "reset", "fiona")
    gone = fiona.get("/factors")

    assert added.status_code == 201
    assert [(one["factor"], one["name"]) for one in listed] == [
        ("totp", ""),
        ("recovery-codes", "10 unused"),
    ]
    assert (by_password.status_code, by_code.status_code) == (401, 201)
    assert said.startswith("Took 1 second factors from fiona: 2 sessions ended.")
    assert gone.status_code == 401
    assert vault.sign_in("fiona").get("/factors").json()["passkeys"] == []
    actions = [str(entry["action"]) for entry in vault.trail()]
    assert [one for one in actions if one.startswith("access.factor.")] == [
        "access.factor.added",
        "access.factor.added",
        "access.factor.refused",
        "access.factor.spent",
        "access.factor.reset",
    ]


def test_init_has_made_a_private_key_that_is_in_no_database(site: Site) -> None:
    key = site.vault.folder / "web" / "factor.key"
    octets = key.read_bytes().strip()

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not [
        path
        for path in site.vault.folder.rglob("*.sqlite*")
        if octets in path.read_bytes()
    ]
