"""The worker against a real store and catalog, with a warden in memory."""

import io
import threading

import av
import numpy as np
import pytest

from tests.simulators.calls import (
    EVENTS,
    MS,
    OPUS,
    PCMA,
    PCMU,
    Phone,
    Sent,
    Vault,
    added,
    babble,
    capture,
    companded,
    counted,
    heard,
)
from vault.core import canonical
from vault.core.errors import AuditUnavailableError
from vault.core.flow import (
    HowEnded,
    MediaPart,
    Purpose,
    Reason,
    RecordingState,
)
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.objects.keys import ObjectKey
from vault.renditions.config import WorkerConfig
from vault.renditions.g711 import Law
from vault.sealing.chunks import CHUNK_SIZE, context
from vault.sealing.manifest import verify_addendum
from vault.sealing.reader import open_sealed
from vault.tap.capture import Kind


def decoded(vault: Vault, id: RecordingId, media_type: str | None = None) -> np.ndarray:
    """Return what a listener hears, as (channels, samples)."""
    opened = vault.playback().open(vault.grant(id), media_type=media_type)
    octets = b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))
    with av.open(io.BytesIO(octets)) as container:
        channels = container.streams.audio[0].codec_context.channels
        frames = [
            each.to_ndarray().reshape(-1, channels).T
            if each.format.is_packed
            else each.to_ndarray()
            for each in container.decode(audio=0)
        ]
    return np.concatenate(frames, axis=1)


def two_parties(seconds: float = 3.0) -> tuple[bytes, np.ndarray, np.ndarray]:
    agent, customer = babble(seconds, seed=1), babble(seconds, seed=2)
    packets = Phone(stream=0, ssrc=1).say(agent)
    packets += Phone(stream=1, ssrc=2).say(customer)
    part = capture(packets, added(0, "agent"), added(1, "customer"))
    return part, agent, customer


