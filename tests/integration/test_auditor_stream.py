"""The stream to a SIEM against receivers that are killed, hang, lie and fill up.

``CALLVAULT_STREAM_KILLS=200`` kills so many instead of six.
"""

import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.simulators.ports import free_port
from tests.simulators.streaming import (
    Leaves,
    Ticks,
    close_all,
    run_until,
    stream_to,
    try_round,
)
from tests.simulators.syslog_receiver import SyslogReceiver
from tests.simulators.trail import ORIGIN, Trail
from vault.auditor.stream_place import StreamPlaces
from vault.auditor.syslog_connection import Patience
from vault.core.errors import TrailBrokenError
from vault.database.engine import open_engine

KILLS = int(os.environ.get("CALLVAULT_STREAM_KILLS", "6"))
SIZE = 200
HURRIED = Patience(connect_s=5.0, stall_s=0.4, confirm_s=0.4)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    yield engine
    engine.dispose()


@pytest.fixture
def trail(engine: Engine, tmp_path: Path) -> Iterator[Trail]:
    trail = Trail(engine=engine, folder=tmp_path)
    trail.grow(SIZE - trail.log.size, batch=100)
    yield trail
    trail.log.close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[SyslogReceiver]:
    receiver = SyslogReceiver.make(tmp_path / "receiver")
    yield receiver
    receiver.kill()


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    yield
    close_all()


class Site:
    """A stream to a receiver, with what it needs."""

    def __init__(
        self, trail: Trail, receiver: SyslogReceiver, folder: Path, **changed: object
    ) -> None:
        self.ticks, self.leaves, self.places = (
            Ticks(),
            Leaves(),
            StreamPlaces(folder, "siem"),
        )
        values = {"ca": receiver.ca} | changed
        self.stream = stream_to(
            receiver.port,
            trail=trail,
            folder=folder,
            ticks=self.ticks,
            leaves=self.leaves,
            **values,  # type: ignore[arg-type] # of stream_to
        )

    def round(self) -> str:
        return try_round(self.stream, self.ticks)

    def run_until(self, place: int) -> None:
        run_until(self.stream, place, self.ticks)


def arrived(receiver: SyslogReceiver) -> set[int]:
    return {index for indices in receiver.indices() for index in indices}


def in_order(receiver: SyslogReceiver) -> bool:
    return all(
        earlier < later
        for indices in receiver.indices()
        for earlier, later in itertools.pairwise(indices)
    )


