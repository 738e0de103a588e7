"""What is looked at before a call is answered, with parts that can fail on demand."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vault.core.clock import NS_PER_S
from vault.core.errors import (
    NoRecipientKeyError,
    SpoolFullError,
    UnavailableError,
    VaultError,
)
from vault.core.secrets import SecretBytes
from vault.recorder.clock_check import Witness
from vault.recorder.parts import Desk
from vault.recorder.preflight import Preflight
from vault.recorder.refusals import REASONS
from vault.sealing import xwing
from vault.sealing.envelope import Recipient, xwing_recipient

NOW_NS = 1_790_000_000 * NS_PER_S
PUBLIC = xwing.public_octets(SecretBytes(bytes(32)))
GOOD = xwing_recipient(PUBLIC)
NOTHING = b"\x00" * 1215


class World:
    """Answers every question with yes, unless told otherwise."""

    def __init__(self) -> None:
        self.recipients = [GOOD]
        self.failing: dict[str, VaultError] = {}
        self.asked: list[int] = []
        self.newest_ns = 0

    def look(self, name: str) -> Callable[..., None]:
        def answer(*_: object) -> None:
            if name in self.failing:
                raise self.failing[name]

        return answer

    def check_media(self, streams: int) -> None:
        self.asked.append(streams)
        self.look("media")()

    def preflight(self) -> Preflight:
        parts = SimpleNamespace(
            keys=SimpleNamespace(recipients=lambda month: self.recipients),
            disk=SimpleNamespace(check=self.look("disk")),
            media=SimpleNamespace(check=self.check_media),
            spool=SimpleNamespace(check_room=self.look("spool")),
            outbox=SimpleNamespace(check_room=self.look("outbox")),
            witnesses=(Witness(name="x", newest_ns=lambda: self.newest_ns),),
        )
        return Preflight(
            cast("Desk", cast("Any", parts)), tolerance_s=300, clock=lambda: NOW_NS
        )


def refused(world: World, streams: int = 2) -> tuple[str, dict[str, int]]:
    preflight = world.preflight()
    with pytest.raises(VaultError) as caught:
        asyncio.run(preflight.check(streams))
    return str(caught.value), dict(preflight.refused)


def test_a_call_that_can_be_kept_is_taken() -> None:
    world = World()
    preflight = world.preflight()
    asyncio.run(preflight.check(3))

    assert world.asked == [3]
    assert not preflight.refused
    assert asyncio.run(preflight.trouble()) == ("", "")


@pytest.mark.parametrize("part", ["disk", "media", "spool", "outbox"])
def test_each_part_refuses_with_its_own_word_and_is_counted(part: str) -> None:
    world = World()
    world.failing[part] = SpoolFullError(f"{part} says no", retry_after_s=7)

    assert refused(world) == (f"{part} says no", {part: 1})
    assert part in REASONS


def test_a_clock_behind_the_world_refuses() -> None:
    world = World()
    world.newest_ns = NOW_NS + 400 * NS_PER_S

    assert refused(world) == ("the clock is 400 s behind x", {"clock": 1})


@pytest.mark.parametrize(
    "recipients",
    [
        [],
        [GOOD, replace(GOOD, kid="00" * 16)],
        [replace(GOOD, alg="RSA-OAEP-256")],
        [
            Recipient(
                alg=GOOD.alg,
                kid=hashlib.sha256(NOTHING).digest()[:16].hex(),
                public_key=NOTHING,
            )
        ],
    ],
)
def test_a_key_that_cannot_be_wrapped_for_refuses(recipients: list[Recipient]) -> None:
    world = World()
    world.recipients = recipients
    preflight = world.preflight()

    with pytest.raises(NoRecipientKeyError):
        asyncio.run(preflight.check(2))
    assert dict(preflight.refused) == {"keys": 1}


def test_asking_how_things_stand_counts_nothing() -> None:
    world = World()
    world.failing["media"] = SpoolFullError("no media worker has room")
    preflight = world.preflight()

    trouble = asyncio.run(preflight.trouble())

    assert trouble == ("media", "no media worker has room")
    assert not preflight.refused


def test_what_is_refused_elsewhere_can_be_counted_here() -> None:
    preflight = World().preflight()
    with pytest.raises(UnavailableError), preflight.counted("ports"):
        raise SpoolFullError("no free media ports")

    assert dict(preflight.refused) == {"ports": 1}
