"""What ``init`` leaves behind: nobody who may come in, and no port but the named."""

import itertools
import re
import sqlite3
from collections.abc import Callable

import pytest

from tests.simulators.installation import ROOT, Installation
from tests.simulators.listening import ports_of
from vault.config import Settings

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-fresh")]

PRINCIPALS = (
    *("person", "device", "device_digest", "token", "session", "passkey", "totp"),
    *("recovery_code", "known_device", "granted_right", "extension"),
)
GUESSES = list(
    itertools.product(
        (
            "admin",
            "administrator",
            "root",
            "callvault",
            "demo",
            "test",
            "default",
            "sa",
        ),
        ("admin", "password", "callvault", "changeme", "demo", "", "123456789012"),
    )
)
LOOPBACK = "0100007F"


@pytest.fixture
def fresh(installed: Callable[..., Installation]) -> Installation:
    return installed()


def test_nobody_and_no_device_is_in_the_database_after_init(
    fresh: Installation,
) -> None:
    file = next(fresh.folder.rglob("catalog.sqlite"))
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    counts = {
        table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in PRINCIPALS
    }
    groups = database.execute("SELECT name FROM workgroup").fetchall()
    database.close()

    assert dict.fromkeys(PRINCIPALS, 0) == counts
    assert [("default",)] == groups


def test_no_usual_name_and_password_comes_in(fresh: Installation) -> None:
    fresh.start()
    client = fresh.client(fresh.web)
    answers = {
        client.post("/sessions", json={"user": name, "password": password}).status_code
        for name, password in GUESSES
    }

    # 429 once the address has guessed too often: that is no way in either.
    assert answers <= {401, 422, 429}
    assert 401 in answers


def test_only_the_named_ports_are_listened_on(fresh: Installation) -> None:
    fresh.start()
    ports = {
        name: int(place.rpartition(":")[2])
        for name, place in (
            *(("web", fresh.web), ("forks", fresh.forks)),
            *(("metrics", fresh.metrics), ("sip", fresh.sip)),
        )
    }
    named = {("tcp", LOOPBACK, port) for port in ports.values()}
    named.add(("udp", LOOPBACK, ports["sip"]))

    assert named == ports_of(
        [fresh.parent().pid, *(one.pid for one in fresh.descendants())]
    )


def test_the_readme_names_every_port_that_is_listened_on_by_default() -> None:
    defaults = Settings.model_fields
    ports = {
        str(defaults[name].default).rpartition(":")[2]
        for name in ("web_listen", "forks_listen", "metrics_listen", "sip_listen")
    } | set(defaults["media_ports"].default.split("-"))
    readme = (ROOT / "README.md").read_text("utf-8")

    assert {one for one in ports if re.search(rf"\b{one}\b", readme)} == ports
