"""No octet without a leaf: plays through the real web while the trail is in trouble.

People play recordings that they have not heard, in every way of `trail_troubles`.
Afterwards the trail itself is asked: whoever was sent one octet must have the leaf of
a released key, durable before the answer came.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
from site_under_test import Settings
from trail_troubles import ON_POSTGRESQL, ON_SQLITE, Place, Trouble

from tests.simulators.installation import Installation, Pbx, until
from tests.simulators.postgres import throwaway_postgres
from tests.simulators.small_disk import image_disk

_UNHURRIED = {
    "CALLVAULT_WEB_REQUESTS_PER_MINUTE": "1000000",
    "CALLVAULT_WEB_ACTOR_REQUESTS_PER_MINUTE": "1000000",
}
"The vault's own brakes are another promise."
DATABASES = ("sqlite", "postgresql")
_AT_ONCE = 48
_DISK_BYTES = 48 << 20
_ANSWER_S = 60.0
_UNAVAILABLE = 503
_REFUSED = 400
_LEASE_S = 290.0
"For how long one leaf vouches for a listening session (`vault.playback.service`)."
_GROUP = "Claims"


@dataclass(slots=True)
class Listener:
    """A person who plays, and nothing else."""

    name: str
    id: str
    http: httpx.Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One request for media, and what came of it."""

    trouble: str
    user: str
    recording: str
    status: int
    octets: int
    answered_s: float
    "When the last octet had come, in seconds since the epoch."
    took_s: float


@dataclass(slots=True)
class Plays:
    """Everything that was asked for."""

    made: list[Play] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, trouble: str, who: Listener, recording: str) -> None:
        """Ask for the audio of *recording*, and keep what came."""
        began_s, octets, status = time.monotonic(), 0, 0
        path = f"/recordings/{recording}/audio"
        try:
            with who.http.stream("GET", path, timeout=_ANSWER_S) as answer:
                status = answer.status_code
                for piece in answer.iter_raw():
                    octets += len(piece) if status < _REFUSED else 0
        except httpx.HTTPError as exc:
            with self.lock:
                self.unanswered[type(exc).__name__] += 1
        play = Play(
            trouble=trouble,
            user=who.id,
            recording=recording,
            status=status,
            octets=octets,
            answered_s=time.time(),
            took_s=time.monotonic() - began_s,
        )
        with self.lock:
            self.made.append(play)


