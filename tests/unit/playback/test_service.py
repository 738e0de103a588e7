"""Playback against a real store and catalog, with a warden in memory."""

import threading
from dataclasses import replace

import pytest

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.core.errors import (
    AuditUnavailableError,
    GoneError,
    IntegrityError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    RecordingTruncatedError,
    SealBrokenError,
)
from vault.core.flow import MediaPart, Purpose
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.playback.service import LEASE_S, OpenMedia


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ready(vault: Vault) -> RecordingId:
    """A call of eight seconds, rendered: its FLAC has several chunks."""
    packets = Phone(stream=0, ssrc=1).say(babble(8, seed=1))
    packets += Phone(stream=1, ssrc=2).say(babble(8, seed=2))
    id = vault.captured(capture(packets, added(0, "agent"), added(1, "customer")))
    vault.worker().run_once()
    vault.warden.drafts.clear()
    vault.warden.releases.clear()
    return id


def everything(opened: OpenMedia) -> bytes:
    return b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))


class TestOpening:
    def test_says_size_type_and_a_strong_validator(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        opened = vault.playback().open(vault.grant(ready))

        octets = everything(opened)

        assert len(octets) == opened.size
        assert octets.startswith(b"fLaC")
        assert opened.media_type == "audio/flac"
        assert opened.etag[0] == opened.etag[-1] == '"'

    def test_needs_the_warden(self, vault: Vault, ready: RecordingId) -> None:
        vault.warden.down = True

        with pytest.raises(AuditUnavailableError):
            vault.playback().open(vault.grant(ready))

    def test_with_a_grant_that_has_ended_finds_nothing(
        self, vault: Vault, ready: RecordingId, clock: Clock
    ) -> None:
        grant = vault.grant(ready, expires_ns=clock())

        with pytest.raises(NotFoundError):
            vault.playback(clock=clock).open(grant)

        assert vault.warden.releases == []

    def test_before_it_was_rendered_is_not_ready(self, vault: Vault) -> None:
        id = vault.captured(capture(Phone().say(babble(1)), added(0, "agent")))

        with pytest.raises(NotReadyError):
            vault.playback().open(vault.grant(id))

    def test_a_failed_recording_has_no_media(self, vault: Vault) -> None:
        id = vault.captured(added(0, "agent"))
        vault.worker().run_once()

        with pytest.raises(NoMediaError):
            vault.playback().open(vault.grant(id))

    def test_a_shredded_one_is_gone(self, vault: Vault, ready: RecordingId) -> None:
        del vault.warden.keys[ready]

        with pytest.raises(GoneError):
            vault.playback().open(vault.grant(ready))

    def test_a_format_that_was_not_made_is_not_ready(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        with pytest.raises(NotReadyError):
            vault.playback().open(vault.grant(ready), media_type="audio/mp4")

    def test_a_screen_that_was_not_recorded_has_no_media(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        with pytest.raises(NoMediaError):
            vault.playback().open(vault.grant(ready, MediaPart.SCREEN))

    def test_the_capture_is_an_export(self, vault: Vault, ready: RecordingId) -> None:
        opened = vault.playback().open(vault.grant(ready, MediaPart.CAPTURE))

        assert opened.media_type == "application/vnd.callvault.capture"
        assert vault.warden.releases == [(ready, Purpose.EXPORT)]

    def test_peaks_are_json(self, vault: Vault, ready: RecordingId) -> None:
        opened = vault.playback().open(vault.grant(ready, MediaPart.PEAKS))

        assert everything(opened).startswith(b'{"v":1,')
        assert opened.media_type == "application/json"


class TestReading:
    @pytest.mark.parametrize(
        ("start", "stop"),
        [(0, 1), (0, 2), (16383, 16385), (65535, 65537), (100, 70000), (16384, 32768)],
    )
    def test_a_span_is_that_slice(
        self, vault: Vault, ready: RecordingId, start: int, stop: int
    ) -> None:
        opened = vault.playback().open(vault.grant(ready))
        whole = everything(opened)

        part = b"".join(opened.stream(ByteRange(start=start, stop=stop)))

        assert whole[start:stop] == part

    def test_the_last_octets_end_where_the_object_does(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        opened = vault.playback().open(vault.grant(ready))
        size = opened.size

        part = b"".join(opened.stream(ByteRange(start=size - 5, stop=size + 100)))

        assert everything(opened)[-5:] == part

    def test_parts_of_a_capture_are_one_stream(self, vault: Vault) -> None:
        packets = Phone().say(babble(4))
        first = capture(packets[:90], added(0, "agent"))
        second = capture(packets[90:], added(0, "agent"))
        id = vault.captured(first, second)
        vault.worker().run_once()
        opened = vault.playback().open(vault.grant(id, MediaPart.CAPTURE))
        edge = len(first)

        across = b"".join(opened.stream(ByteRange(start=edge - 3, stop=edge + 3)))

        assert first + second == everything(opened)
        assert (first + second)[edge - 3 : edge + 3] == across

    def test_no_block_is_larger_than_64_kib(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        opened = vault.playback().open(vault.grant(ready))

        blocks = list(opened.stream(ByteRange(start=10, stop=opened.size)))

        assert max(map(len, blocks)) <= 65536


class TestLease:
    def test_many_ranges_under_one_grant_ask_for_the_key_once(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)

        for _ in range(5):
            everything(playback.open(grant))

        assert vault.warden.releases == [(ready, Purpose.PLAY)]

    def test_requests_at_once_ask_for_the_key_once(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        threads = [
            threading.Thread(target=lambda: everything(playback.open(grant)))
            for _ in range(6)
        ]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert vault.warden.releases == [(ready, Purpose.PLAY)]

    def test_that_lapsed_asks_again(
        self, vault: Vault, ready: RecordingId, clock: Clock
    ) -> None:
        playback, grant = vault.playback(clock=clock), vault.grant(ready)
        opened = playback.open(grant)
        clock.advance(LEASE_S + 1)

        everything(opened)

        assert len(vault.warden.releases) == 2

    def test_that_was_closed_asks_again(self, vault: Vault, ready: RecordingId) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        opened = playback.open(grant)
        playback.close(grant.id)

        everything(opened)

        assert len(vault.warden.releases) == 2

    def test_is_of_one_grant(self, vault: Vault, ready: RecordingId) -> None:
        playback = vault.playback()

        for _ in range(2):
            playback.open(vault.grant(ready))

        assert len(vault.warden.releases) == 2

    def test_that_lapses_while_the_warden_is_down_ends_the_stream(
        self, vault: Vault, ready: RecordingId, clock: Clock
    ) -> None:
        playback = vault.playback(clock=clock)
        opened = playback.open(vault.grant(ready))
        blocks = opened.stream(ByteRange(start=0, stop=opened.size))
        next(blocks)
        clock.advance(LEASE_S + 1)
        vault.warden.down = True

        with pytest.raises(AuditUnavailableError):
            next(blocks)


class TestStillAllowed:
    def test_is_asked_before_the_first_octet(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        opened = vault.playback().open(vault.grant(ready))

        def refuse() -> None:
            raise NotFoundError("no longer")

        with pytest.raises(NotFoundError):
            opened.stream(ByteRange(start=0, stop=10), still_allowed=refuse)

    def test_is_asked_again_when_a_second_has_passed(
        self, vault: Vault, ready: RecordingId, clock: Clock
    ) -> None:
        opened = vault.playback(clock=clock).open(vault.grant(ready))
        asked = []
        blocks = opened.stream(
            ByteRange(start=0, stop=opened.size),
            still_allowed=lambda: asked.append(clock()),
        )

        next(blocks)
        clock.advance(1.5)
        next(blocks)

        assert len(asked) == 2


class TestDamage:
    def test_in_the_first_chunk_asked_for_is_said_before_any_octet(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        vault.damage(ready, "rendition/0001", at=60)
        opened = vault.playback().open(vault.grant(ready))

        with pytest.raises(SealBrokenError):
            opened.stream(ByteRange(start=0, stop=2))

    def test_further_on_ends_the_stream_after_what_verifies(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        whole = everything(vault.playback().open(vault.grant(ready)))
        vault.damage(ready, "rendition/0001", at=56 + 5 * 16400 + 8)
        opened = vault.playback().open(vault.grant(ready))
        got = []

        with pytest.raises(IntegrityError):
            got.extend(opened.stream(ByteRange(start=0, stop=opened.size)))
        blocks = opened.stream(ByteRange(start=0, stop=opened.size))

        assert whole[:65536] == next(blocks)

    def test_elsewhere_does_not_stop_a_span_that_does_not_touch_it(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        vault.damage(ready, "rendition/0001", at=60)
        opened = vault.playback().open(vault.grant(ready))

        blocks = opened.stream(ByteRange(start=16384, stop=16400))

        assert len(b"".join(blocks)) == 16

    def test_a_shortened_object_is_never_a_shorter_recording(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        size = vault.recordings.objects(ready)["rendition/0001"].size
        last = (size - 56) % 16400
        vault.damage(ready, "rendition/0001", cut=last)

        with pytest.raises((SealBrokenError, RecordingTruncatedError)):
            vault.playback().open(vault.grant(ready))

    def test_leaves_one_leaf_however_often_it_is_met(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        vault.damage(ready, "rendition/0001", at=-1)
        playback = vault.playback()

        for _ in range(3):
            with pytest.raises(IntegrityError):
                playback.open(vault.grant(ready))

        assert vault.warden.actions() == ["recording.damaged"]
        assert vault.warden.drafts[0].detail["object"] == "rendition/0001"

    def test_that_is_absence_is_damage_too(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        vault.store.delete(next(iter(vault.store.keys(f"{ready}/rendition/"))))

        with pytest.raises(SealBrokenError):
            vault.playback().open(vault.grant(ready))

    def test_by_another_recordings_rendition_is_seen(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        other = vault.captured(capture(Phone().say(babble(8)), added(0, "agent")))
        vault.worker().run_once()
        key = next(iter(vault.store.keys(f"{other}/rendition/")))
        octets = vault.store.read(key)
        vault.store.delete(next(iter(vault.store.keys(f"{ready}/rendition/"))))
        vault.put(ready, "rendition/0001", octets)

        with pytest.raises(IntegrityError):
            vault.playback().open(vault.grant(ready))


class TestSummary:
    def test_of_a_listening_session_is_one_leaf_with_merged_spans(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        opened = playback.open(grant)
        for start in (0, 50, 30_000):
            list(opened.stream(ByteRange(start=start, stop=start + 100)))

        playback.close(grant.id)

        assert vault.warden.actions() == ["recording.played"]
        assert vault.warden.drafts[0].detail == {
            "grant": grant.id,
            "part": "audio",
            "object": "rendition/0001",
            "bytes": 250,
            "ranges": "0-149,30000-30099",
            "heard": "0:01-0:02",
        }

    def test_says_what_was_heard_in_minutes_and_seconds(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)

        everything(playback.open(grant))
        playback.close(grant.id)

        assert vault.warden.drafts[0].detail["heard"] == "0:00-0:08"

    def test_is_written_when_the_listener_signs_out(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        everything(playback.open(grant))

        playback.close_session("somebody-else")
        playback.close_session(grant.caller.session)

        assert vault.warden.actions() == ["recording.played"]

    def test_needs_no_header_that_can_be_read(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        vault.damage(ready, "rendition/0001", at=60)
        playback, grant = vault.playback(), vault.grant(ready)
        opened = playback.open(grant)
        list(opened.stream(ByteRange(start=16384, stop=16400)))

        playback.close(grant.id)

        assert vault.warden.actions() == ["recording.played"]
        assert "heard" not in vault.warden.drafts[0].detail

    def test_is_written_when_the_listener_fell_silent(
        self, vault: Vault, ready: RecordingId, clock: Clock
    ) -> None:
        playback = vault.playback(clock=clock)
        everything(playback.open(vault.grant(ready)))
        clock.advance(120)

        playback.sweep()

        assert vault.warden.actions() == ["recording.played"]

    def test_that_cannot_be_written_stops_nobody(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        everything(playback.open(grant))
        vault.warden.down = True

        playback.shutdown()

        assert vault.warden.drafts == []

    def test_that_cannot_be_written_is_written_later(
        self, vault: Vault, ready: RecordingId
    ) -> None:
        playback, grant = vault.playback(), vault.grant(ready)
        everything(playback.open(grant))
        vault.warden.down = True
        playback.close(grant.id)
        vault.warden.down = False

        playback.sweep()
        playback.sweep()

        assert vault.warden.actions() == ["recording.played"]


def test_a_superseded_rendition_is_not_opened(vault: Vault, ready: RecordingId) -> None:
    """Nobody can put back what a newer revision has replaced."""
    first = vault.recordings.objects(ready)["rendition/0001"]
    newer = vault.put(ready, "rendition/0002", b"x" * 100)
    vault.recordings.finish(
        ready,
        state=vault.recordings.row(ready).state,
        objects=[replace(newer, media_type=first.media_type)],
    )

    with pytest.raises(IntegrityError):
        vault.playback().open(vault.grant(ready))
