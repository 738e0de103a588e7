import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.simulators.warden import MONTH, USER, WORKER, CatalogInMemory, Trail
from vault.audit.entry import Action, Draft
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.audit.texts import open_text
from vault.core import canonical
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    DatabaseUnavailableError,
    InvalidInputError,
    KeyUnavailableError,
    NotFoundError,
    SealBrokenError,
    ThrottledError,
)
from vault.core.flow import Actor, ActorKind, Caller, Purpose
from vault.core.ids import GrantId, RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing.keyring import Keyring
from vault.trust import answers
from vault.trust import messages as m
from vault.trust.interfaces import SealedRow
from vault.trust.shapes import Members
from vault.warden.leaves import text_key
from vault.warden.roles import Role
from vault.warden.service import WardenParts, WardenService
from vault.warden.writer import LeafWriter

DEK = SecretBytes(b"7" * 32)
SOON_S = 30.0


class Clock:
    """The monotonic clock, which a test may move on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(log: AuditLog, clock: Clock) -> Iterator[LeafWriter]:
    writer = LeafWriter(log, monotonic=clock)
    writer.start()
    yield writer
    writer.stop()


@pytest.fixture
def service(
    keyring: Keyring,
    catalog: CatalogInMemory,
    reader: TrailReader,
    writer: LeafWriter,
    clock: Clock,
) -> WardenService:
    parts = WardenParts(
        keys=keyring, envelopes=catalog, rows=catalog, trail=reader, monotonic=clock
    )
    return WardenService(parts, writer)


@pytest.fixture
def recording(keyring: Keyring, catalog: CatalogInMemory) -> RecordingId:
    return catalog.add(keyring, DEK)


def ask(
    service: WardenService, role: Role, request: m.Request, *, within_s: float = SOON_S
) -> Members:
    deadline_s = service._monotonic() + within_s
    return Members(service.answer(role, request, deadline_s=deadline_s))


def play(recording: RecordingId, **members: object) -> m.ReleaseRequest:
    base = m.ReleaseRequest(
        recording_id=recording,
        caller=USER,
        purpose=Purpose.PLAY,
        grant=GrantId("grant-1"),
        right="recording:media:play",
    )
    return replace(base, **members)


class TestAppend:
    def test_drafts_become_leaves_in_order(
        self, service: WardenService, trail: Trail
    ) -> None:
        drafts = tuple(
            Draft(action=Action.RECORDING_LISTED, caller=USER, detail={"count": n})
            for n in range(3)
        )
        ask(service, Role.WEB, m.AppendRequest(drafts=drafts))
        leaves = trail.of("recording.listed")

        assert [each["detail"]["count"] for each in leaves] == [0, 1, 2]
        assert {each["via"] for each in leaves} == {"web"}

    def test_a_draft_that_must_not_be_logged_writes_none_of_its_call(
        self, service: WardenService, trail: Trail
    ) -> None:
        good = Draft(action=Action.RECORDING_LISTED, caller=USER)
        bad = replace(good, detail={"phone": "0301234567"})

        with pytest.raises(InvalidInputError):
            ask(service, Role.WEB, m.AppendRequest(drafts=(good, bad)))
        assert trail.of("recording.listed") == []

    def test_a_late_entry_delivered_twice_is_there_once(
        self, service: WardenService, trail: Trail
    ) -> None:
        late = [
            Draft(
                action=Action.RECORDING_CAPTURED,
                caller=USER,
                source="tap-1",
                source_seq=seq,
            )
            for seq in (1, 2, 3)
        ]
        ask(service, Role.TAP, m.AppendRequest(drafts=(late[0], late[1])))
        ask(service, Role.TAP, m.AppendRequest(drafts=tuple(late)))

        assert [each["seq"] for each in trail.of("recording.captured")] == [1, 2, 3]

    def test_a_process_that_may_not_append_this_leaves_a_leaf(
        self, service: WardenService, trail: Trail
    ) -> None:
        forged = Draft(action=Action.RECORDING_KEY_RELEASED, caller=USER)

        with pytest.raises(AccessDeniedError):
            ask(service, Role.WEB, m.AppendRequest(drafts=(forged,)))
        assert trail.of("recording.key.released") == []
        assert [each["reason"] for each in trail.of("access.refused")] == ["role"]


class TestTexts:
    def test_what_was_typed_is_read_back_after_a_leaf_that_says_so(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        ask(service, Role.WEB, play(recording, reason="Frau Müller klagt"))
        (leaf,) = trail.of("recording.key.released")
        place = trail.entries().index(leaf)
        wanted = m.TextsRequest(caller=USER, index=place, right="audit:text:read")
        answer = ask(service, Role.WEB, wanted)
        (read,) = trail.of("audit.text.read")

        assert {"reason": "Frau Müller klagt"} == answers.parse_texts_answer(answer)
        assert {
            "actor": "user:u1",
            "right": "audit:text:read",
            "recording": recording,
            "detail": {"entry": place, "fields": "reason"},
        }.items() <= read.items()
        assert "Frau" not in str(trail.entries())

    def test_what_is_not_there_opens_nothing_and_leaves_no_leaf(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        ask(service, Role.WEB, play(recording))

        for place in (len(trail.entries()) - 1, len(trail.entries()), 2**52):
            with pytest.raises(NotFoundError):
                ask(service, Role.WEB, m.TextsRequest(caller=USER, index=place))
        assert [] == trail.of("audit.text.read")

    @pytest.mark.parametrize("role", [Role.CLI, Role.TAP, Role.WORKER])
    def test_who_serves_no_people_reads_none_and_the_leaf_says_which(
        self, service: WardenService, trail: Trail, role: Role
    ) -> None:
        with pytest.raises(AccessDeniedError):
            ask(service, role, m.TextsRequest(caller=USER, index=7))
        (leaf,) = trail.of("audit.text.read")

        assert ("refused", "role", {"entry": 7}) == (
            leaf["result"],
            leaf["reason"],
            leaf["detail"],
        )

    def test_nobody_reads_as_the_operator_over_the_web(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        ask(service, Role.WEB, play(recording, reason="Frau Müller klagt"))
        place = len(trail.entries()) - 1
        operator = Caller(actor=Actor(kind=ActorKind.OPERATOR, id="0"))

        with pytest.raises(AccessDeniedError):
            ask(service, Role.WEB, m.TextsRequest(caller=operator, index=place))

    def test_who_reads_too_many_is_told_of_and_refused_before_the_leaf(
        self,
        service: WardenService,
        recording: RecordingId,
        trail: Trail,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        ask(service, Role.WEB, play(recording, reason="Frau Müller klagt"))
        wanted = m.TextsRequest(caller=USER, index=len(trail.entries()) - 1)
        for _ in range(58):
            service._text_rates.count(str(USER.actor))
        ask(service, Role.WEB, wanted)
        before = capsys.readouterr()
        ask(service, Role.WEB, wanted)
        said = capsys.readouterr()
        for _ in range(540):
            service._text_rates.count(str(USER.actor))

        for _ in range(3):
            with pytest.raises(ThrottledError):
                ask(service, Role.WEB, wanted)
        assert "warden.texts.alarm" not in before.out + before.err
        assert "warden.texts.alarm" in said.out + said.err
        assert ["", "", "throttled"] == [
            each.get("reason", "") for each in trail.of("audit.text.read")
        ]
        ask(service, Role.WEB, play(recording))

    def test_what_does_not_open_is_on_the_trail(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        ask(service, Role.WEB, play(recording, reason="Frau Müller klagt"))
        place = len(trail.entries()) - 1
        service._texts._key = SecretBytes(b"k" * 32)

        with pytest.raises(SealBrokenError):
            ask(service, Role.WEB, m.TextsRequest(caller=USER, index=place))
        assert [("ok", ""), ("failed", "seal-broken")] == [
            (each["result"], each.get("reason", ""))
            for each in trail.of("audit.text.read")
        ]


class TestRelease:
    def test_the_leaf_says_all_and_then_the_key_comes(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        answer = ask(service, Role.WEB, play(recording))
        (leaf,) = trail.of("recording.key.released")

        assert answers.parse_key_answer(answer) == DEK
        assert {
            "actor": "user:u1",
            "via": "web",
            "result": "ok",
            "session": "s1",
            "origin": "192.0.2.7",
            "recording": recording,
            "right": "recording:media:play",
            "detail": {"purpose": "play", "grant": "grant-1"},
        }.items() <= leaf.items()

    def test_what_was_typed_is_kept_beside_the_log(
        self,
        service: WardenService,
        recording: RecordingId,
        trail: Trail,
        keyring: Keyring,
    ) -> None:
        ask(service, Role.WEB, play(recording, reason="Frau Müller klagt"))
        (leaf,) = trail.of("recording.key.released")
        place = trail.entries().index(leaf)
        sealed = TrailReader(trail.engine).sealed_texts([place])

        assert "Frau" not in canonical.dumps(leaf).decode()
        assert "Frau Müller klagt" == open_text(
            sealed[place]["reason"],
            key=text_key(keyring.index_key),
            entry_id=leaf["id"],
            field="reason",
            expected_hmac=leaf["text"]["reason"],
        )

    @pytest.mark.parametrize(
        ("role", "purpose", "caller"),
        [
            (Role.WEB, Purpose.RENDER, USER),
            (Role.WEB, Purpose.PLAY, WORKER),
            (Role.WORKER, Purpose.PLAY, WORKER),
            (Role.WORKER, Purpose.RENDER, USER),
            (Role.TAP, Purpose.PLAY, USER),
            (Role.CLI, Purpose.PLAY, USER),
        ],
    )
    def test_a_purpose_of_another_role_is_refused_with_a_leaf(
        self,
        service: WardenService,
        recording: RecordingId,
        trail: Trail,
        role: Role,
        purpose: Purpose,
        caller: Caller,
    ) -> None:
        with pytest.raises(AccessDeniedError):
            ask(service, role, play(recording, purpose=purpose, caller=caller))
        (leaf,) = trail.of("recording.key.released")

        assert ("refused", "role", str(role), recording) == (
            leaf["result"],
            leaf["reason"],
            leaf["via"],
            leaf["recording"],
        )

    def test_a_shredded_recording_has_no_key_and_a_leaf_that_says_so(
        self, service: WardenService, trail: Trail
    ) -> None:
        with pytest.raises(NotFoundError):
            ask(service, Role.WEB, play(new_recording_id()))
        (leaf,) = trail.of("recording.key.released")

        assert ("refused", "no-envelope") == (leaf["result"], leaf["reason"])

    def test_an_envelope_moved_from_another_recording_does_not_open(
        self,
        service: WardenService,
        recording: RecordingId,
        catalog: CatalogInMemory,
        keyring: Keyring,
        trail: Trail,
    ) -> None:
        other = catalog.add(keyring)
        catalog.envelopes[other] = catalog.envelopes[recording]

        with pytest.raises(SealBrokenError):
            ask(service, Role.WEB, play(other))
        assert [
            (each["result"], each.get("reason"))
            for each in trail.of("recording.key.released")
        ] == [("ok", None), ("failed", "seal-broken")]

    def test_a_catalog_that_is_down_releases_nothing(
        self, service: WardenService, recording: RecordingId, catalog: CatalogInMemory
    ) -> None:
        catalog.failure = DatabaseUnavailableError("gone")

        with pytest.raises(KeyUnavailableError):
            ask(service, Role.WEB, play(recording))

    def test_without_time_for_a_leaf_there_is_no_key(
        self, service: WardenService, recording: RecordingId, trail: Trail
    ) -> None:
        with pytest.raises(AuditUnavailableError):
            ask(service, Role.WEB, play(recording), within_s=-1)
        assert trail.of("recording.key.released") == []

    def test_the_601st_release_of_an_hour_is_throttled_with_a_leaf(
        self,
        service: WardenService,
        recording: RecordingId,
        trail: Trail,
        clock: Clock,
    ) -> None:
        for _ in range(600):
            service._rates.count(str(USER.actor))

        for _ in range(3):
            with pytest.raises(ThrottledError) as caught:
                ask(service, Role.WEB, play(recording))
        assert 3500 < caught.value.retry_after_s <= 3601
        leaves = trail.of("recording.key.released")
        assert [each["reason"] for each in leaves] == ["throttled"]

        other = Caller(actor=Actor(kind=ActorKind.USER, id="u2"))
        ask(service, Role.WEB, play(recording, caller=other))
        clock.ahead_s = 3601
        ask(service, Role.WEB, play(recording))

    def test_a_worker_is_not_counted(
        self, service: WardenService, recording: RecordingId
    ) -> None:
        for _ in range(700):
            service._rates.count(str(WORKER.actor))
        request = play(recording, caller=WORKER, purpose=Purpose.RENDER)

        assert answers.parse_key_answer(ask(service, Role.WORKER, request)) == DEK


def seal(
    service: WardenService, id: RecordingId, **members: canonical.JsonValue
) -> tuple[SealedRow, dict[str, bytes]]:
    metadata = canonical.dumps({"recording_id": id, **members})
    request = m.SealRowRequest(recording_id=id, metadata=metadata, month=MONTH)
    row, tokens = answers.parse_sealed_row_answer(ask(service, Role.WORKER, request))
    return row, {each.field: each.token for each in tokens}


def open_rows(service: WardenService, *ids: RecordingId) -> answers.OpenedRows:
    request = m.OpenRowsRequest(caller=USER, recordings=ids)
    return answers.OpenedRows.parse(ask(service, Role.WEB, request))


class TestRows:
    def test_what_a_worker_seals_the_web_opens_with_a_leaf(
        self, service: WardenService, catalog: CatalogInMemory, trail: Trail
    ) -> None:
        ids = [new_recording_id() for _ in range(3)]
        for id in ids[:2]:
            catalog.rows[id] = seal(service, id, caller="+49301")[0]
        before = len(trail.entries())
        opened = open_rows(service, *ids)
        (leaf,) = trail.entries()[before:]

        assert opened.rows == {
            id: canonical.dumps({"recording_id": id, "caller": "+49301"})
            for id in ids[:2]
        }
        assert opened.rest == ()
        assert ("recording.rows.opened", {"rows": 2}) == (
            leaf["action"],
            leaf["detail"],
        )

    def test_a_row_opened_alone_is_named(
        self, service: WardenService, catalog: CatalogInMemory, trail: Trail
    ) -> None:
        id = new_recording_id()
        catalog.rows[id] = seal(service, id)[0]
        open_rows(service, id)

        assert trail.of("recording.rows.opened")[0]["recording"] == id

    def test_a_row_moved_to_another_recording_is_left_out_and_on_the_trail(
        self, service: WardenService, catalog: CatalogInMemory, trail: Trail
    ) -> None:
        good, moved = new_recording_id(), new_recording_id()
        catalog.rows[good] = catalog.rows[moved] = seal(service, good)[0]
        opened = open_rows(service, good, moved)

        assert set(opened.rows) == {good}
        assert [each["recording"] for each in trail.of("recording.damaged")] == [moved]

    def test_a_moved_row_asked_for_alone_is_an_error(
        self, service: WardenService, catalog: CatalogInMemory
    ) -> None:
        good, moved = new_recording_id(), new_recording_id()
        catalog.rows[moved] = seal(service, good)[0]

        with pytest.raises(SealBrokenError):
            open_rows(service, moved)

    def test_a_row_under_a_key_that_is_not_here_does_not_blind_the_page(
        self, service: WardenService, catalog: CatalogInMemory
    ) -> None:
        good, lost = new_recording_id(), new_recording_id()
        catalog.rows[good] = seal(service, good)[0]
        catalog.rows[lost] = replace(seal(service, lost)[0], key_id="catalog-1999-01")

        assert set(open_rows(service, good, lost).rows) == {good}

    def test_rows_that_do_not_fit_one_answer_are_left_for_the_next(
        self, service: WardenService, catalog: CatalogInMemory, trail: Trail
    ) -> None:
        ids = [new_recording_id() for _ in range(5)]
        for id in ids:
            catalog.rows[id] = seal(service, id, note="x" * 200_000)[0]
        opened = open_rows(service, *ids)

        assert list(opened.rows) == ids[:3]
        assert opened.rest == tuple(ids[3:])
        assert trail.of("recording.rows.opened")[0]["detail"] == {"rows": 3}
        assert len(canonical.dumps(opened.members())) < 1 << 20

    def test_sealing_leaves_no_leaf_and_makes_the_tokens_of_a_search(
        self, service: WardenService, trail: Trail
    ) -> None:
        before = len(trail.entries())
        id = new_recording_id()
        _, made = seal(service, id, caller="+49 30 1", callee="", agent="Anna")
        assert len(trail.entries()) == before

        request = m.TokensRequest(
            caller=USER, field="agent", value=" ANNA", months=(MONTH,)
        )
        searched = answers.parse_tokens_answer(ask(service, Role.WEB, request))
        assert set(made) == {"caller", "agent"}
        assert searched == {MONTH: made["agent"]}

    @pytest.mark.parametrize(
        "metadata",
        [
            b"not json",
            b"{}",
            b'{"recording_id":"%s"}' % new_recording_id().encode(),
        ],
        # Named: test workers compare their names, and the id is random.
        ids=["no JSON", "no id", "another id"],
    )
    def test_metadata_of_another_recording_is_not_sealed(
        self, service: WardenService, metadata: bytes
    ) -> None:
        request = m.SealRowRequest(
            recording_id=new_recording_id(), metadata=metadata, month=MONTH
        )

        with pytest.raises(InvalidInputError):
            ask(service, Role.WORKER, request)

    def test_no_keys_are_made_for_months_to_come(
        self, service: WardenService, keyring: Keyring
    ) -> None:
        id = new_recording_id()
        request = m.SealRowRequest(
            recording_id=id,
            metadata=canonical.dumps({"recording_id": id}),
            month="9999-12",
        )

        with pytest.raises(InvalidInputError):
            ask(service, Role.WORKER, request)
        assert keyring.months() == [MONTH]

    def test_only_the_worker_seals(self, service: WardenService) -> None:
        request = m.SealRowRequest(
            recording_id=new_recording_id(), metadata=b"{}", month=MONTH
        )
        for role in (Role.WEB, Role.TAP, Role.CLI):
            with pytest.raises(AccessDeniedError):
                ask(service, role, request)


class TestTokens:
    def test_the_leaf_names_the_field_and_never_the_value(
        self, service: WardenService, trail: Trail
    ) -> None:
        request = m.TokensRequest(
            caller=USER,
            field="caller",
            value="+49 30 9988776",
            months=("2020-01", MONTH),
        )
        found = answers.parse_tokens_answer(ask(service, Role.WEB, request))
        (leaf,) = trail.of("recording.searched")

        assert set(found) == {"2020-01", MONTH}
        assert leaf["detail"] == {"fields": "caller", "count": len(found)}
        assert "9988776" not in str(trail.entries())

    @pytest.mark.parametrize(
        ("field", "value"), [("caller", "  "), ("party", "1"), ("", "1")]
    )
    def test_a_search_for_nothing_is_refused_without_a_leaf(
        self, service: WardenService, trail: Trail, field: str, value: str
    ) -> None:
        request = m.TokensRequest(
            caller=USER, field=field, value=value, months=(MONTH,)
        )

        with pytest.raises(InvalidInputError):
            ask(service, Role.WEB, request)
        assert trail.of("recording.searched") == []


def test_what_the_warden_does_itself_is_via_warden(
    service: WardenService, trail: Trail
) -> None:
    service.append_own(Draft(action=Action.PROCESS_STARTED, caller=WORKER))

    assert trail.entries()[-1]["via"] == "warden"


def test_a_conflict_that_no_tap_caused_is_raised(service: WardenService) -> None:
    """The log refuses (source, seq) twice; without a source that is a bug."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise ConflictError("twice")

    service._writer.append = refuse  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        ask(
            service,
            Role.WEB,
            m.AppendRequest(
                drafts=(Draft(action=Action.RECORDING_LISTED, caller=USER),)
            ),
        )


def test_health_is_asked_like_any_other_call(service: WardenService) -> None:
    service.append_own(Draft(action=Action.PROCESS_STARTED, caller=WORKER))
    health = answers.parse_health_answer(ask(service, Role.TAP, m.HealthRequest()))

    assert health.healthy
    assert health.log_size == 2
