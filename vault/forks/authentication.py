"""Who calls the fork API: from a bearer token to a device within its rate.

Guarantees:
    * Tokens are compared by their SHA-256 and never logged; nothing waits for a
      database.
    * Who tries one token after another is not looked at for a minute, and locks out
      nobody who has been right from the same place: several PBXes share an address.
    * A PBX that goes on with one old token has guessed once.

Left to others: which tokens there are (`vault.recorder`), rates of addresses
(`vault.edge`).

Spec: docs/adr/0021-guesses.md
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request
from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.flow import Device
from vault.core.guesses import Guesses
from vault.core.openapi import Said
from vault.core.prefixes import network_of
from vault.edge.origin import origin_of
from vault.forks.interfaces import DeviceDirectory

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,256})", re.IGNORECASE)
_MOST_REMEMBERED: Final = 4096
_RETRY_AFTER_S: Final = 60
LookAgain = Callable[[], Awaitable[None]]


class Authentication:
    """Finds the device behind a bearer token, and keeps it within its rate."""

    def __init__(
        self,
        devices: DeviceDirectory,
        rate: RateLimitItem,
        look_again: LookAgain | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices = devices
        self._rate = rate
        self._look_again = look_again
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._guesses = Guesses()
        self._right: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    @property
    def __may_answer__(self) -> Said:
        """What refusals it leads to; see `vault.core.openapi.may_answer`."""
        return Said(
            failures=(NotAuthenticatedError, ThrottledError), credentials=("bearer",)
        )

    async def __call__(self, request: Request) -> Device:
        """Return who calls.

        Raises:
            NotAuthenticatedError: No token, or nobody's.
            ThrottledError: Too many tokens that were nobody's, or too many requests.
        """
        # 1. Two headers are two opinions about who asks: neither counts.
        headers = request.headers.getlist("authorization")
        match = _BEARER.fullmatch(headers[0].strip()) if len(headers) == 1 else None
        if match is None:
            raise NotAuthenticatedError("a device token is required")
        digest = hashlib.sha256(match[1].encode()).digest()
        # 2. Who guessed too often is not looked at, but with a token that was right.
        whence = network_of(origin_of(request.scope))
        place, now_s = (whence, digest), self._clock()
        if self._guesses.are_too_many(whence, now_s) and place not in self._right:
            raise ThrottledError("too many wrong tokens", retry_after_s=_RETRY_AFTER_S)
        # 3. Whose token it is: perhaps that of a device added a moment ago.
        device = self._devices.identify(digest)
        if device is None and self._look_again is not None:
            await self._look_again()
            device = self._devices.identify(digest)
        if device is None:
            self._right.pop(place, None)
            # The same one again is a PBX with an old token, and no guess.
            if place not in self._wrong:
                self._guesses.wrong(whence, now_s)
            _remember(self._wrong, place)
            raise NotAuthenticatedError("the device token is not valid")
        _remember(self._right, place)
        # 4. How much of it.
        request.state.device = device.id
        if not self._limiter.hit(self._rate, device.id):
            raise ThrottledError("too many requests", retry_after_s=1)
        return device


def _remember(
    places: OrderedDict[tuple[str, bytes], None], place: tuple[str, bytes]
) -> None:
    places[place] = None
    places.move_to_end(place)
    if len(places) > _MOST_REMEMBERED:
        places.popitem(last=False)
