"""``callvault serve``: the processes of one machine, and their metrics.

Guarantees:
    * The warden alone gets the passphrase, through a pipe; every other child gets
      a door to the warden, and its role belongs to that descriptor (ADR 4).
    * A warden that dies is replaced and its doors stay: no recording notices.
    * A tap that dies leaves its sockets and call pages here, and the next one gets
      them back (`vault.serving.keeping`).
    * Stopping goes against the stream of media: web, then the tap (calls in
      progress end ``cut`` and are sealed), then the worker, the warden last.  With
      ``drain_s`` the tap is asked first, and all others serve until it has ended.
    * The auditor comes last, some seconds after the others; nothing waits for it,
      and its death stops nothing.
    * Of a child that is killed the trail learns from here, with its status.

Left to others: what each process does (`vault.serving.warden`, `tap`, `worker`,
`web`, `auditor`).
"""

import os
import socket
import stat
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from vault import process
from vault.audit.entry import Action, Result
from vault.config import Settings, passphrase
from vault.core.errors import ConfigurationError, UnavailableError
from vault.core.secrets import SecretBytes
from vault.serving import logs
from vault.serving.children import Child
from vault.serving.descriptors import Notifier, store_of
from vault.serving.keeping import DescriptorKeeper
from vault.serving.lives import LateLeaves, digest_of, tell_changes
from vault.serving.metrics import serve_metrics
from vault.serving.service_manager import service_manager
from vault.serving.stopping import StopRequest
from vault.trust.client import WardenClient
from vault.wiring import Installation

SERVING: Final = "serving"
STOPPING: Final = "stopping"
DRAINING: Final = "draining"
ROLES: Final = ("tap", "worker", "web")
"Who has to be ready before anybody is served."
LATER: Final = "auditor"
DOORS: Final = (*ROLES, LATER)
OWN: Final = "serve"
"The door of this process itself: it may write leaves, and opens nothing."

_CHECK_EVERY_S: Final = 0.5
_STOP_WITHIN_S: Final = {
    "auditor": 5.0,
    "web": 10.0,
    "tap": 30.0,
    "worker": 30.0,
    "warden": 20.0,
}
_TAP_WAIT_S: Final = 2.0

log = structlog.get_logger()


