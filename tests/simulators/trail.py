"""A small audit trail for tests: real log, real database, fixed entries."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from vault.audit.checkpoint import Signer
from vault.audit.entry import Action, Draft, compose
from vault.audit.export import export_jsonl
from vault.audit.log import AuditLog
from vault.audit.query import EVERYTHING, Terms, TrailQuery
from vault.audit.reading import TrailReader
from vault.core.clock import rfc3339
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id

ORIGIN: Final = "vault.example/audit"
START_NS: Final = 1_795_414_569_123_456_789
SEED: Final = bytes(range(32))


def signer(seed: bytes = SEED, name: str = ORIGIN) -> Signer:
    """Return a signer whose key is known to everybody."""
    return Signer(name=name, key=Ed25519PrivateKey.from_private_bytes(seed))


def entry(number: int, *, actor: str = "", **members: object) -> bytes:
    """Return the canonical octets of entry *number*: plays by three users."""
    draft = Draft(
        action=Action.RECORDING_PLAYED,
        caller=Caller(
            actor=Actor(kind=ActorKind.USER, id=actor or f"u{number % 3}"),
            session="s1",
            origin="192.0.2.7",
        ),
        recording=f"recording-{number % 5}",
        right="recording:media:play",
        detail={"count": number},
        **members,
    )
    time = rfc3339(START_NS + number * 1_000_000_000)
    return bytes(compose(draft, id=new_id(), time=time, via="web", text_hmacs={}))


def asking(*, since: str = "", until: str = "", **wanted: str) -> TrailQuery:
    """Return the query for one value of each field: ``asking(actor="user:u1")``."""
    values = {name: (value,) for name, value in wanted.items()}
    return TrailQuery(wanted=Terms(**values), since=since, until=until)


@dataclass(kw_only=True)
class Trail:
    """A log with everything that is needed to open it again."""

    engine: Engine
    folder: Path
    seed: bytes = SEED
    origin: str = ORIGIN
    log: AuditLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.writer().open()

    def writer(self) -> AuditLog:
        """Return a closed writer of this log."""
        return AuditLog(
            self.engine,
            signer=signer(self.seed, self.origin),
            origin=self.origin,
            mark_path=self.mark_path,
            clock=lambda: START_NS,
        )

    @property
    def mark_path(self) -> Path:
        return self.folder / "log-mark.json"

    @property
    def reader(self) -> TrailReader:
        return TrailReader(self.engine)

    @property
    def vkey(self) -> str:
        return self.log.verifier_key

    def grow(self, count: int, *, batch: int = 1) -> None:
        """Append *count* entries, *batch* to a commit."""
        numbers = range(self.log.size, self.log.size + count)
        for start in range(numbers.start, numbers.stop, batch):
            stop = min(start + batch, numbers.stop)
            self.log.append([entry(number) for number in range(start, stop)])

    def export(
        self, *, query: TrailQuery = EVERYTHING, previous: str | None = None
    ) -> bytes:
        """Return the export as octets."""
        out = io.BytesIO()
        export_jsonl(self.reader, out, query=query, previous=previous)
        return out.getvalue()

    def reopen(self) -> None:
        """Close the log and open it again, as a restart does."""
        self.log.close()
        self.log = self.writer().open()


def lines_of(octets: bytes) -> Iterator[bytes]:
    """Give the lines of an export with their newlines."""
    return iter(octets.splitlines(keepends=True))
