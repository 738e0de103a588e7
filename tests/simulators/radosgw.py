"""A real S3 server for tests: one monitor, one OSD in memory and a RADOS gateway.

Loopback only, ports of its own, everything in one folder, no systemd.  `running`
starts it, yields where it is, and always ends all of it.  Debian's packages
``ceph-mon ceph-osd radosgw ceph-common`` (Ceph 16) provide the programs.
"""

import io
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from minio import Minio

from tests.simulators.ports import free_port

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
_DEADLINE_S = 90.0
_ATTEMPTS = 5

_CONF = """
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon_port}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
ms_bind_msgr2 = false
run_dir = {folder}/run
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
log_file = {folder}/log/$name.log
mon_data = {folder}/mon
osd_data = {folder}/osd0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_memory_target = 939524096
rgw_frontends = beast endpoint=127.0.0.1:{s3_port}
rgw_run_sync_thread = false
rgw_enable_usage_log = false
debug_ms = 0
"""


class CannotRunError(Exception):
    """The server cannot be had here; the message says why."""


@dataclass
class Radosgw:
    """A running gateway."""

    port: int
    folder: Path
    access_key: str = "testtesttest"
    secret_key: str = "testtesttest-secret"
    _gateway: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, bucket: str) -> str:
        """Return the URL that `vault.objects.open.open_stores` takes."""
        return f"s3://{self.endpoint}/{bucket}?secure=false"

    def stop_gateway(self) -> None:
        """End the gateway alone: the store is down, its objects are kept."""
        if self._gateway is not None:
            # Nicely: the OSD would wait long for a watcher that was killed.
            self._gateway.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._gateway.wait(timeout=15)
            _end([self._gateway])
            self._gateway = None

    def start_gateway(self) -> None:
        """Start the gateway (again) and wait until it answers."""
        if self._gateway is None:
            self._gateway = _daemon(self.folder, "radosgw", "-f", "-n", "client.rgw.a")
            _until(
                self.folder, lambda: _answers(self.port), "the gateway", [self._gateway]
            )


def missing() -> str | None:
    """Return why a gateway cannot run here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: ceph-mon ceph-osd radosgw)"
    return None


@contextmanager
def running() -> Iterator[Radosgw]:
    """Start a gateway in a folder of its own, and end it whatever happens.

    Raises:
        CannotRunError: Programs are missing, or it did not come up in time.
    """
    if reason := missing():
        raise CannotRunError(reason)
    for attempt in range(_ATTEMPTS):
        try:
            cluster = _Cluster()
        except CannotRunError:
            # A port found free may be taken before a daemon binds it.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    try:
        yield cluster.gateway
    finally:
        cluster.end()


class _Cluster:
    """The three daemons and their folder; up when made, gone after `end`."""

    def __init__(self) -> None:
        # Admin sockets have the 107 octets of a Unix path: a short folder.
        folder = Path(tempfile.mkdtemp(prefix="rgw-"))
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.gateway = Radosgw(port=free_port(), folder=folder)
        try:
            _start_cluster(folder, self.gateway.port, self._daemons)
            self.gateway.start_gateway()
            _make_user(self.gateway)
            _warm(self.gateway)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self.gateway.stop_gateway()
        _end(self._daemons)
        shutil.rmtree(self.gateway.folder, ignore_errors=True)


def _make_user(gateway: Radosgw) -> None:
    _admin(
        gateway.folder,
        "radosgw-admin",
        "user",
        "create",
        "--uid=vault",
        "--display-name=vault",
        f"--access-key={gateway.access_key}",
        f"--secret-key={gateway.secret_key}",
    )


def _warm(gateway: Radosgw) -> None:
    """Make it create its pools, which takes seconds, before tests look at clocks."""
    pool = urllib3.PoolManager(timeout=_DEADLINE_S, retries=5)
    client = Minio(
        gateway.endpoint,
        access_key=gateway.access_key,
        secret_key=gateway.secret_key,
        secure=False,
        region="us-east-1",
        http_client=pool,
    )
    client.make_bucket("warm")
    client.put_object("warm", "object", io.BytesIO(b"x"), 1)
    client.remove_object("warm", "object")
    client.remove_bucket("warm")
    pool.clear()


def _start_cluster(
    folder: Path, s3_port: int, daemons: "list[subprocess.Popen[bytes]]"
) -> None:
    for name in ("mon", "osd0", "run", "log"):
        (folder / name).mkdir()
    fsid, mon_port = str(uuid.uuid4()), free_port()
    (folder / "ceph.conf").write_text(
        _CONF.format(fsid=fsid, mon_port=mon_port, s3_port=s3_port, folder=folder)
    )
    address = f"v1:127.0.0.1:{mon_port}"
    monmap = str(folder / "monmap")
    _run(
        folder, "monmaptool", "--create", "--addv", "a", address, "--fsid", fsid, monmap
    )
    _admin(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
    daemons.append(_daemon(folder, "ceph-mon", "-f", "-i", "a"))
    _until(
        folder, lambda: _says(folder, "mon: 1 daemons", "-s"), "the monitor", daemons
    )
    osd = str(uuid.uuid4())
    _admin(folder, "ceph", "osd", "new", osd)
    _admin(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    daemons.append(_daemon(folder, "ceph-osd", "-f", "-i", "0"))
    _until(folder, lambda: _says(folder, "1 up", "osd", "stat"), "the OSD", daemons)


def _daemon(folder: Path, *command: str) -> "subprocess.Popen[bytes]":
    with (folder / "log" / f"{command[0]}.out").open("ab") as out:
        return subprocess.Popen(
            [*command, "-c", str(folder / "ceph.conf")],
            env=os.environ | {"CEPH_CONF": str(folder / "ceph.conf")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(daemons: "list[subprocess.Popen[bytes]]") -> None:
    # All of its state is in memory or in our folder: nothing to close nicely.
    for daemon in reversed(daemons):
        daemon.kill()
    for daemon in reversed(daemons):
        daemon.wait()


def _admin(folder: Path, *command: str) -> str:
    return _run(folder, *command, "-c", str(folder / "ceph.conf"))


def _run(folder: Path, *command: str) -> str:
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"CEPH_CONF": str(folder / "ceph.conf")},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotRunError(f"{command[0]} did not end") from None
    if done.returncode != 0:
        raise CannotRunError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _says(folder: Path, expected: str, *command: str) -> bool:
    try:
        done = subprocess.run(
            ["ceph", "-c", str(folder / "ceph.conf"), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return expected in done.stdout


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _until(
    folder: Path,
    ready: Callable[[], bool],
    what: str,
    daemons: "list[subprocess.Popen[bytes]]",
) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not ready():
        if any(daemon.poll() is not None for daemon in daemons):
            raise CannotRunError(f"{what} ended at once: {_last_words(folder)}")
        if time.monotonic() > deadline:
            raise CannotRunError(f"{what} did not come up in {_DEADLINE_S:.0f} s")
        time.sleep(0.1)


def _last_words(folder: Path) -> str:
    said = [path.read_text(errors="replace")[-300:] for path in folder.glob("log/*")]
    return " | ".join(said).replace("\n", " ")
