import os
from pathlib import Path

import pytest

from vault.config import Settings
from vault.confine import Domain
from vault.serving.domains import Role, domain_of
from vault.wiring import Installation

ROLES: tuple[Role, ...] = ("web", "tap", "worker", "auditor")


def domain(role: Role, folder: Path, **members: object) -> Domain:
    made = Settings(data_dir=folder, **members)  # type: ignore[arg-type] # what the test wants
    return domain_of(role, Installation(made))


def covered(found: Domain, path: Path) -> bool:
    """Tell whether a rule other than one for names covers *path*."""
    names, whole = set(found.lists), path.resolve()
    rules = {rule for rule, _ in found.rules()} - names
    return bool(rules & {whole, *whole.parents})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `init` and a first start leave, as far as rules look at it."""
    data = tmp_path / "data"
    for name in (
        "keys/keyring.json", "keys/warden.lock", "keys/log-mark.json",
        "audit/audit.sqlite", "audit/audit.sqlite-wal", "catalog/catalog.sqlite",
        "tap/manifest.key", "worker/addendum.key", "web/factor.key", "passphrase",
        "run/roster/roster.json", "objects/media/.incoming/x", "objects/media/a/b",
    ):  # fmt: skip
        file = data / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return data


SECRETS = (
    *("keys/keyring.json", "keys/warden.lock", "keys/log-mark.json", "passphrase"),
    *("audit/audit.sqlite", "audit/audit.sqlite-wal", "web/factor.key"),
)


@pytest.mark.parametrize("role", ROLES)
def test_no_rule_covers_a_secret(role: Role, folder: Path) -> None:
    found = domain(role, folder)
    others = {"web": ("tap/manifest.key", "worker/addendum.key")}
    others |= {"tap": ("worker/addendum.key",)}
    others |= {"auditor": ("tap/manifest.key", "worker/addendum.key")}
    others |= {"worker": ("tap/manifest.key", "worker/addendum.key")}

    assert [
        name for name in (*SECRETS, *others[role]) if covered(found, folder / name)
    ] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_secret_in_a_folder_that_everybody_reads_stays_closed(
    role: Role, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder.parent / "lib"
    place.mkdir()
    (place / "module.py").touch()
    (place / "passphrase").touch()
    (place / "given" / "passphrase").parent.mkdir()
    (place / "given" / "passphrase").touch()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place / "given"))
    found = domain(role, folder, passphrase_file=place / "passphrase")

    assert covered(found, place / "module.py")
    assert not covered(found, place / "passphrase")
    assert not covered(found, place / "given" / "passphrase")


def test_an_installation_inside_of_a_folder_of_modules_is_not_read_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder.parent))
    (folder.parent / "module.py").touch()
    found = domain("web", folder)

    assert covered(found, folder.parent / "module.py")
    assert not covered(found, folder / "spool" / "x")
    assert not covered(found, folder / "keys" / "signers")


def test_each_changes_its_own_parts(folder: Path) -> None:
    own = {
        role: {
            path.relative_to(folder).as_posix()
            for path in (*found.changes, *found.meets)
        }
        for role in ROLES
        if (found := domain(role, folder))
    }

    assert own == {
        "web": {"catalog", "objects/media/.incoming"},
        "tap": {"catalog", "objects", "spool", "tap", "run/tap"},
        "worker": {"catalog", "objects"},
        "auditor": {"auditor", "run/auditor", "objects/trail"},
    }


def test_web_reads_objects_and_the_others_the_roster(folder: Path) -> None:
    assert covered(domain("web", folder), folder / "objects" / "media" / "a" / "b")
    assert not covered(domain("web", folder), folder / "run" / "roster")
    for role in ("tap", "worker"):
        assert covered(domain(role, folder), folder / "run" / "roster" / "roster.json")


def test_apart_from_the_warden_the_folder_of_the_roster_is_open(folder: Path) -> None:
    (folder / "keys" / "keyring.json").unlink()
    (folder / "keys" / "roster.json").touch()
    (folder / "run" / "roster" / "roster.json").unlink()

    assert covered(domain("tap", folder), folder / "keys" / "roster.json")


def test_ports_are_those_of_the_settings(folder: Path) -> None:
    more = {
        "web_listen": "127.0.0.1:1",
        "forks_listen": "127.0.0.1:2",
        "sip_listen": "udp:127.0.0.1:3,tcp:127.0.0.1:4",
        "database_url": "postgresql://vault@db.example:6000/callvault",
        "objects_url": "s3://store.example:7000/bucket",
    }
    found = {role: domain(role, folder, **more) for role in ROLES}

    assert {role: set(one.binds or ()) for role, one in found.items()} == {
        "web": {1},
        "tap": {2, 3, 4},
        "worker": set(),
        "auditor": set(),
    }
    assert found["worker"].connects == (53, 6000, 7000)
    assert found["web"].connects is found["tap"].connects is None


def test_a_database_whose_port_is_not_known_limits_nobody(folder: Path) -> None:
    url = "postgresql:///callvault?host=/run/postgresql,db.example"

    assert domain("worker", folder, database_url=url).connects is None


def test_certificates_are_read_where_they_are_renewed(folder: Path) -> None:
    archive, live = (folder.parent / name for name in ("archive", "live"))
    for place in (archive, live):
        place.mkdir()
    (archive / "cert2.pem").touch()
    (live / "cert.pem").symlink_to(archive / "cert2.pem")
    tls = {"tls_cert": live / "cert.pem", "tls_key": live / "cert.pem"}

    for role in ("web", "tap"):
        assert covered(domain(role, folder, **tls), archive / "cert3.pem")
    assert not covered(domain("worker", folder, **tls), archive / "cert3.pem")


def test_a_certificate_beside_the_installation_opens_no_more_than_itself(
    folder: Path,
) -> None:
    cert = folder.parent / "cert.pem"
    cert.touch()
    found = domain("web", folder, tls_cert=cert, tls_key=cert)

    assert covered(found, cert)
    assert not covered(found, folder.parent / "other")


def test_only_the_tap_starts_programs_and_signals_others(folder: Path) -> None:
    found = {role: domain(role, folder) for role in ROLES}

    assert [role for role, one in found.items() if one.runs] == ["tap"]
    assert [role for role, one in found.items() if one.signals] == ["tap"]
    assert not any(one.abstract_sockets for one in found.values())


def test_a_service_manager_with_an_abstract_name_is_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@service/notify")

    assert domain("tap", folder).abstract_sockets
    assert os.environ["NOTIFY_SOCKET"] == "@service/notify"
