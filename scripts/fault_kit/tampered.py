"""Ten thousand tamperings, and as many honest logs: who notices, and who is mistaken.

The ways are those of `tests.simulators.tampering`; here they are taken at random until
there were enough of each database, and counted.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from site_under_test import Settings
from sqlalchemy import Engine, text

from tests.simulators.postgres import throwaway_postgres
from tests.simulators.tampering import WAYS, Log, grow, restored_with_its_mark, tamper
from tests.simulators.trail import Trail
from vault.database.engine import open_engine

_COMMITS = 14
_PER_LOG = 500
"Tamperings of one log, before another one is made."
_HONEST_PER_LOG = 40
_SAY_EVERY_S = 30.0

Fresh = Callable[[], Engine]


def tamper_with_logs(
    on_sqlite: int, on_postgresql: int, honest: int, seed: int, _: Settings
) -> dict[str, object]:
    """Tamper so many times with logs on each database, and look at honest ones.

    Args:
        on_sqlite: Tamperings of a log on SQLite.
        on_postgresql: The same by a superuser, with ``session_replication_role``.
        honest: States of logs that nobody has touched.
        seed: Of every choice.
    """
    chance = random.Random(seed)  # noqa: S311 - choices, no secrets
    ways: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(dir=_fast()) as folder,
        _sqlite(Path(folder)) as new,
    ):
        _tamper(new, Path(folder), on_sqlite, chance, (ways, noticed, missed))
        alarms = _honest(new, Path(folder), honest, chance)
    if on_postgresql:
        with (
            tempfile.TemporaryDirectory() as folder,
            _postgresql() as new,
        ):
            counts = (ways, noticed, missed)
            _tamper(new, Path(folder), on_postgresql, chance, counts)
    return {
        "family": "tampering",
        "tamperings": sum(ways.values()),
        "ways": len(ways),
        "fewest_of_a_way": min(ways.values(), default=0),
        "unnoticed": sum(missed.values()),
        "unnoticed_ways": dict(missed),
        "noticed_by": dict(noticed),
        "honest": honest,
        "false_alarms": alarms,
    }


def _tamper(
    new: Fresh,
    folder: Path,
    count: int,
    chance: random.Random,
    counts: tuple[Counter[str], Counter[str], Counter[str]],
) -> None:
    ways, noticed, missed = counts
    names = [*WAYS, "restored with its mark"]
    done, said_s = 0, time.monotonic()
    while done < count:
        log = Log(_grown(new(), folder, chance), chance)
        for _ in range(min(_PER_LOG, count - done)):
            who, way = None, ""
            while who is None:
                way = names[(done + chance.randrange(2)) % len(names)]
                who = (
                    restored_with_its_mark(log)
                    if way == names[-1]
                    else tamper(log, way)
                )
            done += 1
            ways[way] += 1
            noticed.update(who)
            if not who:
                missed[way] += 1
            if time.monotonic() > said_s + _SAY_EVERY_S:
                said_s = time.monotonic()
                print(f"  {done} of {count}", file=sys.stderr, flush=True)
        log.engine.dispose()


def _honest(new: Fresh, folder: Path, count: int, chance: random.Random) -> int:
    """Return how many of *count* honest states somebody took for a tampered one."""
    alarms = done = 0
    while done < count:
        trail = _grown(new(), folder, chance, commits=2)
        for _ in range(min(_HONEST_PER_LOG, count - done)):
            grow(trail, chance, 1)
            if chance.random() < 0.2:  # noqa: PLR2004 - a text is erased now and then
                trail.log.erase_text(chance.randrange(trail.log.size))
            if chance.random() < 0.1:  # noqa: PLR2004 - and the writer starts again
                trail.reopen()
            alarms += bool(Log(trail, chance).found())
            trail.log.open()
            done += 1
        trail.log.close()
        trail.engine.dispose()
    return alarms


def _grown(
    engine: Engine, folder: Path, chance: random.Random, commits: int = _COMMITS
) -> Trail:
    (folder / "log-mark.json").unlink(missing_ok=True)
    trail = Trail(engine=engine, folder=folder)
    grow(trail, chance, commits)
    return trail


@contextmanager
def _sqlite(folder: Path) -> Iterator[Fresh]:
    def fresh() -> Engine:
        for file in folder.glob("audit.sqlite*"):
            file.unlink()
        return open_engine(f"sqlite:///{folder}", schema="audit")

    yield fresh


@contextmanager
def _postgresql() -> Iterator[Fresh]:
    with throwaway_postgres() as url:

        def fresh() -> Engine:
            engine = open_engine(url, schema="audit", relaxed_for_tests=True)
            with engine.begin() as connection:
                connection.execute(text("DROP SCHEMA IF EXISTS audit CASCADE"))
            return engine

        yield fresh


def _fast() -> str | None:
    """Return a folder in memory, if there is one: nothing here is about disks."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - its own folder in it
