"""How fast calls begin: forks posted to a real tap at a steady rate.

Every POST is answered only when the call's key and metadata are durable and its ports
listen, so this is the fork API, the disk and a media worker together.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers import Line
from processes import cpu_us

sys.path.append(str(Path(__file__).resolve().parents[2] / "fault_kit"))

from site_under_test import Site, fresh_site

CONNECTIONS = 64


def begin(calls: int, seconds: float) -> Iterator[Line]:
    """Begin *calls* calls, evenly within *seconds*; yield how long answers took."""
    with fresh_site() as site:
        site.start()
        assert site.tap is not None
        before = cpu_us(site.tap.pid)
        began_s = time.monotonic()
        took = sorted(_paced(site, calls, seconds))
        lasted_s = time.monotonic() - began_s
        used = cpu_us(site.tap.pid) - before
    params: dict[str, object] = {"calls": calls, "seconds": seconds}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        value = 1000 * took[int(share * (len(took) - 1))]
        yield "set_up_ms", value, "ms", {**params, "of": name}, {}
    yield "set_up_lasted_s", lasted_s, "s", params, {}
    yield "set_up_cpu_ms_per_call", used / 1000 / calls, "ms", params, {}


def _paced(site: Site, calls: int, seconds: float) -> list[float]:
    start_s = time.monotonic()

    def one(number: int) -> float:
        due_s = start_s + number * seconds / calls
        time.sleep(max(0.0, due_s - time.monotonic()))
        site.begin(1)
        # From when it was due: waiting for a connection counts.
        return time.monotonic() - due_s

    with ThreadPoolExecutor(CONNECTIONS) as several:
        return list(several.map(one, range(calls)))
