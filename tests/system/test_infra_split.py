"""The split set-up: four users, four units, PostgreSQL roles and a real S3 store.

What docs/howto/install-systemd.md tells an operator to do is done here, with the
units of infra/systemd imitated by hand (`service_sandbox`) and infra/postgres/roles.sql
in force.  A call goes all the way, and no folder but the warden's has a keyring.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest

from tests.simulators import radosgw
from tests.simulators.ports import free_port
from tests.simulators.postgres import throwaway_postgres
from tests.simulators.service_sandbox import Sandbox
from tests.simulators.unit_host import UnitHost, signed_in, unit_host

INFRA: Final = Path(__file__).parents[2] / "infra"
DROP_IN: Final = INFRA / "systemd" / "callvault-.service.d" / "hardening.conf"
GID: Final = 61980
UIDS: Final = {"warden": 61981, "tap": 61982, "worker": 61983, "web": 61984}
PASSWORD: Final = "correct horse battery"
# What of the installation each process gets; moved, not copied, where it is secret.
MOVED: Final = {
    "tap": ("tap/manifest.key",),
    "worker": ("worker/addendum.key",),
    "web": ("web/factor.key",),
}
COPIED: Final = {
    "tap": ("keys/roster.json", "keys/roster.pub"),
    "worker": ("keys/roster.json", "keys/roster.pub"),
    "web": ("keys/log.vkey",),
}

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.s3,
    pytest.mark.xdist_group("infra-units"),
    pytest.mark.timeout(400),
]


class Site:
    """Four folders, four users, and the services they need."""

    def __init__(self, host: UnitHost, database: str, store: radosgw.Radosgw) -> None:
        self.host, self.database, self.store = host, database, store
        self.web, self.forks = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.state = {
            name: host.make_folder(name, uid, GID) for name, uid in UIDS.items()
        }
        self.run = host.make_folder("run", UIDS["warden"], GID, 0o750)
        self.secrets = {
            name: host.make_folder(f"etc-{name}", uid, GID)
            for name, uid in UIDS.items()
        }
        for name, folder in self.secrets.items():
            host.write(folder / "s3.access", store.access_key, UIDS[name])
            host.write(folder / "s3.secret", store.secret_key, UIDS[name])
        host.write(
            self.secrets["warden"] / "passphrase", "a long passphrase\n", UIDS["warden"]
        )

    def settings(self, name: str, *, owner: bool = False) -> dict[str, str]:
        """Return what the process *name* is told, with paths of this machine."""
        user = "vault" if owner else f"callvault_{name}"
        roles = {str(UIDS[role]): role for role in ("tap", "worker", "web")}
        told = {
            "CALLVAULT_DATA_DIR": str(self.state[name]),
            "CALLVAULT_WARDEN_SOCKET": str(self.run / "warden.sock"),
            "CALLVAULT_DATABASE_URL": self.database.replace("//vault@", f"//{user}@"),
            "CALLVAULT_OBJECTS_URL": self.store.url("callvault"),
            "CALLVAULT_OBJECTS_ACCESS_KEY_FILE": str(self.secrets[name] / "s3.access"),
            "CALLVAULT_OBJECTS_SECRET_KEY_FILE": str(self.secrets[name] / "s3.secret"),
            "CALLVAULT_WEB_LISTEN": self.web,
            "CALLVAULT_FORKS_LISTEN": self.forks,
            "CALLVAULT_SIP_LISTEN": "off",
            "CALLVAULT_MEDIA_PORTS": "42000-42999",
            "CALLVAULT_KEYRING_MEMORY_MIB": "19",
            "CALLVAULT_PASSWORD_MEMORY_MIB": "8",
        }
        if name == "warden":
            told["CALLVAULT_WARDEN_ROLES"] = json.dumps(roles)
            told["CREDENTIALS_DIRECTORY"] = str(self.secrets[name])
        return told

    def operate(self, *words: str, stdin: str = "") -> str:
        """Run an administrative command: the warden's user, the schemas' owner."""
        told = self.settings("warden", owner=True)
        return self.host.operate(UIDS["warden"], told, *words, stdin=stdin)

    def hand_out(self) -> None:
        """Give each process its part of what `init` made."""
        whole = self.state["warden"]
        for name, uid in UIDS.items():
            for path in (*MOVED.get(name, ()), *COPIED.get(name, ())):
                there = self.state[name] / path
                there.parent.mkdir(mode=0o700, exist_ok=True)
                os.chown(there.parent, uid, GID)
                shutil.copy(whole / path, there)
                there.chmod(0o600)
                os.chown(there, uid, GID)
            for path in MOVED.get(name, ()):
                (whole / path).unlink()

    def start(self, name: str) -> None:
        unit = INFRA / "systemd" / f"callvault-{name}.service"
        state, run = f"/var/lib/callvault-{name}", "/run/callvault"
        secrets = "/run/credentials"
        box = Sandbox(
            units=(str(unit), str(DROP_IN)),
            uid=UIDS[name],
            gid=GID,
            folders={
                state: str(self.state[name]),
                run: str(self.run),
                secrets: str(self.secrets[name]),
            },
        )
        moved = {
            str(self.state[name]): state,
            str(self.run): run,
            str(self.secrets[name]): secrets,
        }
        told = self.settings(name)
        for here, there in moved.items():
            told = {key: value.replace(here, there) for key, value in told.items()}
        self.host.start(box, told, name)


@pytest.fixture
def site() -> Iterator[Site]:
    if reason := radosgw.missing():
        pytest.skip(f"no S3 server: {reason}")
    with (
        unit_host() as host,
        throwaway_postgres(durable=True) as database,
        radosgw.running() as store,
    ):
        made = Site(host, database, store)
        made.operate("init", "--yes")
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute((INFRA / "postgres" / "roles.sql").read_bytes())
        made.hand_out()
        yield made


def streams(recording: Mapping[str, object]) -> int:
    return len(list(recording["streams"]))  # type: ignore[call-overload]


def test_a_call_goes_all_the_way_through_four_users(site: Site) -> None:
    host = site.host
    # The tap first: recording waits for nobody.
    for name in ("tap", "warden"):
        site.start(name)
    host.eventually((site.run / "warden.sock").exists, "the warden")
    for name in ("worker", "web"):
        site.start(name)
    site.operate(
        "user", "add", "sam", "--role", "supervisor", "--workgroup", "Claims",
        "--password-stdin", stdin=PASSWORD + "\n",
    )  # fmt: skip
    token = json.loads(site.operate("device", "add", "pbx", "--json"))["token"]
    file = host.write(site.state["warden"] / "pbx.token", token, UIDS["warden"])
    kept = site.state["tap"] / "tap" / "snapshot.json"
    host.eventually(lambda: kept.exists() and "pbx" in kept.read_text(), "the device")
    call = json.loads(
        site.operate(
            "simulate", "--forks", f"http://{site.forks}", "--token-file", str(file),
            "--workgroup", "Claims", "--seconds", "3", "--json",
        )
    )  # fmt: skip
    host.eventually(lambda: answers(site.web), "the pages")
    with closing(signed_in(site.web, "sam", PASSWORD)) as sam:

        def shown() -> Mapping[str, object]:
            return dict(sam.get(f"/recordings/{call['id']}").json())

        host.eventually(lambda: "ready" == shown().get("state"), "the recording")
        audio = sam.get(f"/recordings/{call['id']}/audio")
        recording = shown()
    keyrings = sorted(
        path.parent.parent.name for path in host.folder.glob("*/keys/keyring.json")
    )

    assert httpx.codes.OK == audio.status_code
    assert b"fLaC" == audio.content[:4]
    assert 2 == streams(recording)
    assert ["warden"] == keyrings
    assert not list(site.state["warden"].glob("*/*.key")), "a signer's key was left"
    for name in ("web", "worker", "tap", "warden"):
        assert "Traceback" not in host.log(name)
        assert "confined" not in host.log(name), "Landlock is out of reach"
    entries = export(site)
    vias = {entry["via"] for entry in entries if entry.get("recording") == call["id"]}
    assert {"tap", "worker", "web"} <= vias


def export(site: Site) -> list[dict[str, str]]:
    file = site.state["warden"] / "trail.jsonl"
    site.operate("audit", "export", "--output", str(file))
    site.operate(
        "audit", "verify", str(file), "--key", site.operate("audit", "key").strip()
    )
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["entry"] for line in lines if "entry" in line]


def answers(web: str) -> bool:
    try:
        return httpx.get(f"http://{web}/healthz", timeout=5).is_success
    except httpx.HTTPError:
        return False
