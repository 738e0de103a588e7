"""The page of one call: what the next process needs to go on with it, in memory.

One memfd per call, shared by the supervisor, which writes the *state* (orders, keys,
part number), and the media worker, which writes what it has counted.  Whoever holds
the descriptor after a death reads both.  Nothing of it is ever on a disk.

    octet 0        64 KiB          + STATE    2 x STATE     + 32 x 2 KiB    end
          | head   | state half 0  | half 1   | streams     | further SSRCs |

    head           magic (8) | generation: u64; state half ``generation & 1`` holds
    state half     generation | size | CRC-32 (u64 each) | octets
    stream         8 SSRCs of 128 octets | counts, 2 halves of 512 octets
    further SSRCs  56 more SSRCs per stream; untouched, they take no memory
    SSRC           2 halves of 64 octets:
                   turn << 32 | SSRC, extended, packets, first, last, XOR of all five
    counts half    turn << 32 | size | CRC-32 (u64 each) | octets

Integers are the machine's own: both ends run on it.  Every value has two halves that
are written in turn, each with a check of its own, so whenever a writer dies, or writes
while it is read, the last whole value is found.

Guarantees: the file is sealed at its size, so that no holder can make another one
fault; what is read was checked (sizes, checks), or it is not returned.

Locked memory: both processes lock what they touch (`vault.process.harden`).  A worker
whose supervisor is gone calls `PageWriter.hold`, so that the keys in the state stay
locked while it is the only one.

Rule for change: none across versions; a page of another layout has another magic and
its call ends as ``cut``.

Left to others: what the octets mean (`vault.tap.open_call`, `vault.tap.counting`).

Spec: memfd_create(2), fcntl(2) "File sealing".
"""

import fcntl
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Final, Self

from vault.core.errors import InvalidInputError
from vault.tap.orders import MAX_STREAMS_PER_CALL

MAX_STATE: Final = 192 * 1024 - 24
"Octets of state; with 32 streams and a recorder's 60 KiB some 150 KiB."
MAX_COUNTS: Final = 512 - 24
"Octets of packed counters per stream."
MAX_SSRCS: Final = 64
"SSRCs per stream, as many as a stream remembers (`vault.tap.counting`)."

_MAGIC: Final = b"cvpage01"
_STATES: Final = 64 * 1024
_STATE_HALF: Final = 192 * 1024
_STREAMS: Final = _STATES + 2 * _STATE_HALF
_STREAM: Final = 2048
_FURTHER: Final = _STREAMS + MAX_STREAMS_PER_CALL * _STREAM
_SSRC: Final = 128
_SSRC_HALF: Final = 64
_NEAR: Final = 8
_COUNTS: Final = _NEAR * _SSRC
_COUNTS_HALF: Final = 512
_SIZE: Final = _FURTHER + MAX_STREAMS_PER_CALL * (MAX_SSRCS - _NEAR) * _SSRC

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_GENERATION_AT: Final = 8
# Native and aligned: each integer is one store, so a value is old or new.
_U64: Final = struct.Struct("@Q")
_HEAD: Final = struct.Struct("@QQQ")
_ENTRY: Final = struct.Struct("@QqQqqQ")
_MASK: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamIndex:
    """How far one SSRC of a stream had come."""

    ssrc: int
    extended: int
    """SRTP index of the highest authentic packet under the stream's present key:
    rollover counter times 2**16 plus sequence number; below zero if there is none."""
    packets: int
    "Authentic packets of this SSRC since the call began."
    first: int
    last: int
    "Extended sequence numbers as `SsrcSpan` counts them."


