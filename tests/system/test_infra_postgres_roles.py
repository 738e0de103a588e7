"""infra/postgres/roles.sql on a real server: each process does its work, and no more.

The schemas are made by their owner, the file is run as an operator would, and then
the rooms' own functions run under the role of the process that calls them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine

from tests.simulators.postgres import throwaway_postgres
from tests.simulators.trail import ORIGIN, entry, signer
from vault.access.devices import Devices
from vault.access.grants import Grants
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.policy import Role, Session, SessionKind, scope_of
from vault.access.sessions import Sessions
from vault.access.signin import SignIn
from vault.access.tables import METADATA as ACCESS
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.workgroups import Workgroups
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.audit.schema import upgrade_audit
from vault.audit.tables import metadata as audit_tables
from vault.audit.texts import seal_text
from vault.catalog.envelopes import Envelopes
from vault.catalog.recordings import Recordings
from vault.catalog.rows import Rows
from vault.catalog.schema import upgrade_catalog
from vault.catalog.tables import METADATA as CATALOG
from vault.catalog.values import OpenRecording, StoredObject
from vault.core.errors import DatabaseUnavailableError
from vault.core.flow import HowEnded, MediaPart, Reason, RecordingState
from vault.core.ids import DeviceId, KeyId, RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.trust.interfaces import IndexToken, SealedRow

ROLES_SQL: Final = Path(__file__).parents[2] / "infra" / "postgres" / "roles.sql"
PROCESSES: Final = ("warden", "tap", "worker", "web")
ENVELOPE: Final = b'{"v":1}'
PASSWORD: Final = "correct horse battery"
CHEAP: Final = PasswordConfig(memory_kib=8, iterations=1, lanes=1)
COSTLIER: Final = PasswordConfig(memory_kib=16, iterations=1, lanes=1)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.xdist_group("infra-postgres-roles"),
]


class Installation:
    """Two schemas with their roles, and an engine for every process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engines: dict[tuple[str, str], Engine] = {}

    def engine(self, process: str, schema: str = "catalog") -> Engine:
        """Return the engine that *process* has, or the owner's."""
        user = "vault" if process == "owner" else f"callvault_{process}"
        key = (process, schema)
        if key not in self.engines:
            self.engines[key] = open_engine(
                self.url.replace("//vault@", f"//{user}@"),
                schema=schema,
                relaxed_for_tests=True,
            )
        return self.engines[key]

    def run(self, process: str, sql: str) -> None:
        """Run one statement as *process*; nothing of it stays."""
        role = f"callvault_{process}"
        with psycopg.connect(self.url.replace("//vault@", f"//{role}@")) as connection:
            connection.execute(sql.encode())
            connection.rollback()

    def apply(self) -> None:
        """Run the file, as its head says."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(ROLES_SQL.read_bytes())


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with throwaway_postgres() as url:
        made = Installation(url)
        upgrade_catalog(made.engine("owner"))
        upgrade_audit(made.engine("owner", "audit"))
        made.apply()
        yield made
        for engine in made.engines.values():
            engine.dispose()


def catalogue(installed: Installation, process: str) -> Recordings:
    return Recordings(installed.engine(process))


def order(recording_id: RecordingId, workgroup: str, device: str) -> OpenRecording:
    return OpenRecording(
        id=recording_id,
        device_id=DeviceId(device),
        workgroup_id=workgroup,  # type: ignore[arg-type]
        agent_id=None,
        day="2026-11-23",
        kid=KeyId("0123456789abcdef0123456789abcdef"),
        envelope=ENVELOPE,
    )


def stored(name: str, media_type: str, digit: str) -> StoredObject:
    return StoredObject(name=name, size=100, sha256=digit * 64, media_type=media_type)


def ship(recordings: Recordings, recording_id: RecordingId) -> None:
    recordings.captured(
        recording_id,
        objects=[
            stored("capture/0001.cut", "application/octet-stream", "a"),
            stored("session/0001", "application/json", "b"),
            stored("manifest", "application/json", "c"),
        ],
        size_bytes=16_456,
        manifest_sha256="c" * 64,
        how=HowEnded.BYE,
    )


@pytest.fixture(scope="module")
def people(installed: Installation) -> Session:
    """A supervisor and a device, made by the operator's commands: as the owner."""
    owner = installed.engine("owner")
    hashed = Passwords(CHEAP).hash(PASSWORD)
    person = People(owner).add("sam", [Role.SUPERVISOR], ["Claims"], hashed).person
    Devices(owner).add("pbx")
    return Session(
        id="11111111-0000-4000-8000-000000000000",
        person=person,
        kind=SessionKind.BROWSER,
        expires_ns=2**62,
    )


