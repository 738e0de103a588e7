"""Descriptors that outlive this process, kept by whoever starts it again.

The service manager is systemd, or ``callvault serve`` for its tap
(`vault.serving.keeping`): the same datagrams go to both.  What was kept comes back
in ``LISTEN_FDS`` from systemd, and over a socket from ``serve``.

Guarantees:
    * `NotifyStore` never waits and never raises: what the service manager does not
      take at once is sent in order by a thread, and what it will never take is said
      in the log.
    * A name is on the wire at most `NAME_BYTES` long.  systemd hands all names back
      in one environment variable, and the kernel starts no program with one longer
      than 128 KiB: longer names would leave a tap with many calls unstartable.
    * Kept descriptors are not polled by systemd, which would else forget a socket on
      which an ICMP error is pending.

Left to others: the environment (`vault.config`), what is kept and when
(`vault.tap.pool`).

Spec: sd_notify(3), sd_pid_notify_with_fds(3), sd_listen_fds(3), unix(7)
"""

import base64
import contextlib
import fcntl
import hashlib
import os
import select
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from vault.serving.service_manager import ServiceManager

STORE_FULL: Final = "descriptors.store-full"
STORE_GONE: Final = "descriptors.store-gone"

NAME_BYTES: Final = 12
MOST_PER_MESSAGE: Final = 253
"SCM_MAX_FD of the kernel."
MOST_KEPT: Final = 10_000
"Names of `NAME_BYTES` and a colon each, in one variable of at most 128 KiB."
_MOST_WAITING: Final = 4096
_LOOK_AGAIN_MS: Final = 200

_log = structlog.get_logger()


class NoStore:
    """Keeps nothing: nobody starts this process again with what it held."""

    kept: int = 0

    def keep(self, name: str, fds: Sequence[int]) -> None:
        """Do nothing."""

    def drop(self, name: str) -> None:
        """Do nothing."""

    def handed_back(self) -> Mapping[str, Sequence[int]]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


class NotifyStore:
    """Implements `vault.tap.interfaces.DescriptorStore` over sd_notify(3)."""

    def __init__(
        self,
        address: str,
        *,
        handed_back: Mapping[str, Sequence[int]] | None = None,
        most: int = MOST_KEPT,
    ) -> None:
        """Take the place of an earlier process.

        Args:
            address: A path, or ``@`` and an abstract name.
            handed_back: What it had kept.  They are still in the store.
            most: Descriptors that the store takes; beyond, it drops them silently.
        """
        self._line = _Line(address)
        self._handed_back = dict(handed_back or {})
        self._most = most
        self._counted = Counter(
            {short_name(name): len(fds) for name, fds in self._handed_back.items()}
        )
        self._full = False

    @property
    def kept(self) -> int:
        """Descriptors that were sent to the store and not dropped."""
        return self._counted.total()

    def keep(self, name: str, fds: Sequence[int]) -> None:
        """Keep duplicates; see `DescriptorStore.keep`."""
        if self.kept + len(fds) > self._most:
            if not self._full:
                _log.error(STORE_FULL, kept=self.kept, most=self._most)
            self._full = True
            return
        self._full = False
        wire = short_name(name)
        self._counted[wire] += len(fds)
        for start in range(0, len(fds), MOST_PER_MESSAGE):
            self._line.send(
                f"FDSTORE=1\nFDNAME={wire}\nFDPOLL=0\n".encode(),
                fds[start : start + MOST_PER_MESSAGE],
            )

    def drop(self, name: str) -> None:
        """Forget every descriptor called *name*, which may be the short one."""
        wire = short_name(name)
        self._counted.pop(wire, None)
        self._line.send(f"FDSTOREREMOVE=1\nFDNAME={wire}\n".encode())

    def handed_back(self) -> Mapping[str, Sequence[int]]:
        """Return what an earlier process kept, under short names; once."""
        found, self._handed_back = self._handed_back, {}
        return found

    def close(self) -> None:
        """Close the line; the store keeps what it has."""
        self._line.close()


class Notifier:
    """Tells the service manager how this process is; without one, nobody."""

    def __init__(self, address: str, *, watchdog_s: float | None = None) -> None:
        self._line = _Line(address) if address else None
        self.beat_every_s = watchdog_s / 2 if watchdog_s and self._line else None
        """Seconds between two `beat`, or None where nobody listens for them."""

    def ready(self) -> None:
        """Say that this process serves."""
        self._say(b"READY=1\n")

    def stopping(self, *, within_s: float = 0.0) -> None:
        """Say that this process has begun to end.

        Args:
            within_s: How long it may take, where that is longer than usual.
        """
        self._say(b"STOPPING=1\n")
        if within_s:
            self._say(f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}\n".encode())

    def beat(self) -> None:
        """Say that this process is not stuck."""
        self._say(b"WATCHDOG=1\n")

    def close(self) -> None:
        """Say nothing more."""
        if self._line is not None:
            self._line.close()

    def _say(self, message: bytes) -> None:
        if self._line is not None:
            self._line.send(message)


