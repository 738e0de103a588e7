"""infra/compose, as far as it can be judged without a container engine.

The file is parsed, every name in it is compared with the code and with its
neighbours, `docker-compose config` reads it where that is installed, and the S3
container's start.sh runs here for real: started, used, stopped, started again.
"""

import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.simulators import radosgw
from tests.simulators.ports import free_port
from tests.simulators.waiting import wait_until
from vault import config
from vault.core.ids import new_recording_id
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.objects.open import open_stores

COMPOSE: Final = Path(__file__).parents[2] / "infra" / "compose"
FILE: Final = COMPOSE / "compose.yaml"
START: Final = COMPOSE / "s3" / "start.sh"
ADDRESS: Final = "192.0.2.10"
WITHIN_S: Final = 150.0


def parsed() -> dict[str, Any]:
    """Return the file as YAML has it."""
    return dict(yaml.safe_load(FILE.read_bytes()))


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    return parsed()


@pytest.fixture(scope="module")
def services(file: dict[str, Any]) -> dict[str, Any]:
    return dict(file["services"])


class TestTheFile:
    def test_compose_itself_accepts_it(self) -> None:
        environment = os.environ | {"CALLVAULT_ADDRESS": ADDRESS}
        tries = []
        for words in (["docker", "compose"], ["docker-compose"]):
            if shutil.which(words[0]) is None:
                continue
            done = subprocess.run(
                [*words, "-f", str(FILE), "config", "--quiet"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                return
            tries.append(done.stderr)
        if all("unknown" in said for said in tries):
            pytest.skip("Compose is not installed (Debian: docker-compose)")

        pytest.fail("\n".join(tries))

    def test_there_are_a_database_a_store_and_the_vault(
        self, services: dict[str, Any]
    ) -> None:
        assert {"postgres", "s3", "callvault"} == set(services)

    def test_every_container_is_guarded(self, services: dict[str, Any]) -> None:
        for name, service in services.items():
            assert service["read_only"] is True, name
            assert ["ALL"] == service["cap_drop"], name
            assert "cap_add" not in service, name
            assert ["no-new-privileges:true"] == service["security_opt"], name
            assert "privileged" not in service, name
            assert service["healthcheck"]["test"], name
            assert service["stop_grace_period"], name

    def test_nobody_is_root(self, services: dict[str, Any]) -> None:
        assert "999:999" == services["postgres"]["user"]
        assert ["ceph"] == re.findall(
            r"^USER (\S+)", text("s3/Dockerfile"), re.MULTILINE
        )
        assert ["callvault"] == re.findall(
            r"^USER (\S+)", text("Dockerfile"), re.MULTILINE
        )

    def test_database_and_store_are_reached_from_inside_only(
        self, file: dict[str, Any], services: dict[str, Any]
    ) -> None:
        for name in ("postgres", "s3"):
            assert ["inside"] == services[name]["networks"]
            assert "ports" not in services[name]
        assert {"internal": True} == file["networks"]["inside"]

    def test_memory_with_keys_can_be_locked_and_is_never_dumped(
        self, services: dict[str, Any]
    ) -> None:
        limits = services["callvault"]["ulimits"]

        assert {"soft": -1, "hard": -1} == limits["memlock"]
        assert {"soft": 0, "hard": 0} == limits["core"]

    def test_every_volume_and_secret_that_is_used_is_declared(
        self, file: dict[str, Any], services: dict[str, Any]
    ) -> None:
        volumes = {
            volume.partition(":")[0]
            for service in services.values()
            for volume in service["volumes"]
            if not volume.startswith(".")
        }
        secrets = {
            secret["source"]
            for service in services.values()
            for secret in service["secrets"]
        }

        assert set(file["volumes"]) == volumes
        assert set(file["secrets"]) == secrets

    def test_what_is_stopped_has_the_time_that_the_unit_gives_it(
        self, services: dict[str, Any]
    ) -> None:
        unit = (COMPOSE.parent / "systemd" / "callvault.service").read_text()

        assert "90s" == services["callvault"]["stop_grace_period"]
        assert "TimeoutStopSec=90" in unit


class TestTheSettings:
    def test_they_are_settings_that_load(
        self,
        services: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        for name, value in environment(services).items():
            monkeypatch.setenv(name, value)
        loaded = config.load()

        assert ADDRESS == loaded.media_advertise
        assert (40000, 40499) == loaded.media_port_range

    def test_each_of_them_is_a_field(self, services: dict[str, Any]) -> None:
        names = {
            name.removeprefix(config.PREFIX).lower() for name in environment(services)
        }

        assert set() == names - set(config.Settings.model_fields)

    def test_what_listens_is_published(self, services: dict[str, Any]) -> None:
        told = environment(services)
        wanted = {
            f"{told[name].rpartition(':')[2]}/tcp"
            for name in (
                "CALLVAULT_WEB_LISTEN",
                "CALLVAULT_FORKS_LISTEN",
                "CALLVAULT_SIP_LISTEN",
            )
        } | {f"{told['CALLVAULT_MEDIA_PORTS']}/udp"}
        published = services["callvault"]["ports"]
        exposed = re.findall(r"^EXPOSE (.+)$", text("Dockerfile"), re.MULTILINE)[
            0
        ].split()

        assert wanted == {port.rpartition(":")[2] for port in published}
        assert all(
            port.partition(":")[0] in port.rpartition(":")[2] for port in published
        )
        assert wanted == set(exposed)

    def test_files_that_settings_name_are_mounted(
        self, services: dict[str, Any]
    ) -> None:
        vault = services["callvault"]
        secrets = {f"/run/secrets/{secret['target']}" for secret in vault["secrets"]}
        folders = {volume.split(":")[1] for volume in vault["volumes"]}
        named = {
            value
            for name, value in environment(services).items()
            if name.endswith(("_FILE", "_TLS_CERT", "_TLS_KEY", "_DIR"))
        }

        assert secrets == {path for path in named if path.startswith("/run/secrets")}
        for path in named - secrets:
            assert any(path.startswith(folder) for folder in folders), path

    def test_hosts_in_urls_are_services(self, services: dict[str, Any]) -> None:
        told = environment(services)
        store = services["s3"]["environment"]["S3_LISTEN"].rpartition(":")[2]

        assert "@postgres:5432/" in told["CALLVAULT_DATABASE_URL"]
        assert f"//s3:{store}/" in told["CALLVAULT_OBJECTS_URL"]


class TestTheSecrets:
    @pytest.mark.skipif(os.geteuid() != 0, reason="files are given to other users")
    def test_the_script_makes_what_the_file_names_private_and_once(
        self, file: dict[str, Any], tmp_path: Path
    ) -> None:
        folder = tmp_path / "secrets"
        for _ in range(2):
            subprocess.run([COMPOSE / "make-secrets", folder], check=True)
        made = {path.name: path for path in folder.iterdir()}
        users = {"callvault": 990, "postgres": 999, "ceph": 64045}

        assert {Path(one["file"]).name for one in file["secrets"].values()} == set(made)
        for name, path in made.items():
            assert 0o400 == path.stat().st_mode & 0o777
            assert users[name.rpartition(".")[2]] == path.stat().st_uid
        assert len(made["s3-access.ceph"].read_text()) > 20
        assert (
            made["s3-access.ceph"].read_text()
            == made["s3-access.callvault"].read_text()
        )
        assert (
            made["passphrase.callvault"].read_text()
            != made["database.callvault"].read_text()
        )

    def test_the_image_reads_them_as_the_user_they_belong_to(self) -> None:
        assert "--uid 990" in text("Dockerfile")
        assert "callvault=990" in text("make-secrets")

    def test_no_secret_is_in_the_tree_or_in_an_image(self) -> None:
        ignored = text(".gitignore")
        context = (COMPOSE.parents[1] / ".dockerignore").read_text().split()

        assert "secrets/" in ignored
        assert "infra" in context


def text(name: str) -> str:
    return (COMPOSE / name).read_text()


def environment(services: Mapping[str, Any]) -> dict[str, str]:
    told = services["callvault"]["environment"]
    return {
        name: re.sub(r"\$\{CALLVAULT_ADDRESS[^}]*\}", ADDRESS, str(value))
        for name, value in told.items()
    }


# --------------------------------------------------------------- the S3 container


class S3:
    """start.sh in a folder of its own, on ports of its own."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        for name, value in (("access", "an-access-key"), ("secret", "a-secret-key")):
            (folder / name).write_text(value + "\n")
        self.environment = os.environ | {
            "S3_FOLDER": str(folder / "s3"),
            "S3_LISTEN": f"127.0.0.1:{self.port}",
            "S3_MON_PORT": str(free_port()),
            "S3_STORE": store,
            "S3_SIZE_BYTES": str(2 << 30),
            "S3_ACCESS_KEY_FILE": str(folder / "access"),
            "S3_SECRET_KEY_FILE": str(folder / "secret"),
        }

    def start(self) -> None:
        # An OSD sometimes ends at its first start where the machine is busy.  The
        # container is started again by its restart policy, and so is this.
        for _ in range(2):
            self._start()
            assert self.process is not None
            wait_until(self._is_decided, "it is ready, or ended", within_s=WITHIN_S)
            if self.process.poll() is None:
                break
        else:
            self._start()
        self.until(lambda: "ready on" in self.said(), "the store")

    def _is_decided(self) -> bool:
        assert self.process is not None
        return "ready on" in self.said() or self.process.poll() is not None

    def _start(self) -> None:
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                ["bash", str(START)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not is_so():
            assert self.process is not None
            ended = self.process.poll() is not None
            assert not ended, f"{what}: start.sh ended: {self.said()}"
            assert time.monotonic() < deadline, f"{what} never came: {self.said()}"
            time.sleep(0.1)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WITHIN_S)
        self.process = None
        return code

    def daemons(self) -> list[str]:
        """Return the command lines of whatever runs in the folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.folder / "s3" / "ceph.conf").encode() in words:
                found.append(words[0].decode())
        return sorted(found)

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(WITHIN_S)


def bucket(s3: S3) -> ObjectStore:
    """Return the store as Callvault opens it."""
    return open_stores(
        f"s3://127.0.0.1:{s3.port}/callvault?secure=false",
        access_key=SecretBytes(b"an-access-key"),
        secret_key=SecretBytes(b"a-secret-key"),
    ).media


@pytest.fixture
def make_s3(tmp_path: Path) -> Iterator[Callable[[str], S3]]:
    if reason := radosgw.missing():
        pytest.skip(f"no S3 server: {reason}")
    made: list[S3] = []

    def make(store: str) -> S3:
        made.append(S3(tmp_path, store))
        return made[0]

    yield make
    for one in made:
        one.end()


@pytest.mark.s3
@pytest.mark.timeout(400)
def test_the_store_keeps_its_objects_over_a_restart(
    make_s3: Callable[[str], S3],
) -> None:
    s3 = make_s3("bluestore")
    s3.start()
    key = ObjectKey.of(new_recording_id(), "manifest")
    digest = hashlib.sha256(b"sealed").digest()
    bucket(s3).put_once(key, io.BytesIO(b"sealed"), size=6, sha256=digest)
    running = s3.daemons()
    stopped = s3.stop()
    left = s3.daemons()
    s3.start()

    assert ["ceph-mon", "ceph-osd", "radosgw"] == running
    assert (0, []) == (stopped, left)
    assert b"sealed" == bucket(s3).read(key)


@pytest.mark.s3
def test_a_daemon_that_dies_ends_the_container(make_s3: Callable[[str], S3]) -> None:
    """Compose restarts a container that ended, and none that half works."""
    s3 = make_s3("memstore")
    s3.start()
    assert s3.process is not None
    children = Path(f"/proc/{s3.process.pid}/task/{s3.process.pid}/children")
    newest = max(int(pid) for pid in children.read_text().split())
    os.kill(newest, signal.SIGKILL)

    assert 1 == s3.process.wait(WITHIN_S)
    assert [] == s3.daemons()


def test_the_store_is_started_the_way_the_tests_start_theirs() -> None:
    def lines(conf: str) -> dict[str, str]:
        found = re.findall(r"^([a-z_0-9]+) = (.+)$", conf, re.MULTILINE)
        return {name: value.strip() for name, value in found}

    ours = lines(START.read_text())
    theirs = lines(radosgw._CONF)
    # Where it lies, on which ports, and how much it holds.
    of_the_place = {
        "fsid", "mon_host", "run_dir", "admin_socket", "pid_file", "log_file",
        "mon_data", "osd_data", "osd_objectstore", "memstore_device_bytes",
        "rgw_frontends",
    }  # fmt: skip

    assert {"bluestore_block_size", "bluestore_fsck_on_mount"} == set(ours) - set(
        theirs
    )
    assert set() == set(theirs) - set(ours)
    for name in set(theirs) - of_the_place:
        assert theirs[name] == ours[name]
