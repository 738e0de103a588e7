"""The trail through the warden is the trail: every answer, and none that is too long."""

import io
import socket
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.simulators.trail import asking, entry
from tests.simulators.warden import USER, CatalogInMemory
from tests.simulators.warden import Trail as Said
from vault.audit.entry import Action, Draft
from vault.audit.export import export_jsonl
from vault.audit.log import AuditLog
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.reading import TrailReader
from vault.audit.tiles import TileName
from vault.core.errors import (
    AccessDeniedError,
    InvalidInputError,
    NotFoundError,
    TrailBrokenError,
    UnavailableError,
)
from vault.database.engine import transaction
from vault.sealing.keyring import Keyring
from vault.trust import trail_messages
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden
from vault.warden import reading
from vault.warden.reading import TrailDesk
from vault.warden.server import Warden
from vault.warden.service import WardenParts

ENTRIES = 300
SOME = asking(actor="user:u1")


@pytest.fixture
def served(
    log: AuditLog, keyring: Keyring, catalog: CatalogInMemory, reader: TrailReader
) -> Iterator[dict[str, WardenClient]]:
    for start in range(0, ENTRIES, 20):
        log.append([entry(number) for number in range(start, start + 20)])
    parts = WardenParts(keys=keyring, envelopes=catalog, rows=catalog, trail=reader)
    warden = Warden(parts, log)
    pairs = {role: socket.socketpair() for role in ("web", "cli", "tap", "worker")}
    warden.start([(role, theirs) for role, (_, theirs) in pairs.items()])
    clients = {role: WardenClient.over(ours) for role, (ours, _) in pairs.items()}
    yield clients
    for client in clients.values():
        client.close()
    warden.stop()


@pytest.fixture
def through(served: dict[str, WardenClient]) -> TrailThroughWarden:
    return TrailThroughWarden(served["web"])


def exported(source: TrailReader | TrailThroughWarden, query: TrailQuery) -> bytes:
    out = io.BytesIO()
    export_jsonl(source, out, query=query, previous=source.checkpoint(21))
    return out.getvalue()


class TestTheSame:
    def test_head_checkpoints_and_counts(
        self, through: TrailThroughWarden, reader: TrailReader
    ) -> None:
        assert through.head() == reader.head()
        assert through.checkpoint() == reader.checkpoint()
        assert through.checkpoint(21) == reader.checkpoint(21)
        assert through.count(SOME, size=200) == reader.count(SOME, size=200)

    def test_pages_and_their_cursors(
        self, through: TrailThroughWarden, reader: TrailReader
    ) -> None:
        first = through.page(SOME, limit=30)
        second = through.page(SOME, cursor=first.next, limit=100)

        assert first == reader.page(SOME, limit=30)
        assert second == reader.page(SOME, cursor=first.next, limit=100)
        assert second.next is None

    @pytest.mark.parametrize("query", [EVERYTHING, SOME])
    def test_exports_octet_by_octet(
        self, through: TrailThroughWarden, reader: TrailReader, query: TrailQuery
    ) -> None:
        assert exported(through, query) == exported(reader, query)

    @pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000"])
    def test_tiles(
        self, through: TrailThroughWarden, reader: TrailReader, path: str
    ) -> None:
        name = TileName.parse(path)

        assert through.tile(name) == reader.tile(name)

    def test_what_is_not_there(self, through: TrailThroughWarden) -> None:
        with pytest.raises(NotFoundError):
            through.checkpoint(5)
        with pytest.raises(NotFoundError):
            through.checkpoint(0)
        with pytest.raises(NotFoundError):
            through.tile(TileName(level=0, index=9))
        with pytest.raises(InvalidInputError):
            through.page(EVERYTHING, cursor="-1")

    def test_an_entry_that_was_changed_is_not_shown_and_is_exported_as_it_is(
        self, through: TrailThroughWarden, reader: TrailReader, engine: Engine
    ) -> None:
        with transaction(engine) as connection:
            for (name,) in connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.execute(
                text("UPDATE log_entry SET octets = '{}' WHERE position = 250")
            )
        with pytest.raises(TrailBrokenError):
            through.page(EVERYTHING, limit=100)

        assert exported(through, EVERYTHING) == exported(reader, EVERYTHING)


class TestOneFrame:
    def test_answers_stop_before_a_frame_is_full_and_go_on(
        self,
        through: TrailThroughWarden,
        reader: TrailReader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(trail_messages, "_BUDGET_BYTES", 8_000)
        monkeypatch.setattr(trail_messages, "MAX_MARKS_AT_ONCE", 3)
        monkeypatch.setattr(reading.m, "MAX_MARKS_AT_ONCE", 3)

        assert len(through.batch(0, 100).rows) < 20
        assert through.page(SOME, limit=90) == reader.page(SOME, limit=90)
        assert exported(through, EVERYTHING) == exported(reader, EVERYTHING)
        assert exported(through, SOME) == exported(reader, SOME)


class TestWhoMay:
    @pytest.mark.parametrize("role", ["tap", "worker"])
    def test_others_are_refused_with_a_leaf(
        self, served: dict[str, WardenClient], trail: Said, role: str
    ) -> None:
        with pytest.raises(AccessDeniedError):
            TrailThroughWarden(served[role]).head()

        (leaf,) = trail.of("access.refused")
        assert (role, "refused") == (leaf["via"], leaf["result"])

    @pytest.mark.parametrize("role", ["web", "cli"])
    def test_reading_leaves_no_leaf_of_its_own(
        self, served: dict[str, WardenClient], role: str
    ) -> None:
        source = TrailThroughWarden(served[role])
        before = source.head().size
        source.newest(5)

        assert source.head().size == before


class _Stuck(TrailReader):
    """A database that does not answer until it is let go."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.go = threading.Event()

    def count(self, query: TrailQuery, *, size: int) -> int:
        self.go.wait(30)
        return super().count(query, size=size)


class TestReadingDelaysNoLeaf:
    def test_leaves_are_written_while_every_reader_is_stuck(
        self,
        log: AuditLog,
        keyring: Keyring,
        catalog: CatalogInMemory,
        engine: Engine,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reading, "_MOST_WAITING", 8)
        stuck = _Stuck(engine)
        parts = WardenParts(keys=keyring, envelopes=catalog, rows=catalog, trail=stuck)
        warden = Warden(parts, log)
        ours, theirs = socket.socketpair()
        warden.start([("web", theirs)])
        with WardenClient.over(ours) as client:
            # They give up at once, and keep their places until the database answers.
            for _ in range(8):
                assert "in time" in _refused(client)
            refused = _refused(client)
            client.append(Draft(action=Action.RECORDING_LISTED, caller=USER))
            stuck.go.set()
        warden.stop()

        assert "too many readers" in refused

    def test_a_desk_that_closes_drops_what_waits(
        self, engine: Engine, log: AuditLog
    ) -> None:
        desk = TrailDesk(TrailReader(engine))
        done = threading.Event()
        desk.submit(done.set)
        desk.close()

        assert done.is_set()


def _refused(client: WardenClient) -> str:
    request = trail_messages.TrailCountRequest(size=1)
    with pytest.raises(UnavailableError) as caught:
        client.ask(request, lambda answer: answer, timeout_s=0.1)
    return str(caught.value)
