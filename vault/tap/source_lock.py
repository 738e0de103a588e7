"""The source lock: a media socket takes packets of one peer, and the rest apart.

A lock is a filter, not a verdict.  After the first packet that authenticates the
socket is ``connect()``ed to where it came from, so that the kernel lets nobody else
fill its buffer.  Real senders move without a word, though (a new port with a new
SSRC or key, within a third of a second).  So what the lock keeps out is caught by a
second, small socket on the same port, the *stray* socket, which is read at a rate
of its own; a packet there that authenticates moves the lock.

    open ──first authentic packet──► locked ──authentic stray──► locked to another
      ▲                                │ │
      │    no stray socket and silent  │ │ another move within 2 s: two senders
      └────────────────────────────────┘ └──► shared, for half a minute

Guarantees: nothing here believes a packet; callers report authentic ones only.  A
socket that cannot be locked is received from as before.

Left to others: reading (`vault.tap.intake`), what authentic means for plain RTP
(`vault.tap.welcome`).

Spec: connect(2), udp(7); socket(7), SO_REUSEPORT: of several sockets on a port the
connected one takes what its peer sends.
"""

import os
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import cffi

from vault.tap.slots import SOURCE_SIZE
from vault.tap.sockets import SO_TIMESTAMPNS, drops_of

if TYPE_CHECKING:
    from vault.tap.calls import Stream

SILENT_S: Final = 1.0
"A sender that is silent for so long may have moved."
_SETTLED_S: Final = 2.0
"Two moves within this are two senders, and no sender that moved."
_SHARED_S: Final = 30.0

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_SIZES: Final = {socket.AF_INET: 16, socket.AF_INET6: 28}
_NOBODY: Final = struct.pack("=H", socket.AF_UNSPEC).ljust(16, b"\0")

_ffi = cffi.FFI()
_ffi.cdef(
    """
    int connect(int, const char *, unsigned int);
    int getpeername(int, char *, unsigned int *);
    int getsockname(int, char *, unsigned int *);
    """
)
_libc: Any = _ffi.dlopen(None)
_connect: Any = _libc.connect


class Port:
    """One UDP port of a stream: its socket, its lock and its stray socket."""

    # Plain attributes: read per batch.
    __slots__ = (
        "_dropped",
        "_moved_s",
        "_shared_until_s",
        "fd",
        "is_lockable",
        "is_rtcp",
        "learning",
        "peer",
        "stray_fd",
        "stray_read_s",
        "stream",
    )

    def __init__(self, fd: int, stream: "Stream", *, is_rtcp: bool) -> None:
        self.fd = fd
        self.stream = stream
        self.is_rtcp = is_rtcp
        self.stray_fd = -1
        self.stray_read_s = 0.0
        "When it was last read: while many have data, not each tick."
        self._dropped = 0
        peer, family = _peer_of(fd)
        self.is_lockable = family in _FAMILIES
        self.peer = peer
        "Socket address that the socket is connected to; empty while it is not."
        self.learning = self.is_lockable and not peer
        "Whether the source of the next authentic packet is wanted."
        self._moved_s = -_SETTLED_S
        self._shared_until_s = 0.0
        if peer and not self.is_lockable:
            self._release()

    @property
    def is_shared(self) -> bool:
        """Whether two senders were seen, so that the lock stays open for a while."""
        return self._shared_until_s > 0

    def hear(self, source: bytes, now_s: float) -> bool:
        """Note where an authentic packet came from; True if the lock moved."""
        if source == self.peer or not self.is_lockable or self.is_shared:
            return False
        if self.peer and now_s - self._moved_s < _SETTLED_S:
            self._shared_until_s = now_s + _SHARED_S
            self._release()
            return True
        if self.peer:
            # Some kernels keep a connected socket where its first peer put it.
            _connect(self.fd, _NOBODY, len(_NOBODY))
        if not _connected(self.fd, source):
            # A source that cannot be answered: it stays as it was, unlocked.
            self._release()
            return False
        self.peer = source
        self.learning = False
        self._moved_s = now_s
        return True

    def dissolve(self) -> None:
        """Let everybody in again: whoever is authentic next gets the lock."""
        self._release()
        self.learning = self.is_lockable

    def disable(self) -> None:
        """Never lock again: no stray socket could tell that the sender moved."""
        self.is_lockable = False
        self._shared_until_s = 0.0
        self._release()

    def unshare(self, now_s: float) -> None:
        """Try again, when half a minute of two senders is over."""
        if self.is_shared and now_s >= self._shared_until_s:
            self._shared_until_s = 0.0
            self.learning = self.is_lockable

    def open_stray(self, buffer_bytes: int) -> bool:
        """Make the stray socket; False where that is not possible."""
        (family,) = struct.unpack_from("=H", self.peer)
        # Told what it is, Python does not ask the kernel.
        main = socket.socket(family, socket.SOCK_DGRAM, 0, fileno=self.fd)
        try:
            self.stray_fd = _stray_of(main, buffer_bytes)
        except OSError:
            return False
        finally:
            main.detach()
        # Once more: the kernel marks a group of sockets as one with connections
        # only when a member connects after the second was bound.
        return _connected(self.fd, self.peer)

    def count_strays(self) -> bool:
        """Count what the kernel has dropped at the stray socket; whether it did."""
        dropped = drops_of(self.stray_fd)
        self.stream.count.stray_drops += dropped - self._dropped
        had, self._dropped = self._dropped, dropped
        return dropped > had

    def close_stray(self) -> None:
        """Close the stray socket, if there is one."""
        if self.stray_fd >= 0:
            os.close(self.stray_fd)
            self.stray_fd = -1
            self._dropped = 0

    def _release(self) -> None:
        if self.peer:
            _connect(self.fd, _NOBODY, len(_NOBODY))
        self.peer = b""
        self.learning = False


def address_of(source: bytes) -> tuple[str, int] | None:
    """Return address and port of a socket address; None if it is of no IP socket."""
    (family,) = struct.unpack_from("=H", source)
    (port,) = struct.unpack_from(">H", source, 2)
    if family == socket.AF_INET:
        return str(ip_address(source[4:8])), port
    if family == socket.AF_INET6:
        return str(ip_address(source[8:24])), port
    return None


def _connected(fd: int, source: bytes) -> bool:
    (family,) = struct.unpack_from("=H", source)
    size = _SIZES.get(family, 0)
    return bool(size) and _connect(fd, source, size) == 0


def _peer_of(fd: int) -> tuple[bytes, int]:
    """Return whom a socket is connected to, and its address family."""
    own, peer = _name(_libc.getsockname, fd), _name(_libc.getpeername, fd)
    (family,) = struct.unpack_from("=H", own)
    return (peer if peer and family in _FAMILIES else b""), family


def _name(get: Any, fd: int) -> bytes:
    # Not through Python's sockets: they cannot be made of a descriptor for less
    # than two system calls, and give no socket addresses as the kernel has them.
    name, size = _ffi.new("char[128]"), _ffi.new("unsigned int *", 128)
    if get(fd, name, size):
        return b""
    return bytes(_ffi.buffer(name, SOURCE_SIZE))


def _stray_of(main: socket.socket, buffer_bytes: int) -> int:
    main.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    stray = socket.socket(main.family, socket.SOCK_DGRAM)
    try:
        # Blocking: it is read with MSG_DONTWAIT alone.
        stray.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stray.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        stray.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        stray.bind(main.getsockname())
    except OSError:
        stray.close()
        raise
    return stray.detach()
