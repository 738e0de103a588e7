"""What every process that holds keys or plaintext does before it touches them.

Guarantees, where the kernel allows: no core dump, no other process of the same
user reads its memory, nothing of it is swapped, files it makes are private.
What could not be had is returned by name, for readiness to say.

Spec: prctl(2), mlockall(2), setrlimit(2).
"""

import ctypes
import fcntl
import gc
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x40
_MCL_CURRENT_FUTURE_ONFAULT: Final = 1 | 2 | 4
_UCRED: Final = struct.Struct("=3i")
MAY_BE_SWAPPED: Final = "memory may be swapped out (raise RLIMIT_MEMLOCK)"
"What `harden` says of memory that it could not lock, where there is swap."
_PROOF: Final = b"p"
"Never the beginning of a frame or of a line of JSON."

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage in the block, which loads modules: what they make stays.

    Hundreds of looks, at more objects each time, were a fifth of every start.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def harden() -> tuple[str, ...]:
    """Close the ways in which secrets leak out of this process.

    Returns:
        What could not be done, as short phrases; empty when all is well.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    missing: list[str] = []
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        missing.append("memory can be read by processes of the same user")
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        missing.append("programs that it starts may have more rights")
    if not _locked() and _swap_exists():
        missing.append(MAY_BE_SWAPPED)
    return tuple(missing)


def raise_descriptor_limit() -> int:
    """Let this process hold as many descriptors as it may, and return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def peer_credentials(peer: socket.socket) -> tuple[int, int]:
    """Return process id and user id of who opened the other end of a Unix socket."""
    octets = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(octets)
    return pid, uid


def show_file(peer: socket.socket, path: Path) -> None:
    """Prove over a Unix socket that this process may open the file at *path*.

    Where it may not, nothing is sent, and the peer judges.

    Raises:
        OSError: The connection broke.
    """
    try:
        shown = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        socket.send_fds(peer, [_PROOF], [shown])
    finally:
        os.close(shown)


def was_shown(peer: socket.socket, path: Path) -> bool:
    """Tell whether *peer* shows, before anything else, that it may open *path*.

    Two processes of one user look alike to each other.  A confined one cannot open
    what its domain leaves out; one that holds the very file open is not confined.
    What a peer says that shows nothing is left to be read.

    Raises:
        OSError: The connection broke, or the peer has nothing to say.
    """
    first = peer.recv(len(_PROOF), socket.MSG_PEEK)
    if not first:
        raise ConnectionAbortedError
    if first != _PROOF:
        return False
    _, shown, _, _ = socket.recv_fds(peer, len(_PROOF), 1)
    try:
        return any(_is_open_file(each, path) for each in shown)
    finally:
        for each in shown:
            os.close(each)


def _is_open_file(descriptor: int, path: Path) -> bool:
    # A descriptor with O_PATH is a name and no right: anybody can have one.
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_PATH:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def open_descriptors() -> int:
    """Return how many descriptors this process holds."""
    # Since Linux 6.2 the folder's size is their number; before, it is 0.
    known = Path("/proc/self/fd").stat().st_size
    return known or sum(1 for _ in Path("/proc/self/fd").iterdir())


def give_back_memory() -> None:
    """Return to the kernel what was freed in between; some milliseconds at most.

    The C library keeps freed pieces of a heap whose end is in use: what a busy
    moment took would be held for good.
    """
    # Not every C library has it.
    if trim := getattr(_libc, "malloc_trim", None):
        trim(0)


def clock_state() -> tuple[bool, float]:
    """Return whether the kernel takes the clock to be synchronised, and its error, s.

    Raises:
        OSError: The kernel does not say.
    """
    about = _Timex()
    state = _libc.adjtimex(ctypes.byref(about))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    synchronised = state != _TIME_ERROR and not about.status & _STA_UNSYNC
    return synchronised, about.esterror / 1e6


class _Timex(ctypes.Structure):
    """``struct timex`` as far as it is read; the kernel writes into the rest, too."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel for *signal_number* when the parent process dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def _locked() -> bool:
    # ONFAULT: lock pages when they are touched, so that large reserved
    # mappings (thread stacks, arenas) do not count against the limit.
    if _libc.mlockall(_MCL_CURRENT_FUTURE_ONFAULT) == 0:
        return True
    return _cgroup_swap_max() == "0"


def _cgroup_swap_max() -> str:
    try:
        group = Path("/proc/self/cgroup").read_text().strip().split("::", 1)[-1]
        return Path(f"/sys/fs/cgroup{group}/memory.swap.max").read_text().strip()
    except OSError:
        return ""


def _swap_exists() -> bool:
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return True