@pytest.fixture
def recorded(installed: Installation, people: Session) -> RecordingId:
    """A recording that the tap opened and shipped, as the tap."""
    tap = installed.engine("tap")
    (device,) = [one.device.id for one in Devices(tap).list()]
    group = Workgroups(tap).snapshot().workgroups["claims"]
    recordings, recording_id = Recordings(tap), new_recording_id()
    recordings.open(order(recording_id, group, device))
    recordings.open(order(recording_id, group, device))
    ship(recordings, recording_id)
    return recording_id


@pytest.fixture
def rendered(installed: Installation, recorded: RecordingId) -> RecordingId:
    """The same, claimed and finished, as the worker."""
    recordings = catalogue(installed, "worker")
    while (row := recordings.claim_for_rendering("w", 60)) is not None:
        recordings.renew(row.id, "w", 60)
        recordings.finish(
            row.id,
            state=RecordingState.READY,
            objects=[
                stored("capture/0001.recovered", "application/octet-stream", "d"),
                stored("rendition/0001", "audio/flac", "e"),
            ],
            metadata=SealedRow(sealed=b"s", wrapped_key=b"w", key_id="k"),
            tokens=[IndexToken(field="caller", month="2026-11", token=b"12345678")],
            duration_ms=1000,
            month="2026-11",
            summary=(),
            worker="w",
        )
    return recorded


def claim_until(recordings: Recordings, wanted: RecordingId) -> None:
    """Claim what other tests left captured, too, until it is *wanted*'s turn."""
    while (row := recordings.claim_for_rendering("w", 60)) is not None:
        if row.id == wanted:
            return
    raise AssertionError(f"{wanted} could not be claimed")


