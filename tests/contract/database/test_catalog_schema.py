from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, select, text

from vault.access.devices import Devices
from vault.access.extensions import Extensions
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.sessions import Sessions
from vault.access.tables import METADATA as ACCESS
from vault.access.tables import SESSION
from vault.access.workgroups import DEFAULT_WORKGROUP, Workgroups
from vault.catalog import schema
from vault.catalog.schema import upgrade_catalog
from vault.catalog.tables import METADATA as CATALOG
from vault.core.errors import ConfigurationError
from vault.core.flow import Allowance
from vault.database.engine import open_engine, reading, transaction


def test_the_migrations_make_exactly_the_tables_that_the_rooms_use(
    catalog_engine: Engine,
) -> None:
    wanted = MetaData()
    for table in (*CATALOG.tables.values(), *ACCESS.tables.values()):
        table.to_metadata(wanted)

    with catalog_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "schema_version", "compare_type": True}
        )
        differences = compare_metadata(context, wanted)

    assert [] == differences


def test_the_head_that_a_start_compares_with_is_the_newest_step() -> None:
    folder = Path(schema.__file__).parent / "migrations"

    assert ScriptDirectory(str(folder)).get_current_head() == schema.HEAD


def test_upgrading_again_changes_nothing(catalog_engine: Engine) -> None:
    assert [] == list(upgrade_catalog(catalog_engine))


def test_the_workgroup_default_is_there_from_the_first_step(
    catalog_engine: Engine,
) -> None:
    assert {DEFAULT_WORKGROUP: "default"} == Workgroups(catalog_engine).names()


def test_a_schema_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="catalog")
    upgrade_catalog(engine)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="9999"):
        upgrade_catalog(engine)
    engine.dispose()


def test_two_processes_that_start_together_upgrade_once(tmp_path: Path) -> None:
    engines = [open_engine(f"sqlite:///{tmp_path}", schema="catalog") for _ in "12"]
    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(upgrade_catalog, engines))
    for engine in engines:
        engine.dispose()

    assert [[], ["0001", "0002", "0003", "0004", "0005"]] == sorted(
        list(steps) for steps in applied
    )


MADE_BY_0005 = (
    *("password_history", "known_device", "recording_class", "granted_right"),
    *(
        "approval",
        "totp",
        "passkey",
        "recovery_code",
        "ceremony",
        "address_rule",
        "activation",
        "saved_search",
        "trail_export",
        "keeper",
    ),
)
ADDED_BY_0005 = {
    "person": (
        *("source", "external_id", "password_changed_ns", "must_change_password"),
        *("seen_ns", "vouched_until_ns"),
    ),
    "workgroup": ("parent_id", "class_name"),
    "recording": ("class_name", "held_since_ns", "held_by"),
    "session": (
        *("authenticated_ns", "methods", "is_restricted", "is_locked"),
        "provider_session",
    ),
    "token": ("permissions", "used_from"),
    "device": ("expires_ns", "used_ns"),
    "media_grant": ("has_reason", "sealed_reason"),
}


def undo_0005(connection: Connection) -> None:
    connection.execute(text("DROP INDEX person_by_source"))
    for name in MADE_BY_0005:
        connection.execute(text(f"DROP TABLE {name}"))
    for table, columns in ADDED_BY_0005.items():
        for name in columns:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {name}"))


def test_a_session_of_before_was_authenticated_when_it_was_opened(
    catalog_engine: Engine,
) -> None:
    person = People(catalog_engine).add("ada", [Role.OFFICER], [], "hash").person
    opened = Sessions(catalog_engine, clock=lambda: 7_000_000_000).open(person.id)
    with transaction(catalog_engine) as connection:
        undo_0005(connection)
        connection.execute(text("UPDATE schema_version SET version_num = '0004'"))

    upgrade_catalog(catalog_engine)
    with reading(catalog_engine) as connection:
        row = connection.execute(select(SESSION)).one()
    kept = People(catalog_engine).by_name("ADA")

    assert (opened.session.id, 7_000_000_000, "pwd", False) == (
        row.id,
        row.authenticated_ns,
        row.methods,
        row.is_restricted,
    )
    assert {Role.OFFICER} == kept.roles


def test_devices_of_before_sip_are_kept_and_may_no_more_than_before(
    catalog_engine: Engine,
) -> None:
    devices = Devices(catalog_engine)
    plain = frozenset({Allowance.PLAIN_RTP})
    added = devices.add("sbc-1", media_advertise="203.0.113.7", allowances=plain)
    devices.add("sbc-2")
    devices.revoke("sbc-2")
    with transaction(catalog_engine) as connection:
        # As version 0002 left it.
        for name in ("device_digest", "extension"):
            connection.execute(text(f"DROP TABLE {name}"))
        for name in ("addresses", "media_addresses", "certificates", "max_calls"):
            connection.execute(text(f"ALTER TABLE device DROP COLUMN {name}"))
        undo_0005(connection)
        connection.execute(text("UPDATE schema_version SET version_num = '0002'"))

    assert ["0003", "0004", "0005"] == list(upgrade_catalog(catalog_engine))
    first, second = devices.for_taps()
    assert (added.device, False, None, ()) == (
        first.device,
        first.revoked,
        first.digest,
        first.certificates,
    )
    assert second.revoked
    assert () == Extensions(catalog_engine).list()
    assert added.device == devices.snapshot().by_token(added.token)
