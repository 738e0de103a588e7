import asyncio
import hashlib

import pytest
from limits import RateLimitItemPerMinute
from starlette.requests import Request

from tests.simulators.fork_desk import Directory
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.flow import Device
from vault.forks.authentication import Authentication

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Door:
    """The authentication alone, with a test's clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.asked: list[bytes] = []
        self.revoked: set[bytes] = set()
        self.known = Directory()
        self._authentication = Authentication(
            self, RateLimitItemPerMinute(10_000), None, clock=lambda: self.now_s
        )

    def identify(self, token_sha256: bytes) -> Device | None:
        self.asked.append(token_sha256)
        if token_sha256 in self.revoked:
            return None
        return self.known.identify(token_sha256)

    def __call__(self, token: str, origin: str = HERE) -> str:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        request = Request(
            {"type": "http", "headers": headers, "client": (origin, 1), "state": {}}
        )
        return asyncio.run(self._authentication(request)).name

    def guesses(self, number: int, origin: str = HERE) -> list[type[Exception]]:
        return [self.refused(f"cvd_guess{n}", origin) for n in range(number)]

    def refused(self, token: str, origin: str = HERE) -> type[Exception]:
        with pytest.raises((NotAuthenticatedError, ThrottledError)) as caught:
            self(token, origin)
        return caught.type


def test_after_ten_wrong_tokens_none_is_looked_at_for_a_minute() -> None:
    door = Door()

    assert [NotAuthenticatedError] * 10 == door.guesses(10)
    looked_at = len(door.asked)
    assert ThrottledError is door.refused("cvd_another")
    assert ThrottledError is door.refused("cvd_pbx")
    assert looked_at == len(door.asked)
    door.now_s += 60
    assert "pbx" == door("cvd_pbx")


def test_another_place_is_not_affected() -> None:
    door = Door()
    door.guesses(10)

    assert "pbx" == door("cvd_pbx", THERE)


def test_a_neighbour_that_was_right_before_is_not_locked_out() -> None:
    door = Door()
    door("cvd_pbx")
    door.guesses(10)

    assert ThrottledError is door.refused("cvd_other")
    assert "pbx" == door("cvd_pbx")


def test_a_pbx_that_goes_on_with_an_old_token_has_guessed_once() -> None:
    door = Door()

    assert {NotAuthenticatedError} == {door.refused("cvd_old") for _ in range(100)}
    assert "pbx" == door("cvd_pbx")


def test_a_token_that_was_taken_away_is_one_guess_like_any_other() -> None:
    door = Door()
    door("cvd_pbx")
    door.revoked.add(hashlib.sha256(b"cvd_pbx").digest())

    assert {NotAuthenticatedError} == {door.refused("cvd_pbx") for _ in range(20)}
    assert [NotAuthenticatedError] * 9 == door.guesses(9)
    assert ThrottledError is door.refused("cvd_pbx")
