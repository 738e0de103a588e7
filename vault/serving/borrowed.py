"""A warden for the length of one command.

A command that needs the warden asks the one that serves.  If none answers, and
only then, it starts one of its own: same code, same lock, same leaves.

Guarantees: never two wardens on one keyring (the lock decides); the borrowed one is
stopped before the command ends.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from vault.config import passphrase
from vault.core.errors import ConflictError, UnavailableError
from vault.core.flow import Actor, ActorKind, Caller
from vault.serving.children import Child
from vault.trust.client import WardenClient
from vault.warden.main import WardenLock
from vault.wiring import Installation

_PATIENCE_S: Final = 20.0
"How long a warden that starts, or that another command has, is waited for."


def operator() -> Caller:
    """Return who runs this command: the operating system's user."""
    return Caller(actor=Actor(kind=ActorKind.OPERATOR, id=str(os.getuid())))


@contextmanager
def borrowed_warden(installation: Installation) -> Iterator[WardenClient]:
    """Yield a client of a warden that works.

    Raises:
        ConfigurationError: No installation, or no passphrase for it.
        UnavailableError: No warden serves and none could be started.
    """
    installation.require_initialised()
    path = installation.settings.socket_path
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        # 1. The one that serves, also when it is only just starting.
        with installation.warden_client(None) as serving:
            health = serving.health()
            if health.healthy:
                yield serving
                return
        # 2. None serves: one of our own, if nobody else has the right to be it.  The
        #    lock is taken here and handed over, so that nothing comes in between.
        lock = None if _listens(path) else _taken(installation.warden_lock)
        if lock is not None:
            with lock, _start(installation, lock) as client:
                yield client
            return
        # 3. One runs that does not answer yet: `serve` starts, or another
        #    command has borrowed it.
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"a warden runs and does not answer: {health.detail}"
            )
        time.sleep(0.1)


def _start(
    installation: Installation, lock: WardenLock
) -> AbstractContextManager[WardenClient]:
    with ExitStack() as stack:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(ours)
        stack.enter_context(theirs)
        door = f"cli={theirs.fileno()}"
        child = Child(
            name="warden",
            arguments=lambda: [
                *("warden", "--quiet", "--door", door),
                *("--lock-fd", str(lock.descriptor)),
            ],
            descriptors=lambda: [theirs.fileno(), lock.descriptor],
            passphrase=passphrase(installation.settings),
        )
        stack.callback(child.stop, within_s=10)
        child.start()
        client = stack.enter_context(WardenClient.through(ours))
        return _held(client, stack.pop_all())


@contextmanager
def _held(client: WardenClient, stack: ExitStack) -> Iterator[WardenClient]:
    with stack:
        yield client


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _taken(lock: Path) -> WardenLock | None:
    try:
        return WardenLock(lock)
    except ConflictError:
        return None
