"""infra/postgres/roles.sql on a real server: each process does its work, and no more.

The schemas are made by their owner, the file is run as an operator would, and then
the rooms' own functions run under the role of the process that calls them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pyotp
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine

from tests.simulators.passkey_device import PasskeyDevice
from tests.simulators.people_source import PeopleSource
from tests.simulators.postgres import throwaway_postgres
from tests.simulators.trail import ORIGIN, entry, signer
from vault.access.ceremonies import CeremonyKind
from vault.access.changes import carry_out
from vault.access.classes import Demands, RecordingClass
from vault.access.device_rules import DeviceChange
from vault.access.devices import Devices
from vault.access.duties import Duties
from vault.access.extensions import Extensions
from vault.access.factor_key import FactorKey
from vault.access.factors import Factors
from vault.access.grants import Grants
from vault.access.group_map import GroupMap
from vault.access.kept_passwords import KeptPasswords
from vault.access.known_devices import KnownDevices
from vault.access.local import LocalPeople
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.policy import Session, SessionKind, scope_of
from vault.access.policy_changes import GiveRight, PutClass, SetWorkgroup
from vault.access.provider_sessions import ProviderSessions
from vault.access.provisioning import AccountConfig, Accounts
from vault.access.rights import HolderKind, NewRight
from vault.access.second_person import Asked
from vault.access.sessions import Sessions
from vault.access.signin import SignIn
from vault.access.standing import StandingCheck
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
from vault.catalog.marks import Holds
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
from vault.web.administration import CHANGES
from vault.web.classifying import ClassifyRecording

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
        assert "sam" in agents
        (device,) = Devices(installed.engine("tap")).for_taps()
        put = Extensions(installed.engine("web")).put
        for agent in ("ada", "eve"):
            put("1001", agent=agent, tell=lambda changed: None)
        table = Extensions(installed.engine("tap")).table()
        found = table.match("sip:1001@pbx")
        Extensions(installed.engine("web")).remove("1001", tell=lambda changed: None)
        assert device.digest is not None
        assert found is not None
        assert "eve" == found.agent

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

    def test_web_takes_the_word_of_an_openid_provider(
        self, installed: Installation, people: Session
    ) -> None:
        engine = installed.engine("web")
        bound = ProviderSessions(engine)
        opened = bound.bind(
            Sessions(engine).open(people.user_id, methods=("oidc",)),
            provider_session="of-the-provider",
            authenticated_s=0,
            max_s=3600,
        )
        bound.take_once("a-word")

        ended = bound.end(
            external_id="", provider_session="of-the-provider", source="local"
        )

        assert [opened.session.id] == [one.id for one in ended]

    def test_web_signs_in_finds_grants_and_asks_for_another_format(
        self, installed: Installation, rendered: RecordingId, people: Session
    ) -> None:
        engine = installed.engine("web")
        sessions = Sessions(engine)
        sign_in = SignIn(
            engine,
            authenticators=[LocalPeople(engine, Passwords(COSTLIER))],
            accounts=Accounts(engine, tell=lambda _: None),
            throttle=Throttle(engine),
            sessions=sessions,
        )
        opened = sign_in.password("sam", PASSWORD, "192.0.2.1")
        session = sessions.lookup(opened.secret)
        recordings = Recordings(engine)
        grants = Grants(engine)
        row = recordings.get(scope_of(session.person), rendered)
        grants.open(session, MediaPart.AUDIO, row)

        assert grants.live(session, MediaPart.AUDIO, row) is not None
        assert recordings.want(rendered, "audio/mp4")
        assert not recordings.want(rendered, "audio/flac")
        assert rendered in [
            one.id for one in recordings.find(scope_of(people.person)).rows
        ]
        assert "sam" in [one.name for one in People(engine).list()]
        assert ["pbx"] == [one.device.name for one in Devices(engine).list()]
        assert sessions.end(session.id)

    def test_web_keeps_duties_apart(
        self, installed: Installation, rendered: RecordingId, people: Session
    ) -> None:
        engine, me = installed.engine("web"), people.user_id
        duties, groups = Duties.over(engine, CHANGES), Workgroups(engine).list()
        new = NewRight(
            holder_kind=HolderKind.USER,
            holder=me,
            permission=Permission.RECORDING_MEDIA_EXPORT,
            scope_kind=ScopeKind.ALL,
        )
        board = RecordingClass(name="board", demands=Demands(approval=True))
        asked = []
        for change in (
            PutClass(new=replace(board, demands=Demands())),
            PutClass(new=board),
            ClassifyRecording(recording_id=rendered, class_name="board"),
            GiveRight(new=new),
            ClassifyRecording(recording_id=rendered, class_name=None),
            SetWorkgroup(workgroup_id=groups[0].id, parent_id="", class_name="board"),
            SetWorkgroup(workgroup_id=groups[0].id, class_name=""),
        ):
            done = duties.second_person.run(
                change, asker=me, tell=lambda _: None, ask=lambda *_: None
            )
            if isinstance(done, Asked):
                asked.append(done.approval.id)
        duties.approvals.decide(asked[0], by=None, approve=False, tell=lambda _: None)
        duties.emergencies.open(me, by=people.caller().actor, tell=lambda _: None)
        duties.emergencies.end(me, tell=lambda _: None)
        holds = Holds(engine)
        holds.place(rendered, None, by=people.caller().actor, tell=lambda _: None)

        # For whoever plays it next: what waits here would open it.
        carry_out(
            engine,
            PutClass(new=replace(board, demands=Demands())),
            by=people.caller().actor,
            now_ns=time.time_ns(),
            tell=lambda _: None,
        )

        assert holds.release(rendered, None, tell=print).held is False
        assert "board" in [one.name for one in duties.classes.list()]

    def test_web_keeps_second_factors(
        self, installed: Installation, people: Session
    ) -> None:
        engine, person = installed.engine("web"), people.person
        factors = Factors(
            engine,
            key=FactorKey(SecretBytes(b"k" * 32)),
            origins=["https://vault.test"],
        )
        for _ in range(2):
            app = pyotp.TOTP(factors.totp.begin(person.id, person.name).secret)
            factors.totp.confirm(person.id, app.now(), tell=print)
        device = PasskeyDevice(origin="https://vault.test")
        begun = factors.passkeys.begin_adding(person.id, person.name, "vault.test")
        added = factors.passkeys.finish_adding(
            person.id, begun.secret, device.create(begun.options), "key", tell=print
        )
        asked = factors.passkeys.begin_proof(CeremonyKind.PASSKEY_SIGN_IN, "vault.test")
        shown = device.get(asked.options)
        used = factors.passkeys.finish_proof(
            CeremonyKind.PASSKEY_SIGN_IN, asked.secret, shown
        )
        codes = factors.recovery_codes.renew(person.id, tell=print)

        assert used.user_id == person.id
        assert factors.totp.spend(person.id, app.at(time.time() + 30))
        assert factors.check(person.id, codes[0]) == ("otp", "recovery")
        factors.remove_passkey(person, added.id, tell=print)
        assert factors.reset(person.id, tell=print).factors == 1

    def test_web_makes_what_a_directory_says_true(
        self, installed: Installation
    ) -> None:
        engine, source = installed.engine("web"), PeopleSource()
        groups = {"listeners": "supervisor, workgroup:New", "admins": "administrator"}
        accounts = Accounts(
            engine,
            AccountConfig(
                group_map=GroupMap.parse(groups),
                max_password_age_s=1,
                trust_s=900,
                rechecked=frozenset({"ldap"}),
            ),
            tell=lambda _: None,
        )
        source.add("ann", "listeners")
        user_id = accounts.settle(source.people["ann"])
        Sessions(engine).open(user_id)
        source.rename("ann", "ann.miller")
        source.add("ann.miller", "admins", id="id-of-ann")
        standing = StandingCheck(engine, [source], accounts, every_s=60)

        assert 0 == standing.round()
        assert "ann.miller" == People(engine).by_id(user_id).name
        source.people.clear()
        assert 1 == standing.round()

    def test_web_keeps_passwords(self, installed: Installation) -> None:
        owner, engine = installed.engine("owner"), installed.engine("web")
        hashed = Passwords(CHEAP).hash(PASSWORD)
        user_id = People(owner).add("pat", [], [], hashed).person.id
        kept = KeptPasswords(engine)
        for number in range(3):
            kept.keep(user_id, f"hash-{number}", history=1, must_change=True)

        assert ("hash-2", "hash-1") == kept.hashes(user_id, history=4)

    def test_web_makes_devices_and_holds_them_to_things(
        self, installed: Installation
    ) -> None:
        web, tap = (Devices(installed.engine(one)) for one in ("web", "tap"))
        added = web.add("of-web", DeviceChange(max_calls=3), ttl_s=60)
        web.change("of-web", DeviceChange(addresses=("192.0.2.0/24",)))
        renewed = web.renew("of-web")
        known = tap.snapshot().by_token(renewed.token)
        secrets = [one.digest for one in tap.for_taps() if one.device == known]
        web.revoke("of-web")

        assert known is not None
        assert (added.device.id, 3) == (known.id, known.max_calls)
        assert [True] == [one is not None for one in secrets]
        assert tap.snapshot().by_token(renewed.token) is None
        with installed.engine("owner").begin() as connection:
            for table, column in (("device_digest", "device_id"), ("device", "id")):
                connection.exec_driver_sql(
                    f"DELETE FROM catalog.{table} WHERE {column} = '{known.id}'"
                )

    def test_web_locks_and_renews_sessions_and_knows_browsers(
        self, installed: Installation, people: Session
    ) -> None:
        engine = installed.engine("web")
        sessions, known = Sessions(engine), KnownDevices(engine)
        opened = sessions.open(people.user_id)
        assert sessions.lock(opened.session.id)
        unlocked = sessions.unlock(opened.session.id, methods=("pwd",))
        renewed = sessions.step_up(unlocked.session.id, methods=("otp",))
        browser = known.remember(people.user_id)

        assert ("pwd", "otp") == sessions.lookup(renewed.secret).methods
        assert browser == known.remember(people.user_id, browser)
        throttle = Throttle(engine)
        throttle.forgive(throttle.admit("sam", "192.0.2.1", known_device=browser))
        assert 1 == known.forget(people.user_id)

    def test_the_tap_tells_when_it_heard_a_device(
        self, installed: Installation, people: Session
    ) -> None:
        tap, owner = (Devices(installed.engine(one)) for one in ("tap", "owner"))
        device = owner.list()[0].device
        tap.note_uses({device.id: 7_000})

        assert 7_000 == owner.list()[0].used_ns

    def test_web_keeps_tokens(self, installed: Installation, people: Session) -> None:
        tokens = Tokens(installed.engine("web"))
        added = tokens.add(people.user_id, "script", ttl_s=60)

        assert people.user_id == tokens.lookup(added.secret).user_id
        assert tokens.revoke(added.listed.id, user_id=people.user_id)

    def test_the_warden_writes_the_trail_and_reads_it_for_others(
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
        reader = TrailReader(installed.engine("warden", "audit"))

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
    # With this one speaks SIP as a device.
    *[(process, "SELECT ha1_md5 FROM catalog.device_digest") for process in ("worker", "warden", "web")],
    ("tap", "UPDATE catalog.device_digest SET ha1_md5 = 'x'"),
    # Whose an address is, administrators say on web's pages; a tap reads it.
    ("tap", "INSERT INTO catalog.extension VALUES ('x', '1', false, '', '')"),
    ("web", "UPDATE catalog.extension SET pattern = 'x'"),
    *[(process, "SELECT pattern FROM catalog.extension") for process in ("worker", "warden")],
    # Groups of directories become roles and workgroups there; nobody's id changes.
    ("web", "UPDATE catalog.person SET id = 'x'"),
    ("web", "UPDATE catalog.person SET source = 'local'"),
    ("web", "DELETE FROM catalog.person"),
    ("web", "UPDATE catalog.person_role SET role = 'officer'"),
    ("web", "UPDATE catalog.person_workgroup SET user_id = 'x'"),
    ("web", "UPDATE catalog.password_history SET password_hash = ''"),
    *[(process, "SELECT 1 FROM catalog.password_history") for process in ("tap", "worker", "warden")],
    # Web makes devices and holds them to things; when one was heard, a tap says, and
    # what one is called stays.
    ("web", "UPDATE catalog.device SET used_ns = 1"),
    ("web", "UPDATE catalog.device SET name = 'x'"),
    ("web", "UPDATE catalog.device SET id = 'x'"),
    ("web", "DELETE FROM catalog.device"),
    ("web", "UPDATE catalog.device_digest SET ha1_md5 = 'x'"),
    ("web", "SELECT ha1_sha256 FROM catalog.device_digest"),
    *[
        (process, "UPDATE catalog.device SET allowances = 'plain-rtp'")
        for process in ("tap", "worker", "warden")
    ],
    # Second factors are web's alone, and what they are is never changed.
    *[
        (process, f"SELECT * FROM catalog.{table}")
        for process in ("tap", "worker", "warden")
        for table in ("totp", "passkey", "recovery_code", "ceremony")
    ],
    ("web", "UPDATE catalog.totp SET sealed = 'x'"),
    ("web", "UPDATE catalog.passkey SET public_key = 'x'"),
    ("web", "UPDATE catalog.recovery_code SET code_sha256 = 'x'"),
    ("web", "UPDATE catalog.ceremony SET user_id = NULL"),
    # Who may do what besides roles is between web and the operator.
    *[
        (process, f"SELECT * FROM catalog.{table}")
        for process in ("tap", "worker", "warden")
        for table in ("granted_right", "approval", "recording_class")
    ],
    ("web", "UPDATE catalog.granted_right SET valid_until_ns = NULL"),
    ("web", "UPDATE catalog.approval SET requester_id = 'x'"),
    ("web", "UPDATE catalog.approval SET recording_id = 'x'"),
    ("tap", "UPDATE catalog.workgroup SET parent_id = NULL"),
    ("worker", "UPDATE catalog.recording SET class_name = NULL"),
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
    *[
        (process, f"SELECT * FROM audit.{table}")
        for process in ("tap", "worker", "web")
        for table in sorted({one.name for one in audit_tables.sorted_tables})
    ],
    ("web", "SELECT * FROM audit.schema_version"),
    *[
        (process, "INSERT INTO audit.log_checkpoint VALUES (9, 'x')")
        for process in ("tap", "worker", "web")
    ],
    ("web", "UPDATE audit.log_head SET size = 9"),
    *[
        (process, f"{verb} audit.{table}{rest}")
        for process in PROCESSES
        for table in ("log_entry", "log_object", "log_node", "log_checkpoint")
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
