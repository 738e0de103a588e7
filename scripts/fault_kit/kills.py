"""``kill -9`` at random instants under calls: of workers, the supervisor, and both.

What each death may cost: a worker at most the chunk being filled, per leg; the
supervisor not one packet; both at once, with nobody to keep descriptors, the rest of
the call, which then ends ``cut``.  No call may be unaccounted, whatever died.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from site_under_test import Call, Sender, Settings, Site, fresh_site
from truth import PACKETS_PER_S, Kept

from vault.core.errors import VaultError
from vault.core.ids import RecordingId

Sent = dict[RecordingId, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of deaths cost."""

    family: str
    calls: int
    legs: int
    deaths: int
    packets_sent: int
    packets_missing: int
    packets_twice: int
    seconds_lost_per_leg_and_death_p50: float
    seconds_lost_per_leg_and_death_p99: float
    seconds_lost_per_leg_and_death_max: float
    calls_unaccounted: int
    calls_unreadable: int
    ended: dict[str, int]
    counted_wrong: int
    "Legs whose manifest counts other authentic packets than were captured."


def kill_workers(
    calls: int, deaths: int, seed: int, settings: Settings | None = None
) -> dict[str, object]:
    """Kill a media worker again and again."""
    chance = random.Random(seed)  # noqa: S311 - instants, no secrets

    def strike(site: Site) -> None:
        site.kill_worker(chance.choice)

    return _run("worker", calls, deaths, chance, strike, settings)


def kill_supervisor(
    calls: int, deaths: int, seed: int, settings: Settings | None = None
) -> dict[str, object]:
    """Kill the supervisor again and again; workers outlive it."""
    chance = random.Random(seed)  # noqa: S311 - instants, no secrets
    return _run("supervisor", calls, deaths, chance, Site.kill_tap, settings)


def kill_both(
    calls: int, deaths: int, seed: int, settings: Settings | None = None
) -> dict[str, object]:
    """Kill everything at once; each death ends all calls, so new ones are placed."""
    chance = random.Random(seed)  # noqa: S311 - instants, no secrets
    everything: list[Call] = []
    sent: Sent = {}
    with fresh_site(settings) as site:
        for _ in range(deaths):
            site.start()
            placed = site.begin(calls)
            everything += placed
            sender = Sender(placed)
            time.sleep(chance.uniform(1.5, 4.0))
            site.kill_all()
            sent |= sender.stop()
        site.start()
        return asdict(_account("both", site, everything, sent, deaths))


def _run(
    family: str,
    calls: int,
    deaths: int,
    chance: random.Random,
    strike: Callable[[Site], None],
    settings: Settings | None,
) -> dict[str, object]:
    with fresh_site(settings) as site:
        site.start()
        placed = site.begin(calls)
        sender = Sender(placed)
        for _ in range(deaths):
            # Long enough for a chunk, so that two deaths do not share one gap.
            time.sleep(chance.uniform(1.2, 2.4))
            strike(site)
        time.sleep(2.0)
        sent = sender.stop()
        time.sleep(0.5)
        site.end(placed)
        return asdict(_account(family, site, placed, sent, deaths))


def _account(
    family: str, site: Site, calls: list[Call], sent: Sent, deaths: int
) -> Outcome:
    spool = site.settled()
    there = spool.ended()
    kept: dict[RecordingId, Kept] = {}
    unreadable = 0
    for call in calls:
        try:
            if call.id in there:
                kept[call.id] = spool.kept(call.id)
        except VaultError as error:
            print(f"{call.id}: {error!r}", file=sys.stderr)
            unreadable += 1
    ended: dict[str, int] = {}
    for one in kept.values():
        ended[one.how] = ended.get(one.how, 0) + 1
    # A cut call ends where it was cut: what is lost there is its tail.
    pairs = [
        (kept[call.id], leg, sent[call.id][leg])
        for call in calls
        if call.id in kept
        for leg in range(2)
    ]
    gaps = [gap for one, leg, count in pairs for gap in _losses(one, leg, count)]
    seconds = sorted(gap / PACKETS_PER_S for gap in gaps) or [0.0]
    return Outcome(
        family=family,
        calls=len(calls),
        legs=2 * len(calls),
        deaths=deaths,
        packets_sent=sum(count for _, _, count in pairs),
        packets_missing=sum(one.missing(leg, count) for one, leg, count in pairs),
        packets_twice=sum(
            len(one.legs[leg]) - len(set(one.legs[leg])) for one, leg, _ in pairs
        ),
        seconds_lost_per_leg_and_death_p50=statistics.median(seconds),
        seconds_lost_per_leg_and_death_p99=seconds[int(0.99 * (len(seconds) - 1))],
        seconds_lost_per_leg_and_death_max=seconds[-1],
        calls_unaccounted=sum(call.id not in there for call in calls),
        calls_unreadable=unreadable,
        ended=ended,
        counted_wrong=sum(
            one.how == "bye" and one.counted[leg] < len(set(one.legs[leg]))
            for one, leg, _ in pairs
        ),
    )


def _losses(one: Kept, leg: int, sent: int) -> Iterable[int]:
    gaps = one.gaps(leg)
    if one.how == "bye":
        last = max(one.legs[leg], default=-1)
        return [*gaps, sent - 1 - last] if last + 1 < sent else gaps
    return [one.missing(leg, sent)]