def store_of(manager: ServiceManager) -> NotifyStore | NoStore:
    """Return the store that *manager* offers."""
    if not manager.notify or not manager.keeps:
        for descriptor in manager.descriptors:
            os.close(descriptor)
        return NoStore()
    return NotifyStore(
        manager.notify,
        handed_back=by_name(manager.descriptors, manager.names),
        most=min(MOST_KEPT, manager.keeps),
    )


def by_name(
    descriptors: Sequence[int], names: Sequence[str]
) -> Mapping[str, Sequence[int]]:
    """Group *descriptors* and keep them from children; closed ones are left out."""
    found: dict[str, list[int]] = {}
    for descriptor, name in zip(descriptors, names, strict=True):
        try:
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
            fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)
        except OSError:
            continue
        found.setdefault(name, []).append(descriptor)
    return found


def short_name(name: str) -> str:
    """Return *name* as it is on the wire; a short one is its own short one."""
    if len(name) <= NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).digest()
    return base64.b32encode(digest)[:NAME_BYTES].decode().lower()


def send_all(end: socket.socket, kept: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Send descriptors by name, wait until the other end has them all, and close."""
    with end:
        for name, fds in kept:
            for start in range(0, len(fds), MOST_PER_MESSAGE):
                part = fds[start : start + MOST_PER_MESSAGE]
                socket.send_fds(end, [name.encode()], part)


def receive_all(end: socket.socket) -> Mapping[str, Sequence[int]]:
    """Receive what `send_all` sends, until it closes."""
    found: dict[str, list[int]] = {}
    with end:
        while True:
            name, fds, _, _ = socket.recv_fds(
                end, 256, MOST_PER_MESSAGE, socket.MSG_CMSG_CLOEXEC
            )
            if not name:
                return found
            found.setdefault(name.decode(), []).extend(fds)


class _Line:
    """A connected datagram socket, and a thread for when its peer is slow."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        self._connected = False
        self._lock = threading.Lock()
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._sender: threading.Thread | None = None
        self._closed = False
        self._said = False

    def send(self, message: bytes, fds: Sequence[int] = ()) -> None:
        """Send now, or in order after what waits; never raises."""
        with self._lock:
            if self._closed:
                return
            if not self._waiting and self._try(message, fds):
                return
            if len(self._waiting) >= _MOST_WAITING:
                _log.error(STORE_GONE, problem="it takes no messages")
                return
            try:
                self._waiting.append((message, _duplicates(fds)))
            except OSError as error:
                _log.error(STORE_GONE, problem=error.strerror)
                return
            if self._sender is None:
                self._sender = threading.Thread(
                    target=self._send_waiting, name="notify", daemon=True
                )
                self._sender.start()

    def close(self) -> None:
        """Give up what waits."""
        with self._lock:
            self._closed = True
            self._forget_waiting()
            self._socket.close()

    def _try(self, message: bytes, fds: Sequence[int]) -> bool:
        """Return False if it would have to wait."""
        problem = ""
        # A service manager that was started again listens on a new socket.
        for _ in range(2):
            try:
                if not self._connected:
                    self._socket.connect(self._address)
                    self._connected = True
                socket.send_fds(self._socket, [message], list(fds))
            except BlockingIOError:
                return False
            except OSError as error:
                self._connected = False
                problem = error.strerror or type(error).__name__
            else:
                self._said = False
                return True
        if not self._said:
            _log.warning(STORE_GONE, problem=problem)
        self._said = True
        return True

    def _send_waiting(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._waiting:
                    self._sender = None
                    return
                message, fds = self._waiting[0]
                if self._try(message, fds):
                    self._waiting.popleft()
                    _close_all(fds)
                    continue
                # Not select(): it takes no descriptor above 1023.
                poller = select.poll()
                poller.register(self._socket, select.POLLOUT)
            poller.poll(_LOOK_AGAIN_MS)

    def _forget_waiting(self) -> None:
        for _, fds in self._waiting:
            _close_all(fds)
        self._waiting.clear()


def _duplicates(fds: Sequence[int]) -> list[int]:
    made: list[int] = []
    try:
        for descriptor in fds:
            made.append(os.dup(descriptor))  # noqa: PERF401 - what was made is closed on failure
    except OSError:
        _close_all(made)
        raise
    return made


def _close_all(fds: Sequence[int]) -> None:
    for descriptor in fds:
        with contextlib.suppress(OSError):
            os.close(descriptor)
