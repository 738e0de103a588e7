"""``serve`` as the descriptor store of its tap: what systemd is to a unit.

A tap that dies leaves its sockets and call pages here; the next one gets them, and
its calls go on.  Where ``serve`` itself has a store, everything is kept there, too,
so that calls survive ``serve`` as well.

Guarantees:
    * Only messages of the tap that runs, by process id and user, are taken; no other
      process learns of a descriptor.
    * At most `MOST_KEPT` descriptors are held; duplicates are closed.
    * Nothing waits for the tap: what it sends is read by a thread, and what it gets
      is sent by another.

Left to others: what is kept and what becomes of it (`vault.tap.pool`).

Spec: sd_notify(3) as to FDSTORE, unix(7) as to SCM_CREDENTIALS
"""

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from vault.serving.descriptors import (
    MOST_KEPT,
    MOST_PER_MESSAGE,
    NoStore,
    NotifyStore,
    send_all,
)

REFUSED: Final = "keeping.refused"

_MESSAGE_BYTES: Final = 4096
_CREDENTIALS: Final = struct.Struct("=3i")
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(
    4 * MOST_PER_MESSAGE
)

_log = structlog.get_logger()


class DescriptorKeeper:
    """Keeps one child's descriptors by name."""

    def __init__(self, path: Path, *, beyond: NotifyStore | NoStore) -> None:
        """Listen at *path*, in a folder that is this user's alone.

        Args:
            path: Where the child sends to; what lies there is replaced.
            beyond: This process's own store, which gets everything, too.

        Raises:
            OSError: The socket could not be bound.
        """
        self.path = path
        self._beyond = beyond
        self._held: dict[str, dict[tuple[int, int], int]] = {}
        self._lock = threading.Lock()
        self._child = -1
        path.unlink(missing_ok=True)
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        for name, fds in beyond.handed_back().items():
            self._hold(name, fds)
        self._thread = threading.Thread(
            target=self._listen, name="descriptor-store", daemon=True
        )
        self._thread.start()

    @property
    def survives(self) -> bool:
        """Whether what is kept here outlives this process, too."""
        return isinstance(self._beyond, NotifyStore)

    @property
    def count(self) -> int:
        """Descriptors held."""
        with self._lock:
            return self._count()

    def belongs_to(self, process_id: int) -> None:
        """Take messages of this process from now on, and of no other."""
        with self._lock:
            self._child = process_id

    def hand_over(self) -> socket.socket:
        """Return the end on which a new child receives everything that is held.

        The caller closes it once the child has inherited it.
        """
        with self._lock:
            # What the child before has sent last counts.
            self._read_all()
            held = [
                (name, [os.dup(fd) for fd in fds.values()])
                for name, fds in self._held.items()
            ]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(
            target=_send_and_close, args=(ours, held), name="hand-over", daemon=True
        ).start()
        return theirs

    def close(self) -> None:
        """Close everything that is held."""
        os.close(self._wake_write)
        self._thread.join()
        os.close(self._wake_read)
        self._socket.close()
        self.path.unlink(missing_ok=True)
        for name in list(self._held):
            self._forget(name)

    # -- what the child says -----------------------------------------------

    def _listen(self) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._wake_read in ready:
                return
            with self._lock:
                self._read_all()

    def _read_all(self) -> None:
        while True:
            try:
                message, control, _, _ = self._socket.recvmsg(
                    _MESSAGE_BYTES, _CONTROL_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError as error:
                _log.error(REFUSED, problem=error.strerror)
                return
            fds, sender = _ancillary(control)
            if sender == (self._child, os.geteuid()):
                self._take(message, fds)
            else:
                _log.warning(REFUSED, problem="not the tap's", sender=sender[0])
                _close_all(fds)

    def _take(self, message: bytes, fds: Sequence[int]) -> None:
        said = _fields(message)
        name = said.get("FDNAME", "")
        if said.get("FDSTORE") == "1" and name:
            kept = self._hold(name, fds)
            if kept:
                self._beyond.keep(name, kept)
            return
        _close_all(fds)
        if said.get("FDSTOREREMOVE") == "1" and name:
            self._forget(name)
            self._beyond.drop(name)

    def _hold(self, name: str, fds: Sequence[int]) -> list[int]:
        """Hold those of *fds* that are new, and return them."""
        kept = []
        for descriptor in fds:
            # Every socket and memfd has an inode of its own: no need of kcmp(2),
            # which the unit's call filter forbids.
            about = os.fstat(descriptor)
            what = (about.st_dev, about.st_ino)
            if what in self._held.get(name, {}):
                os.close(descriptor)
            elif self._count() >= MOST_KEPT:
                _log.error(REFUSED, problem="the store is full", most=MOST_KEPT)
                os.close(descriptor)
            else:
                self._held.setdefault(name, {})[what] = descriptor
                kept.append(descriptor)
        return kept

    def _forget(self, name: str) -> None:
        _close_all(list(self._held.pop(name, {}).values()))

    def _count(self) -> int:
        return sum(len(fds) for fds in self._held.values())


def _ancillary(
    control: Sequence[tuple[int, int, bytes]],
) -> tuple[list[int], tuple[int, int]]:
    """Return the descriptors of a message, and its sender's process and user."""
    fds: list[int] = []
    sender = (-1, -1)
    for level, kind, octets in control:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            whole = len(octets) - len(octets) % 4
            fds += struct.unpack(f"={whole // 4}i", octets[:whole])
        elif kind == socket.SCM_CREDENTIALS and len(octets) == _CREDENTIALS.size:
            process_id, user, _ = _CREDENTIALS.unpack(octets)
            sender = (process_id, user)
    return fds, sender


def _fields(message: bytes) -> Mapping[str, str]:
    lines = message.decode("ascii", "replace").split("\n")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _send_and_close(end: socket.socket, held: list[tuple[str, list[int]]]) -> None:
    try:
        with contextlib.suppress(OSError):  # the child died: the next one asks again
            send_all(end, held)
    finally:
        for _, fds in held:
            _close_all(fds)


def _close_all(fds: Sequence[int]) -> None:
    for descriptor in fds:
        with contextlib.suppress(OSError):
            os.close(descriptor)