class TestEachProcessCanDoItsWork:
    def test_the_tap_opens_ships_and_knows_its_devices_and_agents(
        self, installed: Installation, recorded: RecordingId
    ) -> None:
        row = catalogue(installed, "worker").row(recorded)

        assert RecordingState.CAPTURED is row.state
        agents = Workgroups(installed.engine("tap")).snapshot().agents
        assert {"sam"} == set(agents)

    def test_the_tap_ships_a_call_that_was_never_opened(
        self, installed: Installation
    ) -> None:
        recording_id = new_recording_id()
        ship(catalogue(installed, "tap"), recording_id)

        assert recording_id == catalogue(installed, "owner").row(recording_id).id

    def test_the_worker_claims_gives_back_claims_again_and_finishes(
        self, installed: Installation, recorded: RecordingId
    ) -> None:
        recordings = catalogue(installed, "worker")
        claim_until(recordings, recorded)
        recordings.give_back(recorded, "w", retry_after_s=0)
        claim_until(recordings, recorded)
        recordings.finish(recorded, state=RecordingState.FAILED, reason=Reason.NO_MEDIA)

        assert RecordingState.FAILED is recordings.row(recorded).state

    def test_the_worker_replaces_what_it_made_before(
        self, installed: Installation, rendered: RecordingId
    ) -> None:
        recordings = catalogue(installed, "worker")
        recordings.finish(
            rendered,
            state=RecordingState.READY,
            objects=[stored("rendition/0002", "audio/flac", "f")],
            metadata=SealedRow(sealed=b"t", wrapped_key=b"w", key_id="k"),
        )

        assert "rendition/0002" in recordings.objects(rendered)
        assert "rendition/0001" not in recordings.objects(rendered)

    def test_the_warden_reads_envelopes_and_sealed_rows(
        self, installed: Installation, rendered: RecordingId
    ) -> None:
        engine = installed.engine("warden")

        assert ENVELOPE == Envelopes(engine).read(rendered)
        assert b"s" == Rows(engine).sealed([rendered])[rendered].sealed

    def test_web_signs_in_finds_grants_and_asks_for_another_format(
        self, installed: Installation, rendered: RecordingId, people: Session
    ) -> None:
        engine = installed.engine("web")
        sessions = Sessions(engine)
        sign_in = SignIn(
            engine,
            passwords=Passwords(COSTLIER),
            throttle=Throttle(engine),
            sessions=sessions,
        )
        opened = sign_in.password("sam", PASSWORD, "192.0.2.1")
        session = sessions.lookup(opened.secret)
        recordings = Recordings(engine)
        grants = Grants(engine)
        row = recordings.get(scope_of(session.person), rendered)
        grants.open(session, MediaPart.AUDIO, row)

        assert grants.live(session.id, rendered, MediaPart.AUDIO) is not None
        assert recordings.want(rendered, "audio/mp4")
        assert not recordings.want(rendered, "audio/flac")
        assert rendered in [
            one.id for one in recordings.find(scope_of(people.person)).rows
        ]
        assert "sam" in [one.name for one in People(engine).list()]
        assert ["pbx"] == [one.device.name for one in Devices(engine).list()]
        assert sessions.end(session.id)

    def test_web_keeps_tokens(self, installed: Installation, people: Session) -> None:
        tokens = Tokens(installed.engine("web"))
        added = tokens.add(people.user_id, "script", ttl_s=60)

        assert people.user_id == tokens.lookup(added.secret).user_id
        assert tokens.revoke(added.listed.id, user_id=people.user_id)

    def test_the_warden_writes_the_trail_and_web_reads_it(
        self, installed: Installation, tmp_path: Path
    ) -> None:
        log = AuditLog(
            installed.engine("warden", "audit"),
            signer=signer(),
            origin=ORIGIN,
            mark_path=tmp_path / "mark.json",
        )
        with log.open():
            kept = seal_text(
                "why", key=SecretBytes(bytes(32)), entry_id="1", field="reason"
            )
            log.append([entry(1)], [{"reason": kept}])
            log.probe()
            assert 1 == log.erase_text(1)
        with log.open():
            log.append([entry(2)])
        reader = TrailReader(installed.engine("web", "audit"))

        assert 3 == reader.head().size
        assert 3 == len(reader.entries(0, 3))
        assert reader.consistency_proof(1, 3)
        assert reader.checkpoint()

    def test_a_start_finds_its_schema_up_to_date(self, installed: Installation) -> None:
        for process in PROCESSES:
            assert [] == upgrade_catalog(installed.engine(process))
        assert [] == upgrade_audit(installed.engine("warden", "audit"))


