"""The warden as a process: one per vault, ended by a signal.

Guarantees: the second warden on one keyring stops with a clear error, before it
has asked for a passphrase or touched the log; SIGTERM and SIGINT end cleanly.

Left to others: composing a `Warden` (`vault.wiring`), `harden` first of all.
"""

import fcntl
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, Self

from vault.core.errors import ConfigurationError, ConflictError
from vault.warden.server import Warden

_BACKLOG: Final = 16
_MAX_PATH_BYTES: Final = 107


class WardenLock:
    """The right to be the warden: a lock on ``keys/warden.lock``.

    The kernel drops it when the process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            ConflictError: A warden is running.
            ConfigurationError: The folder cannot be written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as exc:
            raise ConfigurationError(f"{path}: {exc.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise ConflictError(f"a warden is running: {path} is locked") from None

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """Go on with a lock that the parent process has taken; it stays locked."""
        lock = cls.__new__(cls)
        os.set_inheritable(descriptor, False)
        lock._descriptor = descriptor  # noqa: SLF001 - our own, made without taking it
        return lock

    @property
    def descriptor(self) -> int:
        """What a child process inherits to have the lock, too."""
        return self._descriptor

    def release(self) -> None:
        """Let the next warden in, unless a child process has the lock, too."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()


def listen(path: Path, *, mode: int = 0o600) -> socket.socket:
    """Return a Unix socket that listens at *path*.

    Call it only while holding the `WardenLock`: a socket that lies there is then
    a dead warden's, and is replaced.

    Args:
        path: At most 107 octets; its folder exists and is private.
        mode: 0o600, or 0o660 where other users' processes connect.

    Raises:
        ConfigurationError: No socket can be made there.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ConfigurationError(f"the socket's path is too long: {path}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        # Nobody connects between bind and chmod: the backlog is not there yet.
        sock.bind(str(path))
        path.chmod(mode)
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise ConfigurationError(f"{path}: {exc.strerror}") from None
    return sock


def run(
    warden: Warden,
    *,
    connections: Sequence[tuple[str, socket.socket]] = (),
    listener: socket.socket | None = None,
    uid_roles: Mapping[int, str] | None = None,
    proof: Path | None = None,
    started: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, in the main thread.

    Args:
        warden: Which.
        connections: See `Warden.start`.
        listener: See `Warden.start`.
        uid_roles: See `Warden.start`.
        proof: See `Warden.start`.
        started: Called once ``process.started`` is durable.

    Raises:
        ConfigurationError: There is no such role.
        AuditUnavailableError: The log does not work: there is no warden.
    """

    def end(_signal: int, _frame: FrameType | None) -> None:
        warden.request_stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    warden.start(connections, listener, uid_roles, proof)
    if started is not None:
        started()
    warden.serve_forever()
