"""A warden for the length of one command.

A command that needs the warden asks the one that serves.  If none answers, and
only then, it starts one of its own: same code, same lock, same leaves.

Guarantees: never two wardens on one keyring (the lock decides); the borrowed one is
stopped before the command ends.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from vault.config import passphrase
from vault.core.flow import Actor, ActorKind, Caller
from vault.serving.children import Child
from vault.trust.client import WardenClient
from vault.wiring import Installation


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
    with WardenClient.at(installation.settings.socket_path) as serving:
        if serving.health().healthy:
            yield serving
            return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = Child(
            name="warden",
            arguments=lambda: [
                "warden",
                "--quiet",
                "--door",
                f"cli={theirs.fileno()}",
            ],
            descriptors=lambda: [theirs.fileno()],
            passphrase=passphrase(installation.settings),
        )
        child.start()
        try:
            with WardenClient.through(ours) as client:
                yield client
        finally:
            child.stop(within_s=10)
