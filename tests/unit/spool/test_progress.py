from pathlib import Path

import pytest

from vault.core.ids import new_recording_id
from vault.spool.ledger import read_status, read_totals
from vault.spool.order import SpoolOrder
from vault.spool.progress import Progress, Shipping, read_shipping
from vault.spool.spool import Spool


def test_what_was_stored_is_seen_until_it_is_done(tmp_path: Path) -> None:
    one, other = new_recording_id(), new_recording_id()
    progress = Progress(tmp_path)
    progress.begin(one)
    progress.stored(one, 700)
    progress.stored(one, 300)
    progress.begin(other)
    progress.delayed(other, 60)
    progress.write(now=True)
    state = read_shipping(tmp_path)
    progress.done(one)
    progress.write(now=True)

    assert Shipping(shipped=1000) == state.recordings[one]
    assert (1, True) == (
        state.recordings[other].tries,
        state.recordings[other].next_try_s > 0,
    )
    assert state.bytes_per_s > 0
    assert {other} == set(read_shipping(tmp_path).recordings)


def test_what_was_not_written_yet_says_when_to_ask_again(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.begin(new_recording_id())
    progress.begin(new_recording_id())

    assert 0 < progress.write() <= 0.5
    assert float("inf") == progress.write(now=True)


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b'{"v":1}', b'{"bytes_per_s":"x","recordings":{}}']
)
def test_what_is_not_the_shippers_is_nothing(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / ".shipping").write_bytes(octets)

    assert {} == read_shipping(tmp_path).recordings


def test_totals_say_how_long_the_rest_takes(spool: Spool, order: SpoolOrder) -> None:
    directory = spool.config.directory
    folder = spool.create(order)
    folder.write_once("manifest", bytes(5000))
    progress = Progress(directory)
    progress.stored(order.recording_id, 1000)
    progress.write(now=True)
    sessions = read_status(directory)
    totals = read_totals(directory, sessions)

    assert sessions[0].bytes - 1000 == totals.waiting_bytes
    assert (1, 1, 1000) == (totals.sessions, totals.waiting, totals.bytes_per_s)
    assert totals.drain_s == totals.waiting_bytes / 1000
