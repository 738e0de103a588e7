"""Where a media worker that outlived its supervisor can be met.

The supervisor makes one listening socket per worker in a private folder and hands it
over; a later supervisor finds the folder's names, connects, and is let in by the worker
alone if the one before is gone.

Guarantees:
    * The folder and the sockets are this user's alone (0700, 0600); a worker takes a
      peer of its own user only, as the kernel says it (SO_PEERCRED).
    * A name that nobody listens at is removed by whoever finds it.

Left to others: what is said after that (`vault.tap.control`).

Spec: unix(7).  Paths go through ``/proc/self/fd``, because a name of more than 107
octets fits into no address.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vault.core.errors import ConfigurationError
from vault.process import peer_credentials

_SUFFIX: Final = ".worker"
_BACKLOG: Final = 8
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def private_folder(folder: Path) -> None:
    """Make *folder* if it is not there.

    Raises:
        ConfigurationError: It is a link, somebody else's, or others may write to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        at = os.open(folder, _FOLDER)
    except OSError as exc:
        raise ConfigurationError(f"the folder {folder} cannot be used") from exc
    try:
        about = os.fstat(at)
        if about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise ConfigurationError(f"the folder {folder} is not private (mode 0700)")
    finally:
        os.close(at)


def names(folder: Path) -> list[Path]:
    """Return where workers may be met, making *folder* if it is not there.

    Raises:
        ConfigurationError: See `private_folder`.
    """
    private_folder(folder)
    return sorted(folder.glob(f"*{_SUFFIX}"))


def listen(folder: Path) -> tuple[socket.socket, Path]:
    """Bind a new name in *folder*; the worker itself calls `await_peers` on it."""
    path = folder / f"{secrets.token_hex(8)}{_SUFFIX}"
    listener = _socket()
    try:
        with short_path(path) as address:
            listener.bind(address)
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener, path


def await_peers(listener: socket.socket) -> None:
    """Listen.  The worker does it, so that its peers see its process id."""
    listener.setblocking(False)
    listener.listen(_BACKLOG)


def accept(listener: socket.socket) -> socket.socket | None:
    """Take a peer of this user; any other is turned away."""
    try:
        peer, _ = listener.accept()
    except OSError:
        return None
    if peer_credentials(peer)[1] != os.geteuid():
        peer.close()
        return None
    peer.setblocking(False)
    return peer


def meet(path: Path) -> socket.socket | None:
    """Connect to a worker; a name that nobody listens at is removed.

    Returns:
        The connection; None where there is none to be had.

    Raises:
        BlockingIOError: It listens, and has not looked for a while.
    """
    end = _socket()
    end.setblocking(False)
    try:
        with short_path(path) as address:
            end.connect(address)
    except BlockingIOError:
        end.close()
        raise
    except (ConnectionRefusedError, FileNotFoundError):
        end.close()
        path.unlink(missing_ok=True)
        return None
    except OSError:
        # Whoever listens there cannot be reached now, for want of memory perhaps:
        # without its name nobody would ever meet it.
        end.close()
        return None
    return end


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give an address of *path* that fits into a socket address, for a moment."""
    at = os.open(path.parent, _FOLDER)
    try:
        yield f"/proc/self/fd/{at}/{path.name}"
    finally:
        os.close(at)