class Serve:
    """The parent process of an installation on one machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = StopRequest()
        self._doors = {
            role: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for role in (*DOORS, OWN)
        }
        process.raise_descriptor_limit()
        self._listener = _listen(settings.socket_path)
        manager = service_manager()
        self._notifier = Notifier(manager.notify, watchdog_s=manager.watchdog_s)
        self._keeper = DescriptorKeeper(
            settings.socket_path.with_name("store.sock"), beyond=store_of(manager)
        )
        self._children = {"warden": self._warden(passphrase(settings))}
        for role in DOORS:
            self._children[role] = self._client(role)
        self._children["tap"] = self._tap()
        self._warden_client = WardenClient.through(self._doors[OWN][1])
        self._leaves: LateLeaves | None = None
        for name, child in self._children.items():
            child.died = partial(self._tell_death, name)

    def _warden(self, secret: SecretBytes) -> Child:
        def descriptors() -> Sequence[int]:
            ours = [door.fileno() for door, _ in self._doors.values()]
            return [*ours, self._listener.fileno()]

        def arguments() -> Sequence[str]:
            doors = [
                f"{role}={ours.fileno()}" for role, (ours, _) in self._doors.items()
            ]
            words = ["warden", "--listener-fd", str(self._listener.fileno())]
            for door in doors:
                words += ["--door", door]
            return words

        return Child(
            name="warden",
            arguments=arguments,
            descriptors=descriptors,
            passphrase=secret,
        )

    def _client(self, role: str) -> Child:
        theirs = self._doors[role][1].fileno()
        return Child(
            name=role,
            arguments=lambda: [role, "--door-fd", str(theirs)],
            descriptors=lambda: [theirs],
        )

    def _tap(self) -> Child:
        theirs = self._doors["tap"][1].fileno()
        ends: list[socket.socket] = []

        def descriptors() -> Sequence[int]:
            ends.append(self._keeper.hand_over())
            return [theirs, ends[-1].fileno()]

        def arguments() -> Sequence[str]:
            words = ["tap", "--door-fd", str(theirs)]
            words += ["--store", str(self._keeper.path)]
            words += ["--kept-fd", str(ends[-1].fileno())]
            # Its media workers then outlive it, and the next `serve` gets its calls.
            return [*words, "--end-at-once"] if self._keeper.survives else words

        def spawned(process_id: int) -> None:
            ends.pop().close()
            self._keeper.belongs_to(process_id)

        return Child(
            name="tap",
            arguments=arguments,
            descriptors=descriptors,
            spawned=spawned,
            # Packets of running calls wait in the kernel meanwhile, for some seconds.
            longest_wait_s=_TAP_WAIT_S,
        )

    def start(self) -> None:
        """Start the warden, then the others.

        Raises:
            UnavailableError: A process could not start; those that did are stopped.
        """
        logs.say_gaps(process.harden())
        try:
            # The warden upgrades the databases; the others start together.
            self._begin("warden")
            self._tell_start()
            self._begin(*ROLES)
            self._serve_metrics()
        except UnavailableError:
            self.stop()
            raise

    def _tell_start(self) -> None:
        self._leaves = LateLeaves(self._warden_client)
        self._leaves.tell(
            Action.PROCESS_STARTED,
            OWN,
            detail={"settings_sha256": digest_of(self._settings)},
        )
        seen = self._settings.data_dir / "run" / "settings.json"
        tell_changes(self._leaves, self._settings, seen)

    def _tell_death(self, name: str, status: int) -> None:
        if self._leaves is not None:
            self._leaves.tell(
                Action.PROCESS_STOPPED,
                name,
                result=Result.FAILED,
                reason="died",
                detail={"status": status},
            )

    def _tell_stop(self) -> None:
        """Write the last leaf of this process, while there is a warden."""
        leaves, self._leaves = self._leaves, None
        if leaves is not None:
            leaves.tell(Action.PROCESS_STOPPED, OWN)
            leaves.close()

    def _serve_metrics(self) -> None:
        try:
            serve_metrics(Installation(self._settings), self._children)
        except OSError as exc:
            raise UnavailableError(
                f"metrics_listen {self._settings.metrics_listen}: {exc.strerror}"
            ) from None

    def _begin(self, *names: str) -> None:
        children = [self._children[name] for name in names]
        for child in children:
            if not self._stop.is_set():
                child.spawn()
        for child in children:
            if not self._stop.is_set():
                child.await_ready(wanted=lambda: not self._stop.is_set())

    def run(self) -> None:
        """Keep the children alive until SIGTERM or Ctrl-C, then stop them."""
        log.info(
            SERVING,
            web=str(self._settings.web_listen),
            forks=str(self._settings.forks_listen),
            metrics=str(self._settings.metrics_listen),
        )
        self._notifier.ready()
        # Whoever serves for a moment only never pays for it.
        later = self._children[LATER]
        begin_later_s = time.monotonic() + self._settings.audit_start_s
        while not self._stop.wait(_CHECK_EVERY_S):
            for child in self._children.values():
                child.keep_alive()
            if later.process is None and time.monotonic() >= begin_later_s:
                later.spawn()
            self._notifier.beat()
        self._drain()
        log.info(STOPPING)
        self._notifier.stopping(within_s=sum(_STOP_WITHIN_S.values()))
        self.stop()

    def _drain(self) -> None:
        """Let running calls run out, people listen, and media be made meanwhile."""
        drain_s, tap = self._settings.drain_s, self._children["tap"]
        if not drain_s:
            return
        log.info(DRAINING, within_s=drain_s)
        self._notifier.stopping(within_s=drain_s + sum(_STOP_WITHIN_S.values()))
        tap.ask()
        # The tap counts the time itself; this one is for a tap that is stuck.
        deadline_s = time.monotonic() + drain_s + _STOP_WITHIN_S["tap"]
        while tap.alive and self._stop.times == 1 and time.monotonic() < deadline_s:
            for name, child in self._children.items():
                if name != "tap":
                    child.keep_alive()
            self._notifier.beat()
            # Its pipe is readable from the first signal on, so nothing to wait for.
            time.sleep(_CHECK_EVERY_S)

    def stop(self) -> None:
        """Stop every child, in the order that loses nothing."""
        self._children[LATER].ask()
        for name in ("web", "tap", "worker", LATER):
            self._children[name].stop(within_s=_STOP_WITHIN_S[name])
        self._tell_stop()
        self._children["warden"].stop(within_s=_STOP_WITHIN_S["warden"])
        self._warden_client.close()
        self._keeper.close()
        self._listener.close()
        self._settings.socket_path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.lstat()
    if folder.st_uid != os.geteuid() or not stat.S_ISDIR(folder.st_mode):
        raise ConfigurationError(f"{path.parent} is not a folder of this user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise ConfigurationError(f"a warden already serves at {path}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
    except OSError as exc:
        listener.close()
        raise ConfigurationError(f"{path}: {exc.strerror or exc}") from None
    path.chmod(0o600)
    listener.listen(64)
    return listener