def without_trail(
    plays: int, listeners: int, on: Sequence[str], settings: Settings
) -> dict[str, object]:
    """Play *plays* times in each trouble.

    Args:
        plays: Of each trouble.
        listeners: People who share them; each hears so many recordings.
        on: Which databases: ``sqlite``, ``postgresql``.
        settings: Environment of the processes.
    """
    found: dict[str, object] = {}
    total: Counter[str] = Counter()
    for database in on:
        troubles = ON_SQLITE if database == "sqlite" else ON_POSTGRESQL
        recordings = -(-plays // listeners)
        with _serving(database, listeners, recordings, settings) as (place, people, of):
            made, not_healed = _all(place, troubles, people, of, plays)
            leaves = _leaves(place.vault)
        for name in troubles:
            figures = _figures(
                [one for one in made.made if one.trouble == name], leaves
            )
            found[name] = figures
            total.update(
                {key: int(value) for key, value in figures.items() if key in _SUMMED}
            )
        total["not_healed"] += not_healed
    return {"family": "audit", "troubles": len(found), **total, "by_trouble": found}


_SUMMED = frozenset({"plays", "octets", "octets_without_leaf", "refused", "unanswered"})


def _all(
    place: Place,
    troubles: Mapping[str, Trouble],
    people: Sequence[Listener],
    recordings: Sequence[str],
    plays: int,
) -> tuple[Plays, int]:
    made, not_healed = Plays(), 0
    pairs = [(who, one) for one in recordings for who in people[:-1]][:plays]
    for name, trouble in troubles.items():
        began_s = time.monotonic()
        with (
            trouble(place),
            ThreadPoolExecutor(max_workers=_AT_ONCE) as pool,
        ):
            for who, recording in pairs:
                pool.submit(made.add, name, who, recording)
        if not _heals(place, people[-1], recordings[0]):
            not_healed += 1
        took_s = time.monotonic() - began_s
        print(f"  {name}: {took_s:.0f} s", file=sys.stderr, flush=True)
    return made, not_healed


def _heals(place: Place, who: Listener, recording: str) -> bool:
    """Tell whether it plays again once the trouble is over."""

    def plays() -> bool:
        try:
            answer = who.http.get(f"/recordings/{recording}/audio")
        except httpx.HTTPError:
            return False
        return answer.is_success and place.vault.is_ready()

    try:
        until(plays, "the recording plays again", 120.0)
    except AssertionError:
        return False
    return True


def _figures(
    made: Sequence[Play], leaves: Mapping[tuple[str, str], Sequence[float]]
) -> dict[str, object]:
    """Count one trouble's plays, by the trail that was committed."""
    unproved = [
        one
        for one in made
        if one.octets
        and not any(
            one.answered_s - one.took_s - _LEASE_S <= at <= one.answered_s
            for at in leaves.get((one.user, one.recording), ())
        )
    ]
    refused = [one for one in made if one.status == _UNAVAILABLE]
    return {
        "plays": len(made),
        "by_status": dict(sorted(Counter(str(one.status) for one in made).items())),
        "refused": len(refused),
        "unanswered": sum(not one.status for one in made),
        "octets": sum(one.octets for one in made),
        "octets_without_leaf": sum(one.octets for one in unproved),
        "refused_within_s": round(max((one.took_s for one in refused), default=0.0), 2),
    }


def _leaves(vault: Installation) -> dict[tuple[str, str], list[float]]:
    """Return when keys were released: by whom and what of, from the trail."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in vault.trail():
        if one["action"] == "recording.key.released" and one["result"] == "ok":
            user = one["actor"].removeprefix("user:")
            at = datetime.fromisoformat(one["time"][:26] + "+00:00").timestamp()
            found.setdefault((user, one["recording"]), []).append(at)
    return found


@contextmanager
def _serving(
    database: str, listeners: int, recordings: int, settings: Settings
) -> Iterator[tuple[Place, Sequence[Listener], Sequence[str]]]:
    """Give an installation with people, recordings, and a log on a disk of its own."""
    with ExitStack() as stack:
        url = ""
        if database == "postgresql":
            url = stack.enter_context(throwaway_postgres(durable=True))
        chosen = {"CALLVAULT_DATABASE_URL": url} if url else {}
        vault = Installation({**_UNHURRIED, **settings, **chosen})
        stack.callback(vault.close)
        vault.said("init", "--yes")
        if not url:
            stack.enter_context(_own_disk(vault.folder / "audit"))
        stack.callback(_end, vault)
        vault.start()
        people = _people(vault, listeners + 1)
        made = _recordings(vault, people[0], vault.add_pbx("pbx"), recordings)
        yield Place(vault=vault, url=url), people, made


@contextmanager
def _own_disk(folder: Path) -> Iterator[None]:
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    with image_disk(folder, size_bytes=_DISK_BYTES):
        for name, octets in kept.items():
            (folder / name).write_bytes(octets)
        yield


def _end(vault: Installation) -> None:
    if vault.serve is not None and vault.serve.poll() is None:
        vault.stop()


def _people(vault: Installation, count: int) -> list[Listener]:
    names = [f"listener-{number}" for number in range(count)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda name: vault.add_user(name, "supervisor", _GROUP), names))
    ids = {row["name"]: row["id"] for row in vault.json("user", "list")}
    return [Listener(name, ids[name], vault.sign_in(name)) for name in names]


def _recordings(vault: Installation, who: Listener, pbx: Pbx, count: int) -> list[str]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        calls = list(
            pool.map(lambda _: pbx.place(seconds=0.4, workgroup=_GROUP), range(count))
        )
    for call in calls:
        vault.finished(who.http, call.id, 180.0)
    return [call.id for call in calls]
