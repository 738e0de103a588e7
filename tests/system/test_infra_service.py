"""`callvault serve` inside infra/systemd/callvault.service, as far as it goes by hand.

Another user, no capability, a read-only root, the unit's call filter, the passphrase
as a credential: a call is placed, rendered and played, and the unit is stopped.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.simulators.ports import free_port
from tests.simulators.service_sandbox import Sandbox
from tests.simulators.unit_host import (
    ANY_UID,
    UnitHost,
    signed_in,
    unit_host,
)

UNIT: Final = Path(__file__).parents[2] / "infra" / "systemd" / "callvault.service"
SERVING: Final = '"event": "serving"'
PASSWORD: Final = "correct horse battery"

pytestmark = pytest.mark.xdist_group("infra-units")


class Service:
    """One machine's unit, and how its operator and its users reach it."""

    def __init__(self, host: UnitHost) -> None:
        self.host = host
        self.state = host.make_folder("state", ANY_UID, ANY_UID)
        credentials = host.make_folder("credentials", ANY_UID, ANY_UID)
        host.write(credentials / "passphrase", "a long passphrase\n", ANY_UID, 0o400)
        self.web, self.forks = (f"127.0.0.1:{free_port()}" for _ in range(2))
        common = {
            "CALLVAULT_WEB_LISTEN": self.web,
            "CALLVAULT_FORKS_LISTEN": self.forks,
            "CALLVAULT_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "CALLVAULT_SIP_LISTEN": f"127.0.0.1:{free_port()}",
            "CALLVAULT_MEDIA_PORTS": "41000-41999",
            "CALLVAULT_KEYRING_MEMORY_MIB": "19",
            "CALLVAULT_PASSWORD_MEMORY_MIB": "8",
        }
        self.outside = {
            **common,
            "CALLVAULT_DATA_DIR": str(self.state),
            "CREDENTIALS_DIRECTORY": str(credentials),
        }
        self.inside = {
            **common,
            "CALLVAULT_DATA_DIR": "/var/lib/callvault",
            "CALLVAULT_WARDEN_SOCKET": "/var/lib/callvault/run/warden.sock",
            "CREDENTIALS_DIRECTORY": "/run/credentials/callvault.service",
        }
        self.box = Sandbox(
            units=(str(UNIT),),
            uid=ANY_UID,
            gid=ANY_UID,
            folders={
                "/var/lib/callvault": str(self.state),
                "/run/credentials/callvault.service": str(credentials),
            },
        )

    def operate(self, *words: str, stdin: str = "") -> str:
        return self.host.operate(ANY_UID, self.outside, *words, stdin=stdin)


@pytest.fixture
def service() -> Iterator[Service]:
    with unit_host() as host:
        made = Service(host)
        made.operate("init", "--yes")
        yield made


def test_a_call_is_recorded_rendered_and_played_inside_the_unit(
    service: Service,
) -> None:
    host = service.host
    unit = host.start(service.box, service.inside, "serve")
    host.eventually(lambda: SERVING in host.log("serve"), "the service")
    # The operator's commands run outside of the unit and reach its warden.
    service.operate(
        "user", "add", "sam", "--role", "supervisor", "--workgroup", "Claims",
        "--password-stdin", stdin=PASSWORD + "\n",
    )  # fmt: skip
    token = json.loads(service.operate("device", "add", "pbx", "--json"))["token"]
    file = host.write(host.folder / "token", token, ANY_UID)
    host.eventually(lambda: snapshot_knows(service), "the device at the tap")
    call = json.loads(
        service.operate(
            "simulate", "--forks", f"http://{service.forks}", "--token-file", str(file),
            "--workgroup", "Claims", "--seconds", "3", "--json",
        )
    )  # fmt: skip
    with closing(signed_in(service.web, "sam", PASSWORD)) as sam:
        host.eventually(
            lambda: "ready" == sam.get(f"/recordings/{call['id']}").json().get("state"),
            "a recording that is ready",
        )
        audio = sam.get(f"/recordings/{call['id']}/audio")

    assert httpx.codes.OK == audio.status_code
    assert b"fLaC" == audio.content[:4]
    assert 0 == host.stop(unit)
    assert "Operation not permitted" not in host.log("serve")
    assert "Traceback" not in host.log("serve")
    assert "same user" not in host.log("serve"), "it could not hide its memory"
    assert "confined" not in host.log("serve"), "Landlock is out of reach"
    assert {"run", "spool", "objects", "keys"} <= {
        p.name for p in service.state.iterdir()
    }


def snapshot_knows(service: Service) -> bool:
    kept = service.state / "tap" / "snapshot.json"
    return kept.exists() and "pbx" in kept.read_text()


def test_without_its_credential_the_unit_does_not_start(service: Service) -> None:
    environment = dict(service.inside)
    del environment["CREDENTIALS_DIRECTORY"]
    unit = service.host.start(service.box, environment, "serve")
    service.host.running.remove(unit)

    assert 1 == unit.wait(60)
    assert "no passphrase" in service.host.log("serve")
