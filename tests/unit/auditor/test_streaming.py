"""The stream's place, its leaves and its patience, with a receiver in memory."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.streaming import Leaves, Ticks, try_round
from tests.simulators.syslog_receiver import messages_in
from tests.simulators.trail import ORIGIN, START_NS, Trail, signer
from vault.audit.entry import Action, Draft, compose
from vault.audit.formats.registry import FORMATS
from vault.audit.query import Terms, TrailQuery
from vault.auditor.stream_place import StreamPlace, StreamPlaces
from vault.auditor.streaming import StreamConfig, Streaming
from vault.auditor.syslog import SyslogConfig
from vault.core.clock import rfc3339
from vault.core.errors import TrailBrokenError, UnavailableError
from vault.core.flow import NOBODY, Caller
from vault.core.ids import new_id
from vault.database.engine import open_engine

SIZE = 30


class Receiver:
    """A receiver in memory that can be away, or not answer."""

    def __init__(self) -> None:
        self.octets: list[bytes] = []
        self.attempts = 0
        self.trouble = ""
        self.answers = True

    def connect(self) -> "Receiver":
        self.attempts += 1
        if self.trouble:
            raise UnavailableError(self.trouble)
        self.octets.append(b"")
        return self

    def send(self, frames: bytes) -> None:
        self.octets[-1] += frames

    def check(self) -> None:
        if self.trouble:
            raise UnavailableError(self.trouble)

    def confirm(self) -> None:
        if not self.answers:
            raise UnavailableError("unconfirmed")

    def close(self) -> None:
        pass

    def indices(self) -> list[list[int]]:
        return [
            [
                int(found[1])
                for message in messages_in(octets)
                if (found := re.search(rb' index="(\d+)"', message))
            ]
            for octets in self.octets
        ]


class Site:
    """A stream with its receiver, clock, leaves and place."""

    def __init__(self, trail: Trail, folder: Path, **changed: object) -> None:
        self.receiver, self.ticks, self.leaves = Receiver(), Ticks(), Leaves()
        self.folder = folder / "auditor"
        self.places = StreamPlaces(self.folder, "siem")
        values = {"checkpoint_every_s": 0.0} | changed
        config = StreamConfig(syslog=SyslogConfig(format=FORMATS["cef"]), **values)  # type: ignore[arg-type] # of StreamConfig
        self.stream = Streaming(
            trail.reader,
            self.leaves,
            self.places,
            self.receiver.connect,
            config,
            verifier=signer().verifier,
            clock=self.ticks.clock,
            ticks=self.ticks,
        )

    def rounds(self, count: int) -> list[str]:
        return [try_round(self.stream, self.ticks) for _ in range(count)]


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    trail = Trail(engine=engine, folder=tmp_path)
    trail.grow(SIZE - trail.log.size, batch=10)
    yield trail
    trail.log.close()
    engine.dispose()


def test_the_place_moves_when_the_receiver_has_confirmed_and_not_before(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)

    site.rounds(1)

    assert [list(range(SIZE))] == site.receiver.indices()
    assert site.places.read().next == 0

    site.rounds(1)

    assert SIZE == site.places.read().next


def test_what_was_not_confirmed_is_sent_again_and_in_smaller_parts(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path, most_unconfirmed=16)
    site.receiver.answers = False
    site.rounds(2)
    site.receiver.answers = True
    site.rounds(3)

    assert [list(range(16)), list(range(8)), list(range(4))] == (
        site.receiver.indices()[:3]
    )
    assert SIZE == site.places.read().next


def test_entries_that_nobody_asked_for_are_passed_without_a_message(
    trail: Trail, tmp_path: Path
) -> None:
    query = TrailQuery(wanted=Terms(actor=("user:u1",)))
    site = Site(trail, tmp_path, query=query)

    site.rounds(2)

    (indices,) = site.receiver.indices()
    assert indices == [
        one.index for one in reversed(trail.reader.page(query, limit=200).items)
    ]
    assert SIZE == site.places.read().next


def test_a_receiver_that_is_away_is_asked_ever_more_rarely(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    site.receiver.trouble = "refused"

    for _ in range(60):
        site.ticks.now_s += 2.0 - 61.0
        site.rounds(1)

    assert 6 <= site.receiver.attempts <= 9


def test_the_lag_grows_while_the_receiver_is_away(trail: Trail, tmp_path: Path) -> None:
    site = Site(trail, tmp_path)
    site.receiver.trouble = "dns"
    site.ticks.now_s = START_NS / 1e9
    site.rounds(5)
    facts = site.stream.facts()

    assert (SIZE, "dns", None) == (
        facts["lag_entries"],
        facts["last_reason"],
        facts["since_ns"],
    )
    assert int(str(facts["lag_s"])) >= 5 * 61


def test_a_receiver_that_comes_and_goes_is_two_leaves_in_fifteen_minutes(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    for number in range(40):
        site.receiver.trouble = "" if number % 8 < 4 else "reset"
        trail.grow(1)
        site.rounds(1)

    minutes = 40 * 61 / 60
    assert len(site.leaves.said) <= 2 * (minutes / 15 + 1)
    assert {"audit.stream.started", "audit.stream.failed reset"} == set(
        site.leaves.said
    )


def test_a_place_that_cannot_be_written_means_sending_again(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    site.rounds(1)
    (site.folder / "stream-siem.json.new").mkdir()

    assert site.rounds(1) == ["stream-siem.json: Is a directory"]

    (site.folder / "stream-siem.json.new").rmdir()
    site.rounds(2)

    assert [list(range(SIZE))] * 2 == site.receiver.indices()
    assert SIZE == site.places.read().next


def test_another_log_is_streamed_from_its_beginning(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    site.places.write(StreamPlace(origin="another.example/audit", next=25))

    site.rounds(2)

    assert [list(range(SIZE))] == site.receiver.indices()
    assert ORIGIN == site.places.read().origin


def test_a_successor_log_is_streamed_from_its_first_own_entry(
    trail: Trail, tmp_path: Path
) -> None:
    draft = Draft(action=Action.AUDIT_LOG_SUCCEEDED, caller=Caller(actor=NOBODY))
    time = rfc3339(START_NS)
    own = compose(draft, id=new_id(), time=time, via="warden", text_hmacs={})
    trail.log.append([bytes(own)])
    trail.grow(2)
    site = Site(trail, tmp_path)
    site.places.write(StreamPlace(origin="vault.example/earlier", next=SIZE + 2))

    site.rounds(2)

    assert [[SIZE, SIZE + 1, SIZE + 2]] == site.receiver.indices()


def test_two_successions_since_are_followed_from_the_first(
    trail: Trail, tmp_path: Path
) -> None:
    later = f"{ORIGIN}/4"
    folder = tmp_path / "later"
    folder.mkdir()
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    restored = Trail(engine=engine, folder=folder, origin=later)
    restored.grow(10 - restored.log.size)
    for predecessor in (ORIGIN, f"{ORIGIN}/2", f"{ORIGIN}/3"):
        draft = Draft(
            action=Action.AUDIT_LOG_SUCCEEDED,
            caller=Caller(actor=NOBODY),
            detail={"predecessor": predecessor},
        )
        time = rfc3339(START_NS)
        own = compose(draft, id=new_id(), time=time, via="warden", text_hmacs={})
        restored.log.append([bytes(own)])
        restored.grow(2)
    site = Site(restored, tmp_path)
    site.places.write(StreamPlace(origin=f"{ORIGIN}/2", next=25))

    site.rounds(2)

    assert [list(range(13, 19))] == site.receiver.indices()
    engine.dispose()


def test_a_failure_of_any_kind_lets_the_place_pass_nothing(
    trail: Trail, tmp_path: Path
) -> None:
    class Odd(Receiver):
        def confirm(self) -> None:
            raise RuntimeError("odd")

    site = Site(trail, tmp_path)
    site.receiver = Odd()
    site.stream._connect = site.receiver.connect
    for _ in range(2):
        site.rounds(1)
        site.ticks.now_s += 60
        with pytest.raises(RuntimeError, match="odd"):
            site.stream.run()

    assert 0 == site.places.read().next
    assert [list(range(SIZE))] * 2 == site.receiver.indices()


def test_a_checkpoint_of_another_key_moves_nothing(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    site.stream._verifier = signer(bytes(32)).verifier
    with pytest.raises(TrailBrokenError):
        site.stream.run()

    assert [] == site.receiver.octets


def test_an_idle_connection_that_is_closed_is_no_failure(
    trail: Trail, tmp_path: Path
) -> None:
    site = Site(trail, tmp_path)
    site.rounds(2)
    trail.grow(1)

    assert site.rounds(2) == ["", ""]
    assert SIZE + 1 == site.places.read().next
