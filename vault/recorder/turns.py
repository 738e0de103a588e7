"""Who begins next: few calls at a time, and devices take turns.

    a a a a a b          order of arrival
    a b a a a a          order of beginning

A device that asks for hundreds of calls at once waits for itself; a call of any other
device waits for one call of each device before it, and for a place.

Guarantees: as many begin at a time as may, while any wait; whoever gives up waiting
leaves no place taken.

Left to others: how many a device may have (`vault.recorder.limits`), how fast it may
ask (`vault.siprec.admission`, `vault.forks`).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vault.core.ids import DeviceId


class Turns:
    """Places for calls that begin; lives on one event loop."""

    def __init__(self, places: int) -> None:
        """Let *places* calls begin at a time."""
        if places < 1:
            raise ValueError("nobody could ever begin")
        self._free = places
        self._waiting: OrderedDict[DeviceId, deque[asyncio.Future[None]]]
        self._waiting = OrderedDict()
        "Whose turn is next, first."

    @asynccontextmanager
    async def of(self, device_id: DeviceId) -> AsyncIterator[None]:
        """Wait for a place among the calls of *device_id*; hold it inside."""
        await self._taken(device_id)
        try:
            yield
        finally:
            self._give_back()

    async def _taken(self, device_id: DeviceId) -> None:
        if self._free:
            # Nobody waits while a place is free.
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(device_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._waiting:
            device_id, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[device_id] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
