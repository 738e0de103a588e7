"""Logs of many entries, for measuring: by the real writer, for the real reader.

Entries are plays by 200 people of 5,000 recordings, one a second, with what a real one
has; every 50th is of another action, so that a query has something to select.

    python scripts/benches/audit_log_of.py FOLDER COUNT

makes the log alone, for measuring by hand.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.audit.checkpoint import Signer
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.core import canonical
from vault.core.clock import rfc3339
from vault.database.engine import open_engine

ORIGIN: Final = "vault.example/audit"
BATCH: Final = 2000
"Entries of one commit: a log of a million has some hundred checkpoints."

_START_NS: Final = 1_763_884_800_000_000_000
_PEOPLE: Final = 200
_RECORDINGS: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLog:
    """A log to read, and the key that its checkpoints are signed with."""

    log: AuditLog
    reader: TrailReader
    vkey: str


@contextmanager
def log_of(
    folder: Path,
    count: int,
    *,
    url: str = "",
    progress: Callable[[int], None] | None = None,
) -> Iterator[BuiltLog]:
    """Give a log of *count* entries, made where it does not exist yet.

    Args:
        folder: For the high-water mark, and the database where *url* is empty.
        count: Entries, its first one ("created") included.
        url: Of another database than SQLite in *folder*.
        progress: Told how many there are, now and then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url or f"sqlite:///{folder}", schema="audit")
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bench").digest())
    log = AuditLog(
        engine,
        signer=Signer(name=ORIGIN, key=key),
        origin=ORIGIN,
        mark_path=folder / "log-mark.json",
        clock=lambda: _START_NS,
    )
    with log.open():
        while log.size < count:
            stop = min(log.size + BATCH, count)
            log.append([entry(number) for number in range(log.size, stop)])
            if progress is not None:
                progress(log.size)
        reader = TrailReader(engine)
        yield BuiltLog(log=log, reader=reader, vkey=log.verifier_key)
    engine.dispose()


def entry(number: int) -> bytes:
    """Return the canonical octets of entry *number*; the same at every call."""
    listed = number % 50 == 0
    members: canonical.JsonObject = {
        "action": "recording.listed" if listed else "recording.played",
        "actor": f"user:{_id('person', number % _PEOPLE)}",
        "detail": {"rows": number % 50} if listed else {"part": "audio"},
        "id": _id("entry", number),
        "origin": f"192.0.2.{number % 250}",
        "result": "ok" if number % 97 else "refused",
        "right": "recording:media:play",
        "session": _id("session", number % (_PEOPLE * 3)),
        "time": rfc3339(_START_NS + number * 1_000_000_000),
        "v": 1,
        "via": "web",
    }
    if not listed:
        members["recording"] = _id("recording", number % _RECORDINGS)
    return canonical.dumps(members)


def _id(kind: str, number: int) -> str:
    digest = hashlib.sha256(f"{kind} {number}".encode()).hexdigest()
    return str(UUID(digest[:32], version=4))


def main() -> int:
    """Make a log and say how long it took."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    began = time.monotonic()

    def say(done: int) -> None:
        sys.stderr.write(f"\r{done:,} entries, {time.monotonic() - began:.0f} s")

    with log_of(folder, count, progress=say) as built:
        sys.stdout.write(f"\n{built.vkey}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
