from collections.abc import Callable

import pytest
from sqlalchemy import Engine, delete, update

from vault.catalog.claims import MAX_ATTEMPTS
from vault.catalog.envelopes import Envelopes
from vault.catalog.recordings import Recordings
from vault.catalog.rows import Rows
from vault.catalog.tables import ENVELOPE, RECORDING
from vault.catalog.values import REVISION, OpenRecording, StoredObject
from vault.core.errors import (
    ConflictError,
    GoneError,
    InvalidInputError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
)
from vault.core.flow import HowEnded, Reason, RecordingState, StreamStatus
from vault.core.ids import DeviceId, RecordingId, new_recording_id
from vault.database.engine import transaction
from vault.trust.interfaces import IndexToken, SealedRow

Order = Callable[..., OpenRecording]
Capture = Callable[[RecordingId], None]
NewObject = Callable[..., StoredObject]

SEALED = SealedRow(sealed=b"s" * 300, wrapped_key=b"w" * 60, key_id="catalog-2026-11")


def put_state(engine: Engine, recording_id: RecordingId, state: RecordingState) -> None:
    with transaction(engine) as connection:
        connection.execute(
            update(RECORDING)
            .where(RECORDING.c.id == recording_id)
            .values(state=str(state))
        )


class TestOpen:
    def test_a_call_that_starts_has_a_row_and_an_envelope(
        self, recordings: Recordings, catalog_engine: Engine, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)

        row = recordings.row(order.id)
        assert (RecordingState.RECORDING, order.workgroup_id, "2026-11-23") == (
            row.state,
            row.workgroup_id,
            row.day,
        )
        assert order.envelope == Envelopes(catalog_engine).read(order.id)

    def test_opening_again_changes_nothing(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)
        before = recordings.row(order.id)
        recordings.open(order)

        assert before == recordings.row(order.id)

    def test_calls_are_opened_together_beside_one_that_was_shredded(
        self, recordings: Recordings, catalog_engine: Engine, new_order: Order
    ) -> None:
        known, *new = new_order(), new_order(), new_order()
        recordings.open(known)
        with transaction(catalog_engine) as connection:
            connection.execute(
                delete(ENVELOPE).where(ENVELOPE.c.recording_id == known.id)
            )
        recordings.open(new[0], known, new[1])

        envelopes = Envelopes(catalog_engine)
        assert [one.envelope for one in new] == [envelopes.read(one.id) for one in new]
        assert [one.kid for one in new] == [recordings.row(one.id).kid for one in new]
        with pytest.raises(NotFoundError):
            envelopes.read(known.id)

    def test_one_that_is_refused_leaves_nothing_of_those_beside_it(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        known, new = new_order(), new_order()
        recordings.open(known)

        with pytest.raises(ConflictError):
            recordings.open(new, new_order(known.id, device=DeviceId("another")))
        with pytest.raises(NotFoundError):
            recordings.row(new.id)

    def test_an_id_that_another_device_uses_is_a_conflict(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)

        with pytest.raises(ConflictError):
            recordings.open(new_order(order.id, device=DeviceId("another")))

    def test_a_late_repetition_brings_no_shredded_envelope_back(
        self, recordings: Recordings, catalog_engine: Engine, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)
        with transaction(catalog_engine) as connection:
            connection.execute(
                delete(ENVELOPE).where(ENVELOPE.c.recording_id == order.id)
            )
        put_state(catalog_engine, order.id, RecordingState.SHREDDED)
        recordings.open(order)

        with pytest.raises(NotFoundError):
            Envelopes(catalog_engine).read(order.id)

    def test_a_day_that_is_none_is_refused(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        with pytest.raises(InvalidInputError):
            recordings.open(new_order(day="23.11.2026"))


class TestCaptured:
    def test_a_shipped_call_is_captured_with_its_objects(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        order = new_order()
        recordings.open(order)
        capture(order.id)

        row = recordings.row(order.id)
        assert (RecordingState.CAPTURED, HowEnded.BYE, 16_456) == (
            row.state,
            row.how,
            row.size_bytes,
        )
        assert ["capture/0001", "manifest"] == list(recordings.objects(order.id))

    def test_a_call_that_was_shipped_before_it_was_opened_ends_the_same(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        first, second = new_order(), new_order()
        recordings.open(first)
        capture(first.id)
        capture(second.id)
        recordings.open(second)

        expected, actual = recordings.row(first.id), recordings.row(second.id)
        assert (
            expected.state,
            expected.workgroup_id,
            expected.day,
            expected.kid,
        ) == (actual.state, actual.workgroup_id, actual.day, actual.kid)

    def test_repeating_it_changes_nothing_even_after_rendering(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        order = new_order()
        recordings.open(order)
        capture(order.id)
        recordings.claim_for_rendering("w", 60)
        recordings.finish(order.id, state=RecordingState.READY)
        capture(order.id)

        assert recordings.row(order.id).state is RecordingState.READY

    def test_another_manifest_is_a_conflict(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        order = new_order()
        recordings.open(order)
        capture(order.id)

        with pytest.raises(ConflictError):
            recordings.captured(
                order.id,
                objects=[],
                size_bytes=0,
                manifest_sha256="c" * 64,
                how=HowEnded.BYE,
            )

    def test_a_label_with_a_number_in_it_does_not_reach_the_row(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)
        recordings.captured(
            order.id,
            objects=[],
            size_bytes=0,
            manifest_sha256="b" * 64,
            how=HowEnded.BYE,
            summary=[
                StreamStatus(
                    label="agent",
                    codec="PCMA",
                    suite="AEAD_AES_256_GCM",
                    packets_received=3,
                    packets_rejected={"replay": 1, "+4989123456": 1},
                    local_port=40000,
                ),
                StreamStatus(label="+4989123456", codec="4989", suite="x"),
            ],
        )

        assert (
            StreamStatus(
                label="agent",
                codec="PCMA",
                suite="AEAD_AES_256_GCM",
                packets_received=3,
                packets_rejected={"replay": 1},
            ),
            StreamStatus(label="stream2", codec="unknown", suite="unknown"),
        ) == recordings.row(order.id).streams

    def test_a_call_without_media_stays_failed_when_its_manifest_comes(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> None:
        order = new_order()
        recordings.open(order)
        recordings.fail(order.id, Reason.NO_MEDIA)
        capture(order.id)

        row = recordings.row(order.id)
        assert (RecordingState.FAILED, Reason.NO_MEDIA, "b" * 64) == (
            row.state,
            row.reason,
            row.manifest_sha256,
        )


class TestFinish:
    @pytest.fixture
    def claimed(
        self, recordings: Recordings, new_order: Order, capture: Capture
    ) -> RecordingId:
        order = new_order()
        recordings.open(order)
        capture(order.id)
        recordings.claim_for_rendering("w", 60)
        return order.id

    def test_state_objects_metadata_and_tokens_come_together(
        self,
        recordings: Recordings,
        catalog_engine: Engine,
        claimed: RecordingId,
        new_object: NewObject,
    ) -> None:
        flac = new_object("rendition/0001", media_type="audio/flac")
        recordings.finish(
            claimed,
            state=RecordingState.READY,
            objects=[flac],
            metadata=SEALED,
            tokens=[IndexToken(field="caller", month="2026-11", token=b"12345678")],
            duration_ms=20_000,
            month="2026-11",
            worker="w",
        )

        row = recordings.row(claimed)
        assert (RecordingState.READY, None, 20_000, 0) == (
            row.state,
            row.worker,
            row.duration_ms,
            row.attempts,
        )
        assert flac == recordings.objects(claimed)["rendition/0001"]
        assert {claimed: SEALED} == Rows(catalog_engine).sealed([claimed])

    def test_a_lost_lease_writes_nothing(
        self, recordings: Recordings, claimed: RecordingId
    ) -> None:
        with pytest.raises(ConflictError):
            recordings.finish(claimed, state=RecordingState.READY, worker="other")

        assert recordings.row(claimed).state is RecordingState.RENDERING

    def test_a_newer_rendition_replaces_the_older_of_its_type_only(
        self, recordings: Recordings, claimed: RecordingId, new_object: NewObject
    ) -> None:
        recordings.finish(
            claimed,
            state=RecordingState.READY,
            objects=[
                new_object("rendition/0001", media_type="audio/flac"),
                new_object("rendition/0002", media_type="audio/mp4"),
                new_object("rendition/0003", media_type="audio/flac"),
            ],
        )

        assert ["capture/0001", "manifest", "rendition/0002", "rendition/0003"] == list(
            recordings.objects(claimed)
        )

    def test_a_superseded_object_cannot_be_put_back(
        self, recordings: Recordings, claimed: RecordingId, new_object: NewObject
    ) -> None:
        old = new_object("rendition/0001", media_type="audio/flac")
        new = new_object("rendition/0002", media_type="audio/flac")
        recordings.finish(claimed, state=RecordingState.READY, objects=[old, new])
        recordings.finish(claimed, state=RecordingState.READY, objects=[old])

        assert "rendition/0001" not in recordings.objects(claimed)

    def test_a_recovered_part_replaces_the_cut_one(
        self, recordings: Recordings, claimed: RecordingId, new_object: NewObject
    ) -> None:
        recordings.finish(
            claimed,
            state=RecordingState.PARTIAL,
            reason=Reason.CUT,
            objects=[
                new_object("capture/0002.cut"),
                new_object("capture/0002.recovered"),
            ],
        )

        assert ["capture/0001", "capture/0002.recovered", "manifest"] == list(
            recordings.objects(claimed)
        )

    def test_a_name_with_other_octets_is_a_conflict_and_changes_nothing(
        self, recordings: Recordings, claimed: RecordingId, new_object: NewObject
    ) -> None:
        with pytest.raises(ConflictError):
            recordings.finish(
                claimed,
                state=RecordingState.READY,
                objects=[new_object("capture/0001", fill="e")],
            )

        assert recordings.row(claimed).state is RecordingState.RENDERING

    def test_a_token_of_another_month_is_refused(
        self, recordings: Recordings, claimed: RecordingId
    ) -> None:
        with pytest.raises(InvalidInputError):
            recordings.finish(
                claimed,
                state=RecordingState.READY,
                month="2026-11",
                tokens=[IndexToken(field="caller", month="2026-10", token=b"12345678")],
            )

    def test_an_attempt_cannot_end_in_a_state_of_the_tap(
        self, recordings: Recordings, claimed: RecordingId
    ) -> None:
        with pytest.raises(ValueError, match="captured"):
            recordings.finish(claimed, state=RecordingState.CAPTURED)

    def test_a_screen_is_noticed(
        self, recordings: Recordings, claimed: RecordingId, new_object: NewObject
    ) -> None:
        recordings.finish(
            claimed,
            state=RecordingState.READY,
            objects=[new_object("rendition/0001", media_type="video/mp4")],
        )

        assert recordings.row(claimed).has_screen

    def test_a_playable_recording_cannot_be_made_to_fail(
        self, recordings: Recordings, claimed: RecordingId
    ) -> None:
        recordings.finish(claimed, state=RecordingState.READY)

        with pytest.raises(ConflictError):
            recordings.fail(claimed, Reason.STORE_DAMAGED)


class TestFail:
    def test_the_first_reason_stays(
        self, recordings: Recordings, new_order: Order
    ) -> None:
        order = new_order()
        recordings.open(order)
        recordings.fail(order.id, Reason.NO_MEDIA)
        recordings.fail(order.id, Reason.TIMEOUT)

        assert recordings.row(order.id).reason is Reason.NO_MEDIA

    def test_an_unknown_recording_is_not_found(self, recordings: Recordings) -> None:
        with pytest.raises(NotFoundError):
            recordings.fail(new_recording_id(), Reason.NO_MEDIA)


class TestWant:
    def test_a_wish_is_claimed_while_the_recording_stays_ready(
        self,
        recordings: Recordings,
        new_order: Order,
        capture: Capture,
        new_object: NewObject,
    ) -> None:
        order = new_order()
        recordings.open(order)
        capture(order.id)
        recordings.claim_for_rendering("w", 60)
        recordings.finish(
            order.id,
            state=RecordingState.READY,
            objects=[new_object("rendition/0001", media_type="audio/flac")],
        )

        assert recordings.claim_for_rendering("w", 60) is None
        assert not recordings.want(order.id, "audio/flac")
        assert recordings.want(order.id, "audio/mp4")
        assert recordings.want(order.id, "audio/mp4")
        claimed = recordings.claim_for_rendering("w", 60)
        assert claimed is not None
        assert (RecordingState.READY, ("audio/mp4",)) == (claimed.state, claimed.wanted)

        recordings.finish(
            order.id,
            state=RecordingState.READY,
            objects=[new_object("rendition/0002", media_type="audio/mp4")],
            worker="w",
        )
        assert recordings.row(order.id).wanted == ()
        assert recordings.claim_for_rendering("w", 60) is None

    @pytest.mark.parametrize(
        ("state", "error"),
        [
            (RecordingState.RECORDING, NotReadyError),
            (RecordingState.CAPTURED, NotReadyError),
            (RecordingState.RENDERING, NotReadyError),
            (RecordingState.FAILED, NoMediaError),
            (RecordingState.EXPIRED, GoneError),
            (RecordingState.SHREDDED, GoneError),
        ],
    )
    def test_what_cannot_be_played_cannot_be_converted(
        self,
        recordings: Recordings,
        catalog_engine: Engine,
        new_order: Order,
        state: RecordingState,
        error: type[Exception],
    ) -> None:
        order = new_order()
        recordings.open(order)
        put_state(catalog_engine, order.id, state)

        with pytest.raises(error):
            recordings.want(order.id, "audio/mp4")


class TestRevise:
    KEYS = "application/vnd.callvault.srtp-keys"
    WISH = f"{REVISION}.0001"

    @pytest.fixture
    def settled(
        self,
        recordings: Recordings,
        catalog_engine: Engine,
        new_order: Order,
        capture: Capture,
        new_object: NewObject,
    ) -> Callable[[RecordingState], RecordingId]:
        def make(state: RecordingState) -> RecordingId:
            order = new_order()
            recordings.open(order)
            capture(order.id)
            put_state(catalog_engine, order.id, state)
            recordings.revise(order.id, [new_object("srtp/0001", media_type=self.KEYS)])
            return order.id

        return make

    @pytest.mark.parametrize(
        "before", [RecordingState.READY, RecordingState.PARTIAL, RecordingState.FAILED]
    )
    @pytest.mark.parametrize("after", [RecordingState.READY, RecordingState.PARTIAL])
    def test_it_stays_as_it_is_until_the_result_is_there(
        self,
        recordings: Recordings,
        settled: Callable[[RecordingState], RecordingId],
        new_object: NewObject,
        before: RecordingState,
        after: RecordingState,
    ) -> None:
        id = settled(before)

        claimed = recordings.claim_for_rendering("w", 60)
        meanwhile = recordings.row(id).state
        flac = new_object("rendition/0002", media_type="audio/flac")
        recordings.finish(
            id,
            state=after,
            reason=Reason.SRTP_UNAUTHENTICATED,
            objects=[flac],
            worker="w",
            fulfils=[self.WISH],
        )

        row = recordings.row(id)
        assert claimed is not None
        assert (id, (self.WISH,)) == (claimed.id, claimed.wanted)
        assert before == meanwhile
        assert (after, Reason.SRTP_UNAUTHENTICATED, (), None, 0) == (
            row.state,
            row.reason,
            row.wanted,
            row.worker,
            row.attempts,
        )
        assert {"srtp/0001", "rendition/0002"} <= recordings.objects(id).keys()
        assert recordings.claim_for_rendering("w", 60) is None

    def test_an_attempt_that_fails_leaves_it_as_it_was(
        self,
        recordings: Recordings,
        settled: Callable[[RecordingState], RecordingId],
    ) -> None:
        id = settled(RecordingState.FAILED)
        for _ in range(MAX_ATTEMPTS):
            assert recordings.claim_for_rendering("w", 60) is not None
            recordings.give_back(id, "w", retry_after_s=-1)

        row = recordings.row(id)
        assert (RecordingState.FAILED, None, ()) == (row.state, row.worker, row.wanted)
        assert recordings.claim_for_rendering("w", 60) is None

    def test_keys_are_added_and_none_is_superseded(
        self,
        recordings: Recordings,
        settled: Callable[[RecordingState], RecordingId],
        new_object: NewObject,
    ) -> None:
        id = settled(RecordingState.PARTIAL)

        recordings.revise(id, [new_object("srtp/0002", media_type=self.KEYS)])

        assert (self.WISH, f"{REVISION}.0002") == recordings.row(id).wanted
        assert {"srtp/0001", "srtp/0002"} <= recordings.objects(id).keys()

    @pytest.mark.parametrize(
        ("state", "error"),
        [
            (RecordingState.RECORDING, NotReadyError),
            (RecordingState.CAPTURED, NotReadyError),
            (RecordingState.RENDERING, NotReadyError),
            (RecordingState.EXPIRED, GoneError),
            (RecordingState.SHREDDED, GoneError),
        ],
    )
    def test_what_is_not_settled_cannot_be_made_anew(
        self,
        settled: Callable[[RecordingState], RecordingId],
        state: RecordingState,
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            settled(state)

    def test_a_revision_never_ends_as_failed(
        self,
        recordings: Recordings,
        settled: Callable[[RecordingState], RecordingId],
    ) -> None:
        id = settled(RecordingState.PARTIAL)

        with pytest.raises(ValueError, match="played"):
            recordings.finish(id, state=RecordingState.FAILED, fulfils=[self.WISH])


def test_counts_name_every_state(recordings: Recordings, new_order: Order) -> None:
    recordings.open(new_order())

    assert {
        state: int(state is RecordingState.RECORDING) for state in RecordingState
    } == recordings.counts()


def test_more_sealed_rows_than_the_warden_opens_are_refused(
    catalog_engine: Engine,
) -> None:
    with pytest.raises(InvalidInputError):
        Rows(catalog_engine).sealed([new_recording_id() for _ in range(201)])


def test_no_ids_are_no_rows(catalog_engine: Engine) -> None:
    assert {} == Rows(catalog_engine).sealed([])
