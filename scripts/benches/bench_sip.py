"""How many calls one core sets up by SIPREC, and what a flood does to the others.

The whole vault serves; the tap's processes have the first core, everybody else the
others.  A call is a multipart INVITE with two SRTP streams and metadata, the 200 (the
wrapped key and the metadata are durable by then, in the real spool), the ACK and, a
moment later, the BYE with manifest and shipping.  Times count from when an INVITE was
due, so that waiting for a busy recorder counts.

    steady_calls_per_s    highest rate whose answers take 200 ms or less in the 99th
                          percentile, by transport
    answer_ms             p50, p99 and slowest at that rate
    cpu_ms_per_call       of the tap's process and of its media worker, at that rate
    set_up_cpu_ms_per_call   the same without the end of calls
    flood_…               2,000 INVITE/s from one address beside 20 calls with media and
                          5 new calls/s: without credentials, and by a device that
                          answers every challenge rightly
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "sip"), str(HERE.parent / "fault_kit"), str(HERE.parents[1])]

from place import BAD, GATEWAYS, Place, Script, serving  # noqa: E402 - after the path
from site_under_test import Call, Leg, Sender  # noqa: E402

from vault.core.ids import new_recording_id  # noqa: E402

LIMIT_MS = 200.0
FIRST_RATE = 20.0
STEP = 1.4
FLOOD_PER_S = 2000
RUNNING = 20
GOOD_PER_S = 5.0
HOLD_S = 2.0
SETTLED_S = 6.0
"By then the metrics know what was before."


def say(
    metric: str, value: float, unit: str, params: dict[str, object], **more: object
) -> None:
    line = {"bench": "sip", "metric": metric, "value": round(value, 3), "unit": unit}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({**line, "params": {**params, "load": load}, **more}), flush=True)


def share(values: list[float], part: float) -> float:
    """Return the value below which *part* of *values* lie."""
    return sorted(values)[int(part * (len(values) - 1))] if values else float("inf")


def callers(
    place: Place, transport: str, rate: float, calls: int, hold_s: float
) -> Script:
    """Start clients that place calls; they wait for `Script.go`."""
    told: dict[str, object] = {
        "transport": transport,
        "there": place.at[transport],
        "addresses": GATEWAYS,
        "rate": rate,
        "calls": calls,
        "hold_s": hold_s,
        "trusted": str(place.certificate) if transport == "tls" else "",
    }
    return Script("callers.py", told)


class Steady:
    """Calls at one rate over one transport, and what they cost."""

    def __init__(
        self, place: Place, transport: str, rate: float, seconds: float, hold_s: float
    ) -> None:
        calls = max(1, round(rate * seconds))
        place.settle()
        script = callers(place, transport, rate, calls, hold_s)
        before, media = place.cpu_s(), place.media_cpu_s()
        script.go()
        said = script.said()
        if hold_s >= 0:
            # What follows a call, such as shipping, is part of its price.
            place.settle()
        self.cpu_ms = 1000 * (place.cpu_s() - before) / calls
        self.media_ms = 1000 * (place.media_cpu_s() - media) / calls
        if hold_s < 0:
            script.go()
            script.said()
        script.close()
        self.rate, self.refused = rate, said["refused"]
        self.late_ms = said["late_ms"]
        self.answered_ms: list[float] = said["answered_ms"]
        self.p99_ms = share(self.answered_ms, 0.99)

    @property
    def is_well(self) -> bool:
        """Whether every call was answered, and in time."""
        return not self.refused and self.p99_ms <= LIMIT_MS


def steady(place: Place, transport: str, seconds: float, *, quick: bool) -> None:
    """Find the highest rate that goes well, and print it."""
    best, rate, worse = None, FIRST_RATE, 0.0
    for _ in range(3 if quick else 9):
        found = Steady(place, transport, rate, seconds, HOLD_S)
        if found.is_well:
            best = found
        else:
            worse = rate
        if best is None:
            rate /= 2
        elif not worse:
            rate *= STEP
        elif worse / best.rate < 1.1:  # noqa: PLR2004 - near enough on any machine
            break
        else:
            rate = (best.rate * worse) ** 0.5
    if best is None:
        say("steady_calls_per_s", 0.0, "calls/s", {"transport": transport})
        return
    held = Steady(place, transport, best.rate / 2, seconds, -1)
    params: dict[str, object] = {
        "transport": transport,
        "rate": round(best.rate, 1),
        "seconds": seconds,
        "caller_late_ms": best.late_ms,
    }
    say("steady_calls_per_s", best.rate, "calls/s", params)
    for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        say("answer_ms", share(best.answered_ms, part), "ms", {**params, "of": name})
    say("cpu_ms_per_call", best.cpu_ms, "ms", {**params, "of": "tap"})
    say("cpu_ms_per_call", best.media_ms, "ms", {**params, "of": "media worker"})
    params["rate"] = round(held.rate, 1)
    say("set_up_cpu_ms_per_call", held.cpu_ms, "ms", {**params, "of": "tap"})
    say("set_up_cpu_ms_per_call", held.media_ms, "ms", {**params, "of": "media worker"})


class Talking:
    """Calls with media that run all the while, and what is lost of it."""

    def __init__(self, place: Place) -> None:
        place.settle()
        time.sleep(SETTLED_S)
        self._place, self._before = place, place.authentic_packets()
        self._calls = callers(place, "tcp", 20.0, RUNNING, -1)
        self._calls.go()
        legs = [
            Leg(port=port, key=base64.b64decode(key))
            for port, key in self._calls.said()["legs"]
        ]
        pairs = zip(legs[::2], legs[1::2], strict=True)
        self._sender = Sender([Call(id=new_recording_id(), legs=one) for one in pairs])

    def end(self) -> tuple[int, int]:
        """Hang up; return how many packets were sent, and how many are missing."""
        sent = sum(map(sum, self._sender.stop().values()))
        self._calls.go()
        self._calls.said()
        self._calls.close()
        counted = self._place.authentic_packets(self._before + sent)
        return sent, self._before + sent - counted


class Good:
    """New calls that come all the while."""

    def __init__(self, place: Place, seconds: float) -> None:
        calls = round(GOOD_PER_S * seconds)
        self._place, self._seconds = place, seconds
        self._script = callers(place, "udp", GOOD_PER_S, calls, 1.0)
        self._before_s = place.cpu_s()
        self._script.go()

    def end(self) -> tuple[float, float, object]:
        """Return p99 of their answers (ms), cores of the tap, and refusals."""
        said = self._script.said()
        cores = (self._place.cpu_s() - self._before_s) / self._seconds
        self._script.close()
        return share(said["answered_ms"], 0.99), cores, said["refused"]


def flood(place: Place, seconds: float, *, authenticated: bool) -> None:
    """Let one address flood the vault while others call, and print how that went."""
    talking = Talking(place)
    # 1. New calls without a flood, to compare with.
    calm_ms, calm_cores, _ = Good(place, seconds).end()
    # 2. The same with it.
    told: dict[str, object] = {
        "there": place.at["udp"],
        "address": BAD,
        "rate": FLOOD_PER_S,
        "seconds": seconds,
        "name": "bad",
        "token": place.bad_token if authenticated else "",
    }
    bad, good = Script("flood.py", told), Good(place, seconds)
    bad.go()
    p99_ms, cores, refused = good.end()
    heard = bad.said()
    bad.close()
    # 3. What became of the media.
    sent, lost = talking.end()
    params: dict[str, object] = {
        "authenticated": authenticated,
        "invites_per_s": FLOOD_PER_S,
        "seconds": seconds,
        "answered": heard["answered"],
        "good_refused": refused,
        "media_packets": sent,
    }
    say("flood_cut_off_after_s", heard["cut_off_after_s"], "s", params)
    for metric, value, unit, calm in (
        ("flood_tap_cpu", cores, "cores", calm_cores),
        ("flood_answer_p99_ms", p99_ms, "ms", calm_ms),
    ):
        ratio = round(value / calm, 2)
        say(metric, value, unit, params, against="no flood", ratio=ratio)
    say("flood_lost_packets", lost, "packets", params)


def main(*, quick: bool) -> None:
    with serving() as place:
        for transport in ("udp",) if quick else ("udp", "tcp", "tls"):
            steady(place, transport, 4.0 if quick else 8.0, quick=quick)
        for authenticated in (False, True):
            flood(place, 6.0 if quick else 12.0, authenticated=authenticated)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