class TestAFinishedCall:
    def test_becomes_ready_with_the_agent_left_and_the_customer_right(
        self, vault: Vault
    ) -> None:
        part, agent, customer = two_parties()
        id = vault.captured(part)

        assert vault.worker().run_once()
        samples = decoded(vault, id)

        assert RecordingState.READY == vault.recordings.row(id).state
        assert np.array_equal(heard(agent), samples[0])
        assert np.array_equal(heard(customer), samples[1])

    def test_has_a_duration_and_counters_in_its_row(self, vault: Vault) -> None:
        part, _, _ = two_parties()
        id = vault.captured(
            part,
            streams=(
                counted(received=150, authentic=150),
                counted(1, "customer", received=150, authentic=150),
            ),
        )

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert row.duration_ms == 3000
        assert [("agent", "PCMU", 150, 0), ("customer", "PCMU", 150, 0)] == [
            (s.label, s.codec, s.packets_authentic, s.packets_lost) for s in row.streams
        ]

    def test_tells_the_trail_of_every_object_before_the_row(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])

        vault.worker().run_once()
        named = {
            str(draft.detail["object"]): draft.detail["sha256"]
            for draft in vault.warden.drafts
        }

        objects = vault.recordings.objects(id)
        assert named == {
            name: objects[name].sha256
            for name in ("rendition/0001", "peaks/0001", "quality/0001")
        }
        assert vault.warden.actions() == ["recording.rendered"] * 3

    def test_has_an_addendum_that_its_worker_signed(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])

        vault.worker().run_once()
        addendum = verify_addendum(
            vault.store.read(ObjectKey.of(id, "addendum/0001")),
            {"worker-1": vault.worker_key.public_key().public_bytes_raw()},
        )

        rendition = vault.recordings.objects(id)["rendition/0001"]
        assert rendition.sha256 == addendum.object.sha256.hex()
        assert ["capture/0001"] == list(addendum.sources)

    def test_hands_its_metadata_with_an_end_to_the_warden(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])

        vault.worker().run_once()

        assert b'"ended":"2026' in vault.warden.rows[id]
        assert vault.warden.releases == [(id, Purpose.RENDER)]

    def test_is_rendered_once(self, vault: Vault) -> None:
        vault.captured(two_parties()[0])
        worker = vault.worker()

        assert [True, False] == [worker.run_once(), worker.run_once()]

    def test_of_one_line_is_mono(self, vault: Vault) -> None:
        octets = babble(1)
        id = vault.captured(capture(Phone().say(octets), added(0, "stream1")))

        vault.worker().run_once()

        assert np.array_equal([heard(octets)], decoded(vault, id))

    def test_in_a_law_is_exact_too(self, vault: Vault) -> None:
        octets = babble(1) ^ 0x55
        phone = Phone(payload_type=8)
        id = vault.captured(
            capture(phone.say(octets), added(0, "agent", payloads=(PCMA,)))
        )

        vault.worker().run_once()

        assert np.array_equal([heard(octets, Law.PCMA)], decoded(vault, id))

    def test_may_have_its_tones_silenced(self, vault: Vault) -> None:
        at = np.arange(1600) / 8000
        pair = np.sin(2 * np.pi * 770 * at) + np.sin(2 * np.pi * 1336 * at)
        octets = babble(2)
        octets[8000:9600] = companded((6000 * pair).astype(np.int16))
        id = vault.captured(capture(Phone().say(octets), added(0, "agent")))
        config = WorkerConfig(name="worker-1", idle_s=0.01, mute_tones=True)
        assert vault.worker(config=config).run_once()
        samples = decoded(vault, id)[0]

        assert not samples[8000:9600].any()
        assert np.array_equal(heard(octets)[:7600], samples[:7600])
        assert np.array_equal(heard(octets)[10_000:], samples[10_000:])

    def test_in_several_parts_is_one_recording(self, vault: Vault) -> None:
        """
        A new media worker opened part two and the kernel still held five packets
        that part one has already: they are heard once.
        """
        octets = babble(2)
        packets = Phone().say(octets)
        announced = added(0, "agent")
        id = vault.captured(
            capture(packets[:55], announced), capture(packets[50:], announced)
        )

        vault.worker().run_once()

        assert np.array_equal([heard(octets)], decoded(vault, id))
        assert vault.recordings.row(id).streams[0].packets_lost == 0


