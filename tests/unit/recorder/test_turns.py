import asyncio
from collections.abc import Coroutine

import pytest

from vault.core.ids import DeviceId
from vault.recorder.turns import Turns

A, B, C = DeviceId("a"), DeviceId("b"), DeviceId("c")


class Room:
    """Calls that begin one step at a time, and the order in which they did."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.began: list[str] = []
        self.most = 0
        self._inside = 0

    async def begin(self, device_id: DeviceId) -> None:
        async with self.turns.of(device_id):
            self._inside += 1
            self.most = max(self.most, self._inside)
            self.began.append(device_id)
            await asyncio.sleep(0)
            self._inside -= 1


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 10))


def test_a_device_waits_for_itself_and_not_others_for_it() -> None:
    async def test() -> None:
        room = Room(1)
        asked = [A] * 6 + [B, C]
        await asyncio.gather(*(room.begin(one) for one in asked))

        assert "aabcaaaa" == "".join(room.began)

    run(test())


def test_no_more_begin_at_a_time_than_there_are_places() -> None:
    async def test() -> None:
        room = Room(3)
        await asyncio.gather(*(room.begin(one) for one in [A, B] * 20))

        assert (40, 3) == (len(room.began), room.most)

    run(test())


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def test() -> None:
        room = Room(1)
        async with room.turns.of(A):
            waiting = [asyncio.create_task(room.begin(one)) for one in (A, A, B)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        # Its turn came in the moment that it gave up.
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await room.begin(C)

        assert ["b", "c"] == room.began

    run(test())


def test_an_error_inside_gives_the_place_back() -> None:
    async def test() -> None:
        room = Room(1)
        with pytest.raises(KeyError):
            async with room.turns.of(A):
                raise KeyError
        await room.begin(B)

        assert ["b"] == room.began

    run(test())


def test_no_places_at_all_are_a_bug() -> None:
    with pytest.raises(ValueError, match="nobody"):
        Turns(0)
