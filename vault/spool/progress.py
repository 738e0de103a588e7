"""How far the shipper is, in one small file for `callvault spool status`.

    SPOOL/.shipping   {"v":1, "bytes_per_s", "recordings":
                       {<id>: {"shipped", "tries", "next_try"}}}

Guarantees: a reader sees one whole state or none; nothing relies on it, so it is
never synced.

Left to others: what is in the spool (`vault.spool.ledger`).
"""

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import IntegrityError, InvalidInputError
from vault.core.ids import RecordingId
from vault.spool import descriptors

SHIPPING: Final = ".shipping"
_VERSION: Final = 1
_EVERY_S: Final = 0.5
_WINDOW_S: Final = 60.0
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipping:
    """Where one recording stands on its way."""

    shipped: int = 0
    "Octets that the store holds, compared."
    tries: int = 0
    "Failures in a row."
    next_try_s: float = 0.0
    "Since the epoch; 0 where nothing has to be waited for."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingState:
    """What the shipper says of itself."""

    bytes_per_s: float = 0.0
    "Over the last minute."
    recordings: Mapping[str, Shipping]


class Progress:
    """The shipper's side; safe to share between its threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._state: dict[RecordingId, Shipping] = {}
        self._sent: deque[tuple[float, int]] = deque()
        self._written_s = -_EVERY_S
        self._changed = False

    def begin(self, recording_id: RecordingId) -> None:
        """Note that another try begins: what is there is looked at again."""
        with self._lock:
            known = self._state.get(recording_id, Shipping())
            self._state[recording_id] = replace(known, shipped=0, next_try_s=0.0)
            self._changed = True
        self.write()

    def stored(self, recording_id: RecordingId, size_bytes: int) -> None:
        """Note that the store holds *size_bytes* more."""
        with self._lock:
            known = self._state.get(recording_id, Shipping())
            self._state[recording_id] = replace(
                known, shipped=known.shipped + size_bytes
            )
            self._sent.append((time.monotonic(), size_bytes))
            self._changed = True
        self.write()

    def delayed(self, recording_id: RecordingId, wait_s: float) -> None:
        """Note that a try failed, and when the next one is."""
        with self._lock:
            known = self._state.get(recording_id, Shipping())
            self._state[recording_id] = replace(
                known, tries=known.tries + 1, next_try_s=time.time() + wait_s
            )
            self._changed = True
        self.write()

    def done(self, recording_id: RecordingId) -> None:
        """Note that a recording left the spool."""
        with self._lock:
            self._state.pop(recording_id, None)
            self._changed = True
        self.write()

    def write(self, *, now: bool = False) -> float:
        """Write the file, unless it was written just now.

        Returns:
            Seconds after which to call again, infinite where all is written.
        """
        with self._lock, contextlib.suppress(OSError, IntegrityError):
            now_s = time.monotonic()
            early_s = self._written_s + _EVERY_S - now_s
            if not self._changed or (early_s > 0 and not now):
                return early_s if self._changed else math.inf
            self._written_s, self._changed = now_s, False
            with descriptors.folder(self._directory) as at:
                octets = canonical.dumps(self._members(now_s))
                descriptors.write_whole(at, SHIPPING, octets, replace=True, sync=False)
        return math.inf

    def _members(self, now_s: float) -> JsonObject:
        while self._sent and self._sent[0][0] < now_s - _WINDOW_S:
            self._sent.popleft()
        total = sum(size for _, size in self._sent)
        span_s = now_s - self._sent[0][0] if self._sent else 0.0
        return {
            "v": _VERSION,
            "bytes_per_s": round(total / max(1.0, span_s)),
            "recordings": {
                recording_id: {
                    "shipped": one.shipped,
                    "tries": one.tries,
                    "next_try": round(one.next_try_s),
                }
                for recording_id, one in self._state.items()
            },
        }


def read_shipping(directory: Path) -> ShippingState:
    """Return what the shipper said last; empty where nobody ships."""
    try:
        with (
            descriptors.folder(directory) as at,
            os.fdopen(descriptors.open_file(at, SHIPPING), "rb") as file,
        ):
            members = canonical.parse(file.read(_MAX_BYTES))
        return _parsed(members)
    except (OSError, ValueError, TypeError, KeyError, InvalidInputError):
        return ShippingState(recordings={})


def _parsed(members: JsonObject) -> ShippingState:
    found = members["recordings"]
    if not isinstance(found, dict):
        raise InvalidInputError("not the shipper's")
    return ShippingState(
        bytes_per_s=_number(members["bytes_per_s"]),
        recordings={
            name: Shipping(
                shipped=_number(one["shipped"]),
                tries=_number(one["tries"]),
                next_try_s=_number(one["next_try"]),
            )
            for name, one in found.items()
            if isinstance(one, dict)
        },
    )


def _number(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise InvalidInputError("not a count")
    return value