class TestM4aOnRequest:
    def test_is_made_beside_the_flac(self, vault: Vault) -> None:
        part, agent, _ = two_parties()
        id = vault.captured(part)
        worker = vault.worker()
        worker.run_once()
        assert vault.recordings.want(id, "audio/mp4")

        assert worker.run_once()
        samples = decoded(vault, id, "audio/mp4")

        assert not vault.recordings.want(id, "audio/mp4")
        assert RecordingState.READY == vault.recordings.row(id).state
        assert samples.shape[0] == 2
        assert abs(samples.shape[1] - 2 * len(agent)) < 2048

    def test_has_its_index_first(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        worker = vault.worker()
        worker.run_once()
        vault.recordings.want(id, "audio/mp4")
        worker.run_once()

        opened = vault.playback().open(vault.grant(id), media_type="audio/mp4")
        octets = b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))

        assert 0 < octets.find(b"moov") < octets.find(b"mdat")

    def test_that_nobody_makes_is_given_up(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        worker = vault.worker()
        worker.run_once()
        vault.recordings.want(id, "audio/ogg")

        assert worker.run_once()

        assert RecordingState.READY == vault.recordings.row(id).state


class TestACallThatIsNotWhole:
    def test_without_a_packet_failed_for_want_of_media(self, vault: Vault) -> None:
        id = vault.captured(added(0, "agent") + added(1, "customer"))

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.FAILED, Reason.NO_MEDIA) == (row.state, row.reason)
        assert vault.warden.actions()[-1] == "recording.failed"
        assert id in vault.warden.rows

    def test_with_a_wrong_srtp_key_is_partial_and_says_why(self, vault: Vault) -> None:
        bad = [
            Sent(each.at_ns, 0, each.octets, Kind.UNDECRYPTABLE)
            for each in Phone().say(babble(1))
        ]
        id = vault.captured(
            capture(bad, added(0, "agent")),
            streams=(counted(received=50, kept=50),),
        )

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert RecordingState.PARTIAL == row.state
        assert Reason.SRTP_UNAUTHENTICATED == row.reason
        assert row.streams[0].packets_undecryptable == 50
        assert "rendition/0001" not in vault.recordings.objects(id)

    def test_with_one_undecryptable_leg_plays_the_other(self, vault: Vault) -> None:
        octets = babble(2)
        bad = [
            Sent(each.at_ns, 1, each.octets, Kind.UNDECRYPTABLE)
            for each in Phone(stream=1).say(octets)
        ]
        id = vault.captured(
            capture(Phone().say(octets) + bad, added(0, "agent"), added(1, "customer")),
            streams=(
                counted(received=100, authentic=100),
                counted(1, "customer", received=100, kept=100),
            ),
        )

        vault.worker().run_once()
        row, samples = vault.recordings.row(id), decoded(vault, id)

        assert Reason.SRTP_UNAUTHENTICATED == row.reason
        assert np.array_equal(heard(octets), samples[0])
        assert not samples[1].any()

    def test_in_an_unknown_codec_is_partial_and_names_it(self, vault: Vault) -> None:
        phone = Phone(payload_type=96)
        id = vault.captured(
            capture(phone.say(babble(1)), added(0, "agent", payloads=(OPUS,)))
        )

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert Reason.CODEC_UNSUPPORTED == row.reason
        assert RecordingState.PARTIAL == row.state
        assert row.streams[0].codec == "opus"

    def test_that_timed_out_is_partial(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0], how=HowEnded.TIMEOUT)

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.PARTIAL, Reason.TIMEOUT) == (row.state, row.reason)

    def test_with_telephone_events_is_ready_and_silent_there(
        self, vault: Vault
    ) -> None:
        octets = babble(2)
        phone = Phone()
        packets = phone.say(octets[:8000])
        digits = Phone(payload_type=101, seq=phone.seq, timestamp=phone.timestamp).say(
            octets[8000:9600], at_s=1.0
        )
        phone.seq, phone.timestamp = phone.seq + len(digits), phone.timestamp + 1600
        packets += digits + phone.say(octets[9600:], at_s=1.2)
        id = vault.captured(
            capture(packets, added(0, "agent", payloads=(PCMU, EVENTS)))
        )

        vault.worker().run_once()
        expected = heard(octets).copy()
        expected[8000:9600] = 0

        assert np.array_equal([expected], decoded(vault, id))
        assert RecordingState.READY == vault.recordings.row(id).state


