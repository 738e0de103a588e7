"""What was answered lately, within limits: the memory that copies of requests need.

Guarantees:
    * Never more entries or octets than `Limits` say; what has to go is the oldest of
      the same address first, so that one sender cannot make us forget another's
      while it has any of its own.
    * Every call costs O(1), amortised.

Spec: RFC 3261, section 17.2 (timers H, I and J); RFC 6026, section 8.7 (timer L).
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from vault.core.prefixes import network_of
from vault.sip.matching import TransactionKey

_V = TypeVar("_V")

_OVERHEAD_BYTES: Final = 1280
"What an entry costs beside its answer: names, rows of tables; measured, rounded up."
_RESERVE: Final = 8
"An eighth more is let in where a call that stands is concerned."
_SWEEP_S: Final = 1.0
"Expired entries may wait so long, so that nobody is woken for each."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many requests may be held; those of one IPv6 /64 count as one address."""

    pending: int = 8192
    "Without an answer or, where an answer needs one, without ACK; in all."
    pending_per_address: int = 2048
    finished: int = 65536
    """Answered requests that are remembered for their copies, in all.  The oldest are
    forgotten first: a copy of theirs would be taken for new."""
    finished_per_address: int = 32768
    finished_bytes: int = 64 * 1024 * 1024
    "Octets that they may take together."
    finished_bytes_per_address: int = 32 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Entry(Generic[_V]):
    value: _V
    network: str
    size: int
    ends_s: float


@dataclass(slots=True, eq=False)
class _Share:
    """What one address takes."""

    keys: OrderedDict[TransactionKey, None]
    size: int = 0
    pending: int = 0


class Remembered(Generic[_V]):
    """Finished transactions in the order in which they end, and who has how many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: OrderedDict[TransactionKey, _Entry[_V]] = OrderedDict()
        self._shares: dict[str, _Share] = {}
        self._size = 0
        self._pending = 0

    def get(self, key: TransactionKey) -> _V | None:
        """Return what is remembered under *key*."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def has_room(self, address: str, *, in_dialog: bool) -> bool:
        """Say whether one more request of *address* may be pending."""
        share = self._shares.get(network_of(address))
        limits = self._limits
        own, most = limits.pending_per_address, limits.pending
        if in_dialog:
            own, most = own + own // _RESERVE, most + most // _RESERVE
        return self._pending < most and (share is None or share.pending < own)

    def begun(self, address: str) -> None:
        """Count one more pending request of *address*."""
        self._pending += 1
        self._share(network_of(address)).pending += 1

    def ended(self, address: str) -> None:
        """Count one pending request of *address* less."""
        self._pending -= 1
        network = network_of(address)
        self._shares[network].pending -= 1
        self._tidy(network)

    def add(
        self,
        key: TransactionKey,
        value: _V,
        *,
        address: str,
        size: int,
        ends_s: float,
    ) -> list[_V]:
        """Remember *value* until *ends_s*; return what had to be forgotten for it.

        Args:
            key: Its name.
            value: What is remembered.
            address: Who sent the request.
            size: Octets of its answer and names.
            ends_s: Not before that of any entry that is remembered already.
        """
        network = network_of(address)
        share = self._share(network)
        size += _OVERHEAD_BYTES
        self._entries[key] = _Entry(value, network, size, ends_s)
        share.keys[key] = None
        share.size += size
        self._size += size
        return list(self._excess(share))

    def expired(self, now_s: float) -> Iterator[_V]:
        """Forget, and return, what has been remembered for long enough."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.ends_s > now_s:
                return
            yield self._pop(key)

    @property
    def next_s(self) -> float | None:
        """When `expired` is worth a call."""
        for entry in self._entries.values():
            return entry.ends_s + _SWEEP_S
        return None

    def __len__(self) -> int:
        return len(self._entries)

    def _excess(self, share: _Share) -> Iterator[_V]:
        limits = self._limits
        while (
            len(share.keys) > limits.finished_per_address
            or share.size > limits.finished_bytes_per_address
        ):
            yield self._pop(next(iter(share.keys)))
        while (
            len(self._entries) > limits.finished or self._size > limits.finished_bytes
        ):
            # Whoever adds gives way first, unless the new entry is all it has.
            own = len(share.keys) > 1
            yield self._pop(next(iter(share.keys if own else self._entries)))

    def _pop(self, key: TransactionKey) -> _V:
        entry = self._entries.pop(key)
        share = self._shares[entry.network]
        del share.keys[key]
        share.size -= entry.size
        self._size -= entry.size
        self._tidy(entry.network)
        return entry.value

    def _share(self, network: str) -> _Share:
        share = self._shares.get(network)
        if share is None:
            share = self._shares[network] = _Share(OrderedDict())
        return share

    def _tidy(self, network: str) -> None:
        share = self._shares[network]
        if not share.pending and not share.keys:
            del self._shares[network]
