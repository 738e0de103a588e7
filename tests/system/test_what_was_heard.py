"""What the trail says of a listener, and of the processes that served them."""

import os
from typing import Any

import pytest

from tests.simulators.installation import until
from tests.simulators.site import Site

pytestmark = pytest.mark.network

CALL_S = float(os.environ.get("CALLVAULT_HEARD_CALL_S", "4"))
"Seconds; with 22 it is 0:10 to 0:20 that is heard, with 4 it is 0:01 to 0:03."

_POINT_BYTES = 18


def _points(head: bytes) -> dict[float, int]:
    """Return second → octet, read from the seek table of a FLAC file."""
    size = int.from_bytes(head[43:46], "big")
    media = 46 + size
    table = [head[46 + at : 64 + at] for at in range(0, size, _POINT_BYTES)]
    return {
        int.from_bytes(point[:8], "big") / 8000: media
        + int.from_bytes(point[8:16], "big")
        for point in table
    }


def _seconds(moment: str) -> int:
    minutes, seconds = moment.split(":")
    return 60 * int(minutes) + int(seconds)


def _entries(site: Site, action: str) -> list[dict[str, Any]]:
    return [entry for entry in site.vault.trail() if entry["action"] == action]


@pytest.mark.xdist_group("system-shared")
def test_the_trail_says_which_seconds_somebody_heard(site: Site) -> None:
    heard = site.heard(seconds=CALL_S)
    listener = site.vault.sign_in("sam")
    audio = f"/recordings/{heard.id}/audio"
    wanted = (10, 20) if CALL_S > 20 else (1, 3)
    head = listener.get(audio, headers={"Range": "bytes=0-4095"}).content
    points = _points(head)
    first, last = (
        points[min(points, key=lambda point: abs(point - moment))] for moment in wanted
    )
    # As a player does: piece by piece, and some of it twice.
    for start in range(first, last, 20_000):
        stop = min(start + 25_000, last)
        piece = listener.get(audio, headers={"Range": f"bytes={start}-{stop - 1}"})
        assert piece.status_code == 206

    listener.delete("/sessions/current")

    (played,) = [
        one
        for one in _entries(site, "recording.played")
        if one["recording"] == heard.id
    ]
    spans = [
        tuple(map(_seconds, span.split("-")))
        for span in played["detail"]["heard"].split(",")
    ]
    assert abs(spans[-1][0] - wanted[0]) <= 1
    assert abs(spans[-1][1] - wanted[1]) <= 1
    assert f"{first}-{last - 1}" in played["detail"]["ranges"]
    assert played["detail"]["bytes"] == last - first + 4096
    assert played["via"] == "web"
    released = [
        one
        for one in _entries(site, "recording.key.released")
        if one.get("detail", {}).get("grant") == played["detail"]["grant"]
    ]
    assert len(released) == 1


@pytest.mark.xdist_group("system-troubled")
def test_who_started_who_was_killed_and_who_came_back_is_on_the_trail(
    troubled: Site,
) -> None:
    killed = troubled.vault.process("worker")
    killed.kill()

    def told() -> list[tuple[str, str, str, Any]] | None:
        found = [
            (
                one["action"],
                one["via"],
                one["result"],
                one["detail"].get("status"),
            )
            for one in troubled.vault.trail()
            if one["actor"] == "process:worker" and one["action"].startswith("process.")
        ]
        return found if found[-1][0] == "process.started" and len(found) > 2 else None

    entries = until(told, "the new worker has told of itself")

    assert entries[0] == ("process.started", "worker", "ok", None)
    assert entries[-2] == ("process.stopped", "serve", "failed", -9)
    assert entries[-1] == ("process.started", "worker", "ok", None)
    started = {
        (one["detail"]["process"], one["via"])
        for one in _entries(troubled, "process.started")
    }
    assert {(name, name) for name in ("serve", "warden", "tap", "worker", "web")} <= (
        started
    )