class TestACutPart:
    def test_is_recovered_up_to_its_last_whole_record(self, vault: Vault) -> None:
        octets = babble(8)
        part = capture(Phone().say(octets), added(0, "agent"))
        id = vault.captured(part, cut={1}, how=HowEnded.CUT)

        vault.worker().run_once()
        row, samples = vault.recordings.row(id), decoded(vault, id)

        whole = len(part) // CHUNK_SIZE * CHUNK_SIZE
        assert (RecordingState.PARTIAL, Reason.CUT) == (row.state, row.reason)
        assert samples.shape[1] < len(octets)
        assert samples.shape[1] > whole // 192 * 160 - 1600
        assert np.array_equal(heard(octets)[: samples.shape[1]], samples[0])

    def test_leaves_both_digests_in_one_leaf(self, vault: Vault) -> None:
        part = capture(Phone().say(babble(8)), added(0, "agent"))
        id = vault.captured(part, cut={1}, how=HowEnded.CUT)
        cut = vault.recordings.objects(id)["capture/0001.cut"]

        vault.worker().run_once()
        told = [
            tuple(draft.detail[name] for name in ("object", "cut_sha256", "sha256"))
            for draft in vault.warden.drafts
            if draft.action == "recording.recovered"
        ]

        after = vault.recordings.objects(id)
        recovered = after["capture/0001.recovered"]
        assert told == [(recovered.name, cut.sha256, recovered.sha256)]
        assert "capture/0001.cut" not in after
        assert vault.warden.releases == [(id, Purpose.RECOVER)]

    def test_plays_as_one_capture_with_the_part_behind_it(self, vault: Vault) -> None:
        packets = Phone().say(babble(10))
        first = capture(packets[:300], added(0, "agent"))
        second = capture(packets[300:], added(0, "agent"))
        id = vault.captured(first, second, cut={1}, how=HowEnded.CUT)

        vault.worker().run_once()
        opened = vault.playback().open(vault.grant(id, MediaPart.CAPTURE))
        octets = b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))

        assert octets.endswith(second)
        assert first.startswith(octets[: -len(second)])

    def test_on_either_side_of_a_whole_one_makes_one_call(self, vault: Vault) -> None:
        """
        Two workers died, and each successor's replay window was empty: it took what
        the first had written already, and what an attacker sent again (M7).
        """
        octets = babble(16)
        packets = Phone().say(octets)
        replays = [
            Sent(packets[n].at_ns + 3 * MS, 0, packets[n - 40].octets)
            for n in (260, 280, 520, 540)
        ]
        parts = [
            capture(packets[:260], added(0, "agent")),
            capture([*packets[258:520], *replays[:2]], added(0, "agent")),
            capture([*packets[500:], *replays[2:]], added(0, "agent")),
        ]
        id = vault.captured(*parts, cut={1, 3}, how=HowEnded.CUT)

        vault.worker().run_once()
        row, samples = vault.recordings.row(id), decoded(vault, id)
        sealed = vault.store.read(ObjectKey.of(id, "quality/0001"))
        quality = canonical.parse(
            open_sealed(
                sealed, key=vault.warden.keys[id], context=context(id, "quality/0001")
            )
        )

        # Of a part without its last chunk whole chunks are left, and whole records.
        starts = [0, 258, 500]
        kept = [
            (len(part) // CHUNK_SIZE * CHUNK_SIZE - len(added(0, "agent"))) // 192
            for part in parts
        ]
        lost = (kept[0] * 160, starts[1] * 160)
        stop = (starts[2] + kept[2] - len(replays[2:])) * 160
        expected = heard(octets)
        expected[lost[0] : lost[1]] = 0
        (stream,) = quality["streams"]
        assert (RecordingState.PARTIAL, Reason.CUT) == (row.state, row.reason)
        assert np.array_equal(expected[: samples.shape[1]], samples[0])
        assert abs(samples.shape[1] - stop) <= 2 * 160
        assert [
            "capture/0001.cut",
            "capture/0002",
            "capture/0003.cut",
        ] == [part["name"] for part in quality["parts"]]
        assert (stream["lost"], stream["duplicated"]) == (starts[1] - kept[0], 24)

    def test_recovered_by_an_attempt_that_died_is_taken_over(
        self, vault: Vault
    ) -> None:
        part = capture(Phone().say(babble(8)), added(0, "agent"))
        id = vault.captured(part, cut={1}, how=HowEnded.CUT)
        broken = _Trailless(vault)
        vault.worker(trail=broken).run_once()

        vault.worker().run_once()

        assert Reason.CUT == vault.recordings.row(id).reason


class _Trailless:
    """A trail that dies once, after everything was stored."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def append(self, *drafts: object) -> None:
        rows = self._vault.recordings
        for row in [rows.row(each) for each in self._vault.warden.keys]:
            rows.give_back(row.id, "worker-1", retry_after_s=-1)
        raise RuntimeError("killed here")


class TestDamage:
    @pytest.mark.parametrize("at", [0, 30, 60, -1])
    def test_in_the_only_part_fails_the_recording(self, vault: Vault, at: int) -> None:
        id = vault.captured(two_parties()[0])
        vault.damage(id, "capture/0001", at=at)

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.FAILED, Reason.STORE_DAMAGED) == (row.state, row.reason)
        assert "recording.damaged" in vault.warden.actions()

    def test_in_one_part_leaves_the_other_playable(self, vault: Vault) -> None:
        octets = babble(4)
        packets = Phone().say(octets)
        id = vault.captured(
            capture(packets[:100], added(0, "agent")),
            capture(packets[100:], added(0, "agent")),
        )
        vault.damage(id, "capture/0001", cut=1)

        vault.worker().run_once()
        row, samples = vault.recordings.row(id), decoded(vault, id)

        assert (RecordingState.PARTIAL, Reason.STORE_DAMAGED) == (row.state, row.reason)
        assert np.array_equal([heard(octets)[16000:]], samples)

    def test_of_the_manifest_is_never_believed(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        vault.damage(id, "manifest")

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.FAILED, Reason.STORE_DAMAGED) == (row.state, row.reason)
        assert vault.warden.releases == []

    def test_by_putting_another_calls_part_there_is_seen(self, vault: Vault) -> None:
        id, other = (vault.captured(two_parties()[0]) for _ in range(2))
        octets = vault.store.read(ObjectKey.of(other, "capture/0001"))
        vault.store.delete(ObjectKey.of(id, "capture/0001"))
        vault.put(id, "capture/0001", octets)

        worker = vault.worker()
        worker.run_once()
        worker.run_once()

        assert Reason.STORE_DAMAGED == vault.recordings.row(id).reason
        assert RecordingState.READY == vault.recordings.row(other).state

    def test_of_the_metadata_costs_the_metadata(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        vault.damage(id, "session/0001")

        vault.worker().run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.PARTIAL, Reason.STORE_DAMAGED) == (row.state, row.reason)
        assert id not in vault.warden.rows


class TestOutages:
    def test_of_the_warden_fails_nothing(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        vault.warden.down = True
        worker = vault.worker()

        with pytest.raises(AuditUnavailableError):
            worker.run_once()
        row = vault.recordings.row(id)

        assert (RecordingState.CAPTURED, 0) == (row.state, row.attempts)

    def test_leave_nothing_half_made_in_the_store(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        before = sorted(str(key) for key in vault.store.keys(f"{id}/"))

        vault.worker(rows=_Buggy()).run_once()

        assert before == sorted(str(key) for key in vault.store.keys(f"{id}/"))

    def test_end_by_themselves(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])
        vault.warden.down = True
        stop = threading.Event()
        thread = threading.Thread(target=vault.worker().run_forever, args=(stop,))
        thread.start()
        try:
            assert not stop.wait(0.1)
            vault.warden.down = False
            for _ in range(500):
                if vault.recordings.row(id).state == RecordingState.READY:
                    break
                stop.wait(0.02)
        finally:
            stop.set()
            thread.join()

        assert RecordingState.READY == vault.recordings.row(id).state

    def test_of_the_roster_are_no_damage(self, vault: Vault) -> None:
        id = vault.captured(two_parties()[0])

        with pytest.raises(Exception, match="roster"):
            vault.worker(tap_keys=dict).run_once()

        assert RecordingState.CAPTURED == vault.recordings.row(id).state


class _Buggy:
    def seal_row(self, *_: object, **__: object) -> None:
        raise RuntimeError("a bug")


def test_packets_of_20_ms_and_60_ms_lie_side_by_side(vault: Vault) -> None:
    octets = babble(3)
    packets = Phone(stream=0, ptime_ms=20, delay_ns=3 * MS).say(octets)
    packets += Phone(stream=1, ptime_ms=60, delay_ns=3 * MS).say(octets)
    id = vault.captured(capture(packets, added(0, "agent"), added(1, "customer")))

    vault.worker().run_once()
    samples = decoded(vault, id)

    assert np.array_equal(samples[0], samples[1])