def test_every_entry_arrives_once_and_in_order_where_nothing_breaks(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    site = Site(trail, receiver, tmp_path)

    site.run_until(SIZE)

    assert [list(range(SIZE))] == receiver.indices()
    assert SIZE == site.places.read().next
    assert ["audit.stream.started"] == site.leaves.said


def test_a_stream_goes_on_after_a_restart_where_it_was(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    Site(trail, receiver, tmp_path).run_until(SIZE)
    trail.grow(3)

    again = Site(trail, receiver, tmp_path)
    again.run_until(SIZE + 3)

    assert [SIZE, SIZE + 1, SIZE + 2] == receiver.indices()[-1]
    assert [] == again.leaves.said


def test_a_receiver_killed_at_any_moment_gets_every_entry_at_least_once(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    chance = random.Random(6)
    site = Site(trail, receiver, tmp_path, most_unconfirmed=60)
    places = StreamPlaces(tmp_path, "siem")

    for _ in range(KILLS):
        places.ask_rewind(0)
        receiver.start(chance.choice(("ok", "slow")))
        killer = threading.Timer(chance.uniform(0.0, 0.08), receiver.kill)
        killer.start()
        site.round()
        killer.join()
        confirmed = places.read().next

        assert set(range(confirmed)) <= arrived(receiver)

    receiver.start()
    site.run_until(SIZE)

    assert set(range(SIZE)) == arrived(receiver)
    assert in_order(receiver)


def test_a_receiver_that_does_not_read_confirms_nothing_and_costs_no_memory(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("hang", tls=False)
    # Its kernel takes the octets of plain TCP without it.
    site = Site(trail, receiver, tmp_path, ca=None, patience=HURRIED)

    said = [site.round() for _ in range(4)]

    assert set(said) <= {"", "the receiver: stalled", "the receiver: unconfirmed"}
    assert any(said)
    assert site.places.read().next == 0
    assert SIZE == site.stream.facts()["lag_entries"]


def test_a_handshake_that_nobody_answers_ends(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("hang", tls=False)
    hurried = Patience(connect_s=0.3, stall_s=0.3, confirm_s=0.3)
    site = Site(trail, receiver, tmp_path, patience=hurried)

    assert "the receiver: stalled" == site.round()


def test_a_slow_receiver_gets_less_at_a_time_until_it_can_confirm(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("slow")
    site = Site(trail, receiver, tmp_path, patience=HURRIED, most_unconfirmed=200)

    site.run_until(SIZE)

    assert set(range(SIZE)) == arrived(receiver)


def test_a_receiver_with_a_full_disk_loses_nothing_that_was_confirmed(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("full")
    site = Site(trail, receiver, tmp_path, most_unconfirmed=100)
    for _ in range(3):
        site.round()
    confirmed = site.places.read().next

    assert set(range(confirmed)) <= arrived(receiver)

    receiver.kill()
    receiver.start()
    site.run_until(SIZE)

    assert set(range(SIZE)) == arrived(receiver)


def test_a_receiver_that_ends_without_close_notify_has_confirmed_nothing(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("rude")
    site = Site(trail, receiver, tmp_path)

    assert site.round() == ""
    assert "the receiver: closed" == site.round()
    assert site.places.read().next == 0


def test_plain_tcp_is_confirmed_by_the_end_of_the_connection(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start(tls=False)

    Site(trail, receiver, tmp_path, ca=None).run_until(SIZE)

    assert [list(range(SIZE))] == receiver.indices()


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"days": (-2.0, -1.0)}, "certificate-expired"),
        ({"name": "another.example"}, "certificate-name"),
        ({"issuer": None}, "certificate-untrusted"),
    ],
)
def test_nothing_is_said_to_who_cannot_prove_its_name(
    trail: Trail, tmp_path: Path, certificate: dict[str, object], reason: str
) -> None:
    receiver = SyslogReceiver.make(tmp_path / "receiver", **certificate)
    receiver.start()
    try:
        site = Site(trail, receiver, tmp_path)

        assert f"the receiver: {reason}" == site.round()
        assert set() == arrived(receiver)
    finally:
        receiver.kill()


def test_a_name_that_nobody_has_and_a_port_where_nobody_listens_are_told_apart(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    nameless = Site(trail, receiver, tmp_path, host="nobody.invalid")
    receiver.port = free_port()
    deserted = Site(trail, receiver, tmp_path)

    assert ["the receiver: dns", "the receiver: refused"] == [
        nameless.round(),
        deserted.round(),
    ]


def test_the_trail_says_once_that_the_stream_fails_and_that_it_works_again(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    site = Site(trail, receiver, tmp_path)
    for _ in range(20):
        site.round()
    receiver.start()
    site.run_until(SIZE)

    assert ["audit.stream.failed refused", "audit.stream.started"] == site.leaves.said


def test_a_stream_that_was_rewound_sends_again_from_there(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    site = Site(trail, receiver, tmp_path)
    site.run_until(SIZE)
    site.places.ask_rewind(SIZE - 5)

    site.round()
    site.run_until(SIZE)

    assert list(range(SIZE - 5, SIZE)) == receiver.indices()[-1]
    assert site.places.asked_rewind() is None


def test_what_is_altered_or_gone_is_an_alarm_and_does_not_stop_the_stream(
    trail: Trail, engine: Engine, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    with engine.begin() as intruder:
        for name in intruder.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).scalars():
            intruder.execute(text(f'DROP TRIGGER "{name}"'))
        intruder.execute(
            text("UPDATE log_entry SET octets = X'7B7D' WHERE position = 7")
        )
        intruder.execute(text("DELETE FROM log_entry WHERE position IN (20, 21)"))
    site = Site(trail, receiver, tmp_path)

    site.run_until(SIZE)

    alarms = [
        json.loads(message.rpartition(b"] ")[2])
        for message in receiver.connections()[0]
        if message.startswith(b"<106>")
    ]
    assert [
        {"event": "audit.entry.broken", "index": 7, "last": 7, "origin": ORIGIN},
        {"event": "audit.entry.missing", "index": 20, "last": 21, "origin": ORIGIN},
    ] == alarms
    assert site.stream.facts()["alarms"] == 2


def test_a_log_that_is_shorter_than_what_was_sent_is_no_log_to_stream(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    Site(trail, receiver, tmp_path).run_until(SIZE)
    places = StreamPlaces(tmp_path, "siem")
    (tmp_path / "stream-siem.json").write_bytes(
        (tmp_path / "stream-siem.json")
        .read_bytes()
        .replace(b"%d" % SIZE, b"%d" % (SIZE + 1))
    )
    assert places.read().next == SIZE + 1

    with pytest.raises(TrailBrokenError):
        Site(trail, receiver, tmp_path).round()


def test_the_newest_checkpoint_is_sent_again_and_again(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start()
    site = Site(trail, receiver, tmp_path, checkpoint_every_s=150.0)

    for _ in range(8):
        site.round()

    notes = [
        json.loads(message.rpartition(b"] ")[2])["note"]
        for messages in receiver.connections()
        for message in messages
        if b" audit.checkpoint [" in message
    ]
    assert [trail.reader.checkpoint()] * 3 == notes


def test_a_receiver_that_asks_for_a_certificate_gets_it(
    trail: Trail, receiver: SyslogReceiver, tmp_path: Path
) -> None:
    receiver.start("strict")
    client = (receiver.folder / "client.crt", receiver.folder / "client.key")
    anonymous = Site(trail, receiver, tmp_path / "anonymous")
    for _ in range(3):
        anonymous.round()

    assert set() == arrived(receiver)

    Site(trail, receiver, tmp_path, client=client).run_until(SIZE)

    assert set(range(SIZE)) == arrived(receiver)
