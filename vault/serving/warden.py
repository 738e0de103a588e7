"""The warden as a process: unlock, open the log, answer."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vault.config import Settings, passphrase
from vault.core.errors import ConfigurationError, ConflictError
from vault.core.secrets import SecretBytes
from vault.serving import doors
from vault.serving.children import read_piped, say_ready
from vault.warden.main import WardenLock, listen, run
from vault.wiring import Installation

_COMMAND_S: Final = 15.0
"How long a command may keep the warden that it has borrowed."


def serve_warden(
    installation: Installation,
    *,
    doors_by_role: Sequence[str] = (),
    listener_fd: int | None = None,
    lock_fd: int | None = None,
    passphrase_fd: int | None = None,
    ready_fd: int | None = None,
) -> None:
    """Be the warden until SIGTERM.

    Args:
        installation: Whose.
        doors_by_role: ``role=descriptor`` for every door (`vault.serving.doors`).
        listener_fd: A Unix socket that listens already; without it and without
            doors, the configured path is bound.
        lock_fd: The warden's lock, which the parent has taken.
        passphrase_fd: A pipe with the passphrase; without it, settings say where.
        ready_fd: Whom to tell that it serves.

    Raises:
        ConflictError: A warden is running.
        ConfigurationError: Wrong passphrase, or no installation.
        TrailBrokenError: The log contradicts its mark: nothing is signed.
    """
    installation.require_initialised()
    # The lock before anything else: the second warden must not even unlock.
    lock = installation.warden_lock
    with (
        _lock(lock, waits=listener_fd is not None)
        if lock_fd is None
        else WardenLock.inherited(lock_fd)
    ):
        secret: SecretBytes = (
            read_piped(passphrase_fd)
            if passphrase_fd is not None
            else passphrase(installation.settings)
        )
        installation.databases.settle()
        keyring = installation.unlock(secret)
        roles = _roles(installation.settings)
        opened = [_door(word) for word in doors_by_role]
        listener: socket.socket | None = None
        if listener_fd is not None:
            listener = socket.socket(fileno=listener_fd)
        elif not opened:
            listener = _listener(installation.settings)
        with installation.open_log(keyring) as trail:
            warden = installation.warden(keyring, trail)

            def open_doors() -> None:
                for role, door in opened:
                    doors.answer(warden, role, door)
                say_ready(ready_fd)

            run(
                warden,
                listener=listener,
                uid_roles=roles,
                proof=lock,
                started=open_doors,
            )


def _roles(settings: Settings) -> Mapping[int, str]:
    """Return the role of each user on the socket's path."""
    # Operators of our own user show the lock's file.  A line that makes one of
    # whoever has that user would make one of confined processes.
    return {
        _uid(uid): role
        for uid, role in settings.warden_roles.items()
        if (uid, role) != (str(os.geteuid()), "cli")
    }


def _listener(settings: Settings) -> socket.socket:
    path, shared = settings.socket_path, bool(settings.warden_roles)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return listen(path, mode=0o660 if shared else 0o600)


def _lock(path: Path, *, waits: bool) -> WardenLock:
    """Take the lock; one that serves waits for a command to give it back."""
    deadline = time.monotonic() + _COMMAND_S
    while True:
        try:
            return WardenLock(path)
        except ConflictError:
            if not waits or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _door(word: str) -> tuple[str, socket.socket]:
    role, _, descriptor = word.partition("=")
    return role, socket.socket(fileno=int(descriptor))


def _uid(text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError("warden_roles: a key is a numeric user id")
    return int(text)