class _Mapped:
    """A page in this process's memory."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _SIZE)

    def indexes(self, stream: int) -> tuple[StreamIndex, ...]:
        """Return the SSRCs of a stream, in the order in which they appeared."""
        found = []
        for number in range(MAX_SSRCS):
            entry = self._newest(_entry_at(stream, number))
            if entry is None:
                break
            tag, extended, packets, first, last = entry
            found.append(
                StreamIndex(
                    ssrc=tag & 0xFFFFFFFF,
                    extended=extended,
                    packets=packets,
                    first=first,
                    last=last,
                )
            )
        return tuple(found)

    def counts(self, stream: int) -> bytes:
        """Return what `PageWriter.note_counts` was last given; empty if nothing."""
        return self._newest_counts(stream)[1]

    def close(self) -> None:
        """Unmap the page and close its descriptor."""
        if self.fd >= 0:
            self._map.close()
            os.close(self.fd)
            self.fd = -1

    def _newest(self, at: int) -> tuple[int, int, int, int, int] | None:
        best: tuple[int, int, int, int, int] | None = None
        for half in (at, at + _SSRC_HALF):
            tag, extended, packets, first, last, check = _ENTRY.unpack_from(
                self._map, half
            )
            whole = check == (tag ^ extended ^ packets ^ first ^ last) & _MASK
            if tag and whole and (best is None or tag >> 32 > best[0] >> 32):
                best = tag, extended, packets, first, last
        return best

    def _newest_counts(self, stream: int) -> tuple[int, bytes]:
        best = 0, b""
        for half in (0, _COUNTS_HALF):
            at = _counts_at(stream) + half
            tag, size, check = _HEAD.unpack_from(self._map, at)
            if tag >> 32 <= best[0] or size > MAX_COUNTS:
                continue
            octets = self._map[at + _HEAD.size : at + _HEAD.size + size]
            if check == _check(tag, octets):
                best = tag >> 32, octets
        return best


class CallPage(_Mapped):
    """The supervisor's side: it writes the state and reads what was counted."""

    @classmethod
    def create(cls) -> Self:
        """Make an empty page.

        Raises:
            OSError: No memory or no descriptors.
        """
        fd = os.memfd_create("call", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _SIZE)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            page = cls(fd)
        except BaseException:
            os.close(fd)
            raise
        page._map[: len(_MAGIC)] = _MAGIC
        return page

    @classmethod
    def take(cls, fd: int) -> Self:
        """Go on with a page that another process made; *fd* is owned from here on.

        Raises:
            InvalidInputError: It is no page of this version.  *fd* stays the
                caller's.
        """
        if not is_page(fd):
            raise InvalidInputError("not a call page")
        page = cls(fd)
        if page._map[: len(_MAGIC)] != _MAGIC:
            page._map.close()
            raise InvalidInputError("a call page of another version")
        return page

    def write_state(self, octets: bytes) -> None:
        """Replace the state; whoever reads finds the old one or this one.

        Raises:
            ValueError: More than `MAX_STATE` octets.
        """
        if len(octets) > MAX_STATE:
            raise ValueError(f"a state of {len(octets)} octets")
        generation = _U64.unpack_from(self._map, _GENERATION_AT)[0] + 1
        at = _state_at(generation)
        body = at + _HEAD.size
        self._map[body : body + len(octets)] = octets
        check = _check(generation, octets)
        _HEAD.pack_into(self._map, at, generation, len(octets), check)
        # Last, and one store: the new half counts from here on.
        _U64.pack_into(self._map, _GENERATION_AT, generation)

    def read_state(self) -> bytes:
        """Return the state.

        Raises:
            InvalidInputError: None was ever written, or it is damaged.
        """
        (generation,) = _U64.unpack_from(self._map, _GENERATION_AT)
        at = _state_at(generation)
        written, size, check = _HEAD.unpack_from(self._map, at)
        body = at + _HEAD.size
        if generation and written == generation and size <= MAX_STATE:
            octets = self._map[body : body + size]
            if check == _check(generation, octets):
                return octets
        raise InvalidInputError("a call page without a whole state")


