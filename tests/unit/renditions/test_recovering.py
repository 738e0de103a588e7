"""Late keys against a real store and catalog, with a warden in memory."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.calls import (
    MS,
    Phone,
    Sent,
    Vault,
    added,
    babble,
    capture,
    counted,
    heard,
)
from tests.simulators.hearing import decoded
from vault.core import canonical
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    GoneError,
    NotReadyError,
    SealBrokenError,
)
from vault.core.flow import (
    Actor,
    ActorKind,
    Caller,
    Purpose,
    Reason,
    RecordingState,
)
from vault.core.ids import RecordingId
from vault.core.media import SrtpSuite
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.renditions.deposit import AddendumKey
from vault.renditions.late_keys import LateKeys
from vault.renditions.recovering import Opened, Recovery
from vault.sealing.chunks import CHUNK_SIZE, context
from vault.sealing.manifest import verify_addendum
from vault.sealing.reader import open_sealed
from vault.tap.capture import Kind
from vault.tap.srtp import OutboundSession

SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
OPERATOR = Caller(actor=Actor(kind=ActorKind.OPERATOR, id="1000"))
KEY = SecretBytes(bytes(range(30)))
WRONG = SecretBytes(bytes(30))


def locked(packets: Sequence[Sent], key: SecretBytes = KEY) -> list[Sent]:
    """Return *packets* as the tap keeps what it cannot open."""
    session = OutboundSession(SUITE, key)
    return [
        replace(one, octets=session.protect(one.octets), kind=Kind.UNDECRYPTABLE)
        for one in packets
    ]


def late(key: SecretBytes = KEY, stream: str = "*") -> LateKeys:
    inline = base64.b64encode(key.reveal()).decode()
    return LateKeys.parse(f"{stream} {SUITE} inline:{inline}".encode())


def recovery(vault: Vault) -> Recovery:
    return Recovery(
        catalog=vault.recordings,
        store=vault.store,
        keys=vault.warden,
        trail=vault.warden,
        signer=AddendumKey(name="worker-1", private=vault.worker_key),
        tap_keys=lambda: {"tap-1": vault.tap_key.public_key().public_bytes_raw()},
    )


def audio(vault: Vault, id: RecordingId, media_type: str | None = None) -> np.ndarray:
    opened = vault.playback().open(vault.grant(id), media_type=media_type)
    return decoded(b"".join(opened.stream(ByteRange(start=0, stop=opened.size))))


def quality(vault: Vault, id: RecordingId) -> dict:
    newest = max(n for n in vault.recordings.objects(id) if n.startswith("quality/"))
    sealed = vault.store.read(ObjectKey.of(id, newest))
    key = vault.warden.keys[id]
    return canonical.parse(open_sealed(sealed, key=key, context=context(id, newest)))


@pytest.fixture
def agent() -> np.ndarray:
    return babble(3, seed=1)


@pytest.fixture
def customer() -> np.ndarray:
    return babble(3, seed=2)


@pytest.fixture
def locked_call(vault: Vault, agent: np.ndarray, customer: np.ndarray) -> RecordingId:
    """A call of which only the agent could be opened, rendered."""
    packets = Phone(stream=0, ssrc=1).say(agent)
    packets += locked(Phone(stream=1, ssrc=2).say(customer))
    id = vault.captured(
        capture(packets, added(0, "agent"), added(1, "customer")),
        streams=(
            counted(received=150, authentic=150),
            counted(1, "customer", received=150, authentic=0, kept=150),
        ),
    )
    vault.worker().run_once()
    return id


class TestTheRightKey:
    def test_makes_a_partial_call_ready_and_both_are_heard(
        self,
        vault: Vault,
        locked_call: RecordingId,
        agent: np.ndarray,
        customer: np.ndarray,
    ) -> None:
        before = vault.recordings.row(locked_call)

        opened = recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
        meanwhile = vault.recordings.row(locked_call)
        half = audio(vault, locked_call)
        worked = vault.worker().run_once()
        after = vault.recordings.row(locked_call)
        whole = audio(vault, locked_call)

        assert Opened(recovered=150, undecryptable=0) == opened
        partial = (RecordingState.PARTIAL, Reason.SRTP_UNAUTHENTICATED)
        assert [partial, partial, (RecordingState.READY, None)] == [
            (row.state, row.reason) for row in (before, meanwhile, after)
        ]
        assert worked
        assert (after.wanted, after.worker, after.attempts) == ((), None, 0)
        assert np.array_equal(heard(agent), half[0])
        assert not half[1].any()
        assert np.array_equal([heard(agent), heard(customer)], whole)

    def test_is_counted_in_row_and_certificate(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
        vault.worker().run_once()

        streams = vault.recordings.row(locked_call).streams
        certified = quality(vault, locked_call)["streams"]

        assert [(150, 0, {}), (150, 0, {})] == [
            (s.packets_authentic, s.packets_undecryptable, dict(s.packets_rejected))
            for s in streams
        ]
        assert [(150, 0, 0, 0), (150, 150, 0, 0)] == [
            (s["received"], s["recovered"], s["undecryptable"], s["lost"])
            for s in certified
        ]

    def test_is_sealed_signed_for_and_on_the_trail_before_it_is_used(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        told = len(vault.warden.drafts)

        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)

        stored = vault.recordings.objects(locked_call)["srtp/0001"]
        sealed = vault.store.read(ObjectKey.of(locked_call, "srtp/0001"))
        addendum = verify_addendum(
            vault.store.read(ObjectKey.of(locked_call, "addendum/0004")),
            {"worker-1": vault.worker_key.public_key().public_bytes_raw()},
        )
        (leaf,) = vault.warden.drafts[told:]
        assert late().padded() == open_sealed(
            sealed,
            key=vault.warden.keys[locked_call],
            context=context(locked_call, "srtp/0001"),
        )
        assert KEY.reveal() not in sealed
        assert ("srtp/0001", stored.sha256) == (
            addendum.object.name,
            addendum.object.sha256.hex(),
        )
        assert ("recording.recovered", OPERATOR, "srtp/0001", stored.sha256, 150) == (
            leaf.action,
            leaf.caller,
            leaf.detail["object"],
            leaf.detail["sha256"],
            leaf.detail["count"],
        )
        assert vault.warden.releases[-1] == (locked_call, Purpose.RECOVER)

    def test_renews_every_format_that_there_was(
        self, vault: Vault, locked_call: RecordingId, customer: np.ndarray
    ) -> None:
        vault.recordings.want(locked_call, "audio/mp4")
        vault.worker().run_once()

        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
        vault.worker().run_once()

        current = vault.recordings.objects(locked_call)
        assert {"audio/flac": "rendition/0003", "audio/mp4": "rendition/0004"} == {
            one.media_type: name
            for name, one in current.items()
            if one.kind == "rendition"
        }

    def test_is_used_by_formats_that_are_asked_for_later(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
        vault.worker().run_once()
        vault.recordings.want(locked_call, "audio/mp4")

        vault.worker().run_once()

        peer = vault.playback().open(vault.grant(locked_call), media_type="audio/mp4")
        assert peer.size > 0
        assert vault.recordings.row(locked_call).wanted == ()

    def test_brings_a_failed_call_back(
        self, vault: Vault, customer: np.ndarray
    ) -> None:
        id = vault.captured(
            capture(locked(Phone().say(customer)), added(0, "customer"))
        )
        vault.worker().run_once()
        with vault.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE recording SET state='failed', reason='srtp-unauthenticated'"
            )

        recovery(vault).hand_in(id, late(), caller=OPERATOR)
        vault.worker().run_once()

        assert RecordingState.READY == vault.recordings.row(id).state
        assert np.array_equal(heard(customer), audio(vault, id)[0])

    def test_opens_what_survived_of_a_cut_part(
        self, vault: Vault, customer: np.ndarray
    ) -> None:
        part = capture(locked(Phone().say(customer)), added(0, "customer"))
        id = vault.captured(part[: CHUNK_SIZE + 5], cut=[1])
        vault.worker().run_once()
        before = vault.recordings.objects(id)

        opened = recovery(vault).hand_in(id, late(), caller=OPERATOR)
        vault.worker().run_once()

        whole = (CHUNK_SIZE - len(added(0, "customer"))) // (20 + 12 + 160 + 10)
        row = vault.recordings.row(id)
        assert Opened(recovered=whole, undecryptable=0) == opened
        assert row.duration_ms == 20 * whole
        assert "capture/0001.recovered" in before

    def test_of_half_the_packets_opens_half_and_counts_the_rest(
        self, vault: Vault, agent: np.ndarray
    ) -> None:
        phone = Phone()
        packets = locked(phone.say(agent)) + locked(
            phone.say(agent, at_s=3), SecretBytes(secrets.token_bytes(30))
        )
        id = vault.captured(capture(packets, added(0, "agent")))
        vault.worker().run_once()

        opened = recovery(vault).hand_in(id, late(), caller=OPERATOR)
        vault.worker().run_once()

        row = vault.recordings.row(id)
        assert Opened(recovered=150, undecryptable=150) == opened
        assert (RecordingState.PARTIAL, Reason.SRTP_UNAUTHENTICATED, 3000) == (
            row.state,
            row.reason,
            row.duration_ms,
        )

    def test_takes_its_place_among_what_was_authentic(
        self, vault: Vault, agent: np.ndarray
    ) -> None:
        """A key that changed in the call: the middle third came under a new one."""
        packets = Phone().say(agent)
        packets[50:100] = locked(packets[50:100])
        packets[60] = replace(packets[60], at_ns=packets[60].at_ns + 45 * MS)
        again = replace(packets[70], at_ns=packets[70].at_ns + MS)
        id = vault.captured(capture([*packets, again], added(0, "agent")))
        vault.worker().run_once()

        recovery(vault).hand_in(id, late(), caller=OPERATOR)
        vault.worker().run_once()

        (stream,) = quality(vault, id)["streams"]
        assert np.array_equal(heard(agent), audio(vault, id)[0])
        assert (151, 51, 1, 1, 0) == tuple(
            stream[name]
            for name in ("received", "recovered", "duplicated", "reordered", "lost")
        )


class TestTheWrongKey:
    def test_is_refused_and_changes_nothing_but_the_trail(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        before = vault.recordings.objects(locked_call)

        with pytest.raises(ConflictError, match="150 packets"):
            recovery(vault).hand_in(locked_call, late(WRONG), caller=OPERATOR)

        leaf = vault.warden.drafts[-1]
        assert before == vault.recordings.objects(locked_call)
        assert vault.recordings.row(locked_call).wanted == ()
        assert not vault.worker().run_once()
        assert ("recording.recovered", "refused", "srtp-unauthenticated", 150) == (
            leaf.action,
            leaf.result,
            leaf.reason,
            leaf.detail["count"],
        )

    def test_is_not_better_than_the_right_one_for_another_stream(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        with pytest.raises(ConflictError):
            recovery(vault).hand_in(locked_call, late(stream="agent"), caller=OPERATOR)

    def test_for_a_stream_that_there_is_not_is_told_what_there_is(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        with pytest.raises(ConflictError, match="called agnet: there are agent"):
            recovery(vault).hand_in(locked_call, late(stream="agnet"), caller=OPERATOR)

    def test_that_was_used_before_opens_nothing_more(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)

        with pytest.raises(ConflictError, match="no packet of this recording waits"):
            recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)


class TestNothingIsDone:
    def test_while_the_trail_is_down(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        vault.warden.down = True

        with pytest.raises(AuditUnavailableError):
            recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)

        keys = [str(key) for key in vault.store.keys(f"{locked_call}/srtp/")]
        assert keys == []

    def test_before_the_call_was_rendered(self, vault: Vault) -> None:
        id = vault.captured(capture(locked(Phone().say(babble(1))), added(0, "agent")))

        with pytest.raises(NotReadyError):
            recovery(vault).hand_in(id, late(), caller=OPERATOR)

    def test_after_it_was_erased(self, vault: Vault, locked_call: RecordingId) -> None:
        with vault.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE recording SET state='shredded'")

        with pytest.raises(GoneError):
            recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)

    def test_where_the_capture_is_damaged(
        self, vault: Vault, locked_call: RecordingId
    ) -> None:
        vault.damage(locked_call, "capture/0001")

        with pytest.raises(SealBrokenError):
            recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)

    def test_by_a_worker_that_finds_the_keys_damaged(
        self, vault: Vault, locked_call: RecordingId, agent: np.ndarray
    ) -> None:
        recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
        vault.damage(locked_call, "srtp/0001")

        vault.worker().run_once()

        row = vault.recordings.row(locked_call)
        assert RecordingState.PARTIAL == row.state
        assert "rendition/0002" not in vault.recordings.objects(locked_call)
        assert np.array_equal(heard(agent), audio(vault, locked_call)[0])


def test_keys_that_come_while_a_worker_revises_are_not_forgotten(
    vault: Vault, locked_call: RecordingId
) -> None:
    recovery(vault).hand_in(locked_call, late(), caller=OPERATOR)
    first = vault.recordings.row(locked_call).wanted
    with vault.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO wanted_format SELECT id, "
            "'application/vnd.callvault.revision.0002' FROM recording"
        )
    vault.recordings.finish(locked_call, state=RecordingState.READY, fulfils=first)

    left = vault.recordings.row(locked_call).wanted

    assert left == ("application/vnd.callvault.revision.0002",)
