"""A soak: many calls for a long time, with nothing broken on purpose.

Memory must stay flat, and every packet must be there at the end, over two or three
rollovers of each stream.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from site_under_test import Call, Sender, Settings, Site, fresh_site

from vault.core.errors import VaultError
from vault.core.ids import RecordingId

_SAMPLE_S = 10.0
_PAGE_BYTES = 4096
_SETTLED = 1 / 12
"Share of the time after which memory has to be flat: caches and pools have filled."


def endure(calls: int, seconds: float, settings: Settings) -> dict[str, object]:
    """Run *calls* calls for *seconds* and say what memory did and what is missing."""
    supervisor: list[int] = []
    workers: list[int] = []
    with fresh_site(settings) as site:
        site.start()
        placed = site.begin(calls)
        sender = Sender(placed)
        began_s = time.monotonic()
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            time.sleep(min(_SAMPLE_S, left_s))
            assert site.tap is not None
            supervisor.append(_resident(site.tap.pid))
            workers.append(sum(map(_resident, site.media_workers())))
        sent = sender.stop()
        time.sleep(0.5)
        site.end(placed)
        found = _account(site, placed, sent)
    return {
        "family": "soak",
        "calls": calls,
        "seconds": seconds,
        **found,
        **_drift("supervisor", supervisor),
        **_drift("workers", workers),
    }


def _account(
    site: Site, calls: Sequence[Call], sent: Mapping[RecordingId, tuple[int, ...]]
) -> dict[str, int]:
    """Compare what was kept with what was sent, call by call: it is a lot."""
    spool = site.settled()
    there = spool.ended()
    tally = dict.fromkeys(
        ("packets_sent", "packets_missing", "packets_twice", "counted_wrong"), 0
    )
    tally["calls_unaccounted"] = sum(call.id not in there for call in calls)
    tally["calls_unreadable"] = 0
    for call in calls:
        if call.id not in there:
            continue
        try:
            kept = spool.kept(call.id)
        except VaultError as error:
            print(f"{call.id}: {error!r}", file=sys.stderr)
            tally["calls_unreadable"] += 1
            continue
        for leg, count in enumerate(sent[call.id]):
            different = len(set(kept.legs[leg]))
            tally["packets_sent"] += count
            tally["packets_missing"] += count - different
            tally["packets_twice"] += len(kept.legs[leg]) - different
            tally["counted_wrong"] += kept.counted[leg] != count
    return tally


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _drift(of: str, samples: Sequence[int]) -> dict[str, float]:
    """Return what memory was once it had settled, and how far it went from there."""
    settled = samples[round(len(samples) * _SETTLED) :]
    first = settled[0]
    return {
        f"{of}_resident_bytes_first": first,
        f"{of}_resident_bytes_last": settled[-1],
        f"{of}_resident_bytes_max": max(settled),
        f"{of}_drift_percent": round(100 * abs(max(settled) - first) / first, 1),
    }