class PageWriter(_Mapped):
    """The worker's side.  It goes on where an earlier worker of the call stopped."""

    def __init__(self, fd: int) -> None:
        """Map the page behind *fd*, which is owned from here on.

        Raises:
            InvalidInputError: It is no page.
        """
        if not is_page(fd):
            raise InvalidInputError("not a call page")
        super().__init__(fd)
        self._turn = 0
        self._next: dict[int, int] = {}
        "Where the next note of ``stream << 32 | ssrc`` goes."
        self._placed: dict[int, int] = {}
        "SSRCs per stream.  Looked up late: to read a hole is to fill it."
        self._counts_next: dict[int, int] = {}

    def note(
        self,
        stream: int,
        ssrc: int,
        extended: int,
        authentic: int,
        first: int,
        last: int,
    ) -> None:
        """Note how far an SSRC has come; one store of 48 octets.

        Args:
            stream: Index of the stream in its call.
            ssrc: Of the sender; from the 65th of a stream on nothing is noted.
            extended: SRTP index of its highest packet (`StreamIndex.extended`).
            authentic: Its packets since the call began.
            first: As in `SsrcSpan`.
            last: As in `SsrcSpan`.
        """
        key = stream << 32 | ssrc
        at = self._next.get(key) or self._place(stream, key)
        if not at:
            return
        self._turn += 1
        tag = self._turn << 32 | ssrc
        check = (tag ^ extended ^ authentic ^ first ^ last) & _MASK
        _ENTRY.pack_into(self._map, at, tag, extended, authentic, first, last, check)
        self._next[key] = at ^ _SSRC_HALF

    def note_counts(self, stream: int, packed: bytes) -> None:
        """Replace the packed counters of a stream, `MAX_COUNTS` octets at most."""
        if len(packed) > MAX_COUNTS:
            raise ValueError(f"counters of {len(packed)} octets")
        if stream not in self._placed:
            self._go_on(stream)
        at = _counts_at(stream) + self._counts_next[stream]
        self._turn += 1
        tag = self._turn << 32 | len(packed)
        body = at + _HEAD.size
        self._map[body : body + len(packed)] = packed
        _HEAD.pack_into(self._map, at, tag, len(packed), _check(tag, packed))
        self._counts_next[stream] ^= _COUNTS_HALF

    def hold(self) -> None:
        """Touch the state, so that this process's lock on memory covers it."""
        for half in (0, 1):
            at = _state_at(half)
            size = min(_HEAD.unpack_from(self._map, at)[1], MAX_STATE)
            # Not the whole half: touching a hole would fill it.
            zlib.crc32(memoryview(self._map)[at : at + _HEAD.size + size])

    def _go_on(self, stream: int) -> None:
        """Find out where an earlier worker stopped writing a stream."""
        self._placed[stream] = 0
        for number in range(MAX_SSRCS):
            at = _entry_at(stream, number)
            entry = self._newest(at)
            if entry is None:
                break
            tag = entry[0]
            self._placed[stream] = number + 1
            # The half that holds the value is not the one to write next.
            held = _U64.unpack_from(self._map, at)[0] == tag
            self._next[stream << 32 | tag & 0xFFFFFFFF] = at + _SSRC_HALF * held
            self._turn = max(self._turn, tag >> 32)
        turn, _ = self._newest_counts(stream)
        first = _HEAD.unpack_from(self._map, _counts_at(stream))[0] >> 32
        self._counts_next[stream] = _COUNTS_HALF if turn and first == turn else 0
        self._turn = max(self._turn, turn)

    def _place(self, stream: int, key: int) -> int:
        if stream not in self._placed:
            self._go_on(stream)
            if key in self._next:
                return self._next[key]
        number = self._placed[stream]
        if number >= MAX_SSRCS:
            return 0
        self._placed[stream] = number + 1
        self._next[key] = _entry_at(stream, number)
        return self._next[key]


def is_page(fd: int) -> bool:
    """Tell whether *fd* is a sealed memfd of the size of a page."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        return seals & _SEALS == _SEALS and os.fstat(fd).st_size == _SIZE
    except OSError:
        return False


def _state_at(generation: int) -> int:
    return _STATES + _STATE_HALF * (generation & 1)


def _entry_at(stream: int, number: int) -> int:
    if number < _NEAR:
        return _STREAMS + stream * _STREAM + number * _SSRC
    further = (MAX_SSRCS - _NEAR) * _SSRC
    return _FURTHER + stream * further + (number - _NEAR) * _SSRC


def _counts_at(stream: int) -> int:
    return _STREAMS + stream * _STREAM + _COUNTS


def _check(tag: int, octets: bytes) -> int:
    return zlib.crc32(octets, tag & 0xFFFFFFFF) << 32 | tag >> 32