DENIED: Final = [
    # Nobody but the warden reads an envelope; nobody changes or removes one.
    *[(process, "SELECT octets FROM catalog.envelope") for process in ("tap", "worker", "web")],
    *[(process, "UPDATE catalog.envelope SET octets = 'x'") for process in PROCESSES],
    *[(process, "DELETE FROM catalog.envelope") for process in PROCESSES],
    ("worker", "INSERT INTO catalog.envelope VALUES ('x', 'y')"),
    ("web", "INSERT INTO catalog.envelope VALUES ('x', 'y')"),
    # Row keys and sealed rows are the warden's to read.
    *[(process, "SELECT wrapped_key FROM catalog.sealed_row") for process in ("tap", "worker", "web")],
    ("worker", "SELECT token FROM catalog.index_token"),
    ("tap", "SELECT token FROM catalog.index_token"),
    # People: the tap has names, web has hashes, the others have nothing.
    ("tap", "SELECT password_hash FROM catalog.person"),
    ("tap", "SELECT name FROM catalog.person_role JOIN catalog.person ON true"),
    ("worker", "SELECT id FROM catalog.person"),
    ("warden", "SELECT id FROM catalog.person"),
    *[(process, "SELECT secret_sha256 FROM catalog.session") for process in ("tap", "worker", "warden")],
    *[(process, "SELECT secret_sha256 FROM catalog.device") for process in ("worker", "warden")],
    # Web serves people and does not make them.
    ("web", "UPDATE catalog.person SET disabled = false"),
    ("web", "INSERT INTO catalog.person_role VALUES ('x', 'officer')"),
    ("web", "DELETE FROM catalog.person_workgroup"),
    ("web", "INSERT INTO catalog.person_workgroup VALUES ('x', 'y')"),
    ("web", "UPDATE catalog.device SET revoked = false"),
    # States move by who made the thing.
    ("web", "UPDATE catalog.recording SET state = 'failed'"),
    ("web", "UPDATE catalog.recording SET workgroup_id = 'x'"),
    ("web", "UPDATE catalog.stored_object SET sha256 = 'x'"),
    ("tap", "UPDATE catalog.recording SET held = false"),
    ("tap", "UPDATE catalog.recording SET seq = 1"),
    ("tap", "UPDATE catalog.stored_object SET sha256 = 'x'"),
    ("worker", "UPDATE catalog.recording SET held = false"),
    ("worker", "UPDATE catalog.recording SET workgroup_id = 'x'"),
    ("worker", "UPDATE catalog.stored_object SET sha256 = 'x'"),
    *[(process, "DELETE FROM catalog.recording") for process in PROCESSES],
    # The trail: only the warden writes, and nobody rewrites.
    *[(process, "SELECT * FROM audit.log_entry") for process in ("tap", "worker")],
    *[
        (process, "INSERT INTO audit.log_checkpoint VALUES (9, 'x')")
        for process in ("tap", "worker", "web")
    ],
    ("web", "UPDATE audit.log_head SET size = 9"),
    ("web", "SELECT sealed FROM audit.log_text"),
    *[
        (process, f"{verb} audit.{table}{rest}")
        for process in PROCESSES
        for table in ("log_entry", "log_node", "log_checkpoint")
        for verb, rest in (("DELETE FROM", ""), ("TRUNCATE", ""))
    ],
    ("warden", "UPDATE audit.log_entry SET octets = 'x'"),
    ("warden", "UPDATE audit.log_node SET hash = 'x'"),
    ("warden", "UPDATE audit.log_checkpoint SET note = 'x'"),
    ("warden", "UPDATE audit.log_text SET sealed = 'x'"),
    ("warden", "DELETE FROM audit.log_head"),
    ("warden", "ALTER TABLE audit.log_entry DISABLE TRIGGER ALL"),
    ("warden", "DROP TABLE audit.log_entry"),
    # Nobody makes anything of their own, or becomes somebody else.
    *[(process, "CREATE TABLE catalog.mine (id int)") for process in PROCESSES],
    *[(process, "CREATE SCHEMA mine") for process in PROCESSES],
    *[(process, "SET ROLE vault") for process in PROCESSES],
    ("web", "SET ROLE callvault_warden"),
]  # fmt: skip


@pytest.mark.parametrize(("process", "sql"), DENIED)
def test_the_rest_is_denied(installed: Installation, process: str, sql: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        installed.run(process, sql)


def test_the_head_of_the_log_moves_forward_only(
    installed: Installation, tmp_path: Path
) -> None:
    installed.run("warden", "UPDATE audit.log_head SET size = size + 1")
    with pytest.raises(psycopg.errors.IntegrityError):
        installed.run("warden", "UPDATE audit.log_head SET size = 0")


def test_a_room_that_is_denied_sees_an_unavailable_database_and_no_driver_error(
    installed: Installation, recorded: RecordingId
) -> None:
    with pytest.raises(DatabaseUnavailableError):
        Envelopes(installed.engine("web")).read(recorded)


def test_every_table_is_spoken_for(installed: Installation) -> None:
    """A table that a migration adds must be granted to somebody, or be named here."""
    text = ROLES_SQL.read_text()
    known = {f"catalog.{name}" for name in (*CATALOG.tables, *ACCESS.tables)}
    known |= {f"audit.{name}" for name in audit_tables.tables}

    assert set() == {name for name in known if name not in text}


def test_running_the_file_again_changes_nothing(installed: Installation) -> None:
    def rights() -> list[tuple[object, ...]]:
        with psycopg.connect(installed.url) as connection:
            return connection.execute(
                "SELECT table_schema, table_name, grantee, privilege_type"
                " FROM information_schema.role_table_grants"
                " WHERE grantee LIKE 'callvault%' ORDER BY 1, 2, 3, 4"
            ).fetchall()

    before = rights()
    installed.apply()

    assert before
    assert before == rights()
