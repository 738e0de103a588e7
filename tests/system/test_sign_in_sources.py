"""A whole installation whose people come from three sources: its own, LDAP, a plug-in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from argon2 import PasswordHasher

from tests.simulators.installation import ROOT, Installation, until
from tests.simulators.site import problem
from tests.simulators.slapd import (
    GROUPS,
    PASSWORD,
    PEOPLE,
    PROGRAM,
    SERVICE,
    SERVICE_PASSWORD,
    Slapd,
    slapd,
)

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="no slapd here"),
    pytest.mark.xdist_group("sign-in-sources"),
]

EXAMPLE: Final = ROOT / "docs" / "examples" / "authenticator-plugin"
PAT: Final = "a password of the file"
LISTENERS: Final = f"cn=listeners,{GROUPS}"


@dataclass
class Company:
    vault: Installation
    directory: Slapd
    file: Path

    def sign_in(self, name: str, password: str) -> httpx.Response:
        return self.vault.client(self.vault.web).post(
            "/sessions", json={"user": name, "password": password}
        )

    def bearer(self, name: str, password: str) -> tuple[httpx.Client, dict[str, Any]]:
        answer = self.sign_in(name, password)
        assert answer.status_code == 201, answer.text
        client = self.vault.client(self.vault.web)
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client, answer.json()

    def write(self, *people: str) -> None:
        hashed = PasswordHasher(time_cost=1, memory_cost=64).hash(PAT)
        self.file.write_text(
            "".join(f"{one}:id-of-{one}:file-officers:{hashed}\n" for one in people)
        )


def installed(folder: Path) -> Path:
    """Install the example as a distribution of its own; return where."""
    target = folder / "site"
    uv = Path(sys.prefix) / "bin" / "uv"
    words = [str(uv), "pip", "install", "-q", "--python", sys.executable]
    if not uv.exists():
        words = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run(
        [*words, "--no-deps", "--target", str(target), str(EXAMPLE)],
        check=True,
        timeout=120,
    )
    return target


@contextmanager
def company(folder: Path) -> Iterator[Company]:
    with slapd(folder) as directory:
        ann = directory.person("ann")
        directory.group("listeners", ann, directory.person("bea"))
        directory.person("eve")
        password, file = folder / "bind-password", folder / "people"
        password.touch(mode=0o600)
        password.write_text(SERVICE_PASSWORD + "\n")
        config = folder / "callvault.toml"
        config.write_text(
            f"""
            sign_in_order = "local, ldap, plugin:htpasswd"
            ldap_url = "{directory.url("ldap")}"
            ldap_ca_file = "{directory.ca}"
            ldap_bind_dn = "{SERVICE}"
            ldap_bind_password_file = "{password}"
            ldap_base = "{PEOPLE}"
            ldap_user_filter = "(objectClass=inetOrgPerson)"
            ldap_recheck_s = 10
            [group_map]
            "{LISTENERS}" = "supervisor, workgroup:Claims"
            file-officers = "officer"
            [plugins.htpasswd]
            file = "{file}"
            """
        )
        path = os.pathsep.join(
            [str(installed(folder)), os.environ.get("PYTHONPATH", "")]
        )
        vault = Installation({"CALLVAULT_CONFIG": str(config), "PYTHONPATH": path})
        made = Company(vault, directory, file)
        made.write("pat", "quin")
        try:
            vault.said("init", "--yes")
            vault.add_user("sam", "supervisor", "Sales")
            vault.start()
            yield made
            assert vault.stop() == 0
        finally:
            vault.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("company")) as made:
        yield made


def test_the_directory_can_be_tried_out(site: Company) -> None:
    said = site.vault.said("ldap", "test", "ann", "--password-stdin", stdin=PASSWORD)

    assert "protected by TLSv1.3" in said
    assert f"group: {LISTENERS}\n" in said
    assert said.endswith("roles: supervisor\nworkgroups: Claims\nComes in.\n")
    for name, password in (("ann", "wrong"), ("eve", PASSWORD), ("nobody", PASSWORD)):
        tried = site.vault.run("ldap", "test", name, "--password-stdin", stdin=password)
        assert 1 == tried.returncode, tried.stdout
        assert PASSWORD not in tried.stdout + tried.stderr


def test_people_of_all_three_come_in_with_the_roles_of_their_groups(
    site: Company,
) -> None:
    roles = {
        name: site.bearer(name, password)[1]["roles"]
        for name, password in (
            ("sam", site.vault.passwords["sam"]),
            ("ann", PASSWORD),
            ("pat", PAT),
        )
    }

    assert {"sam": ["supervisor"], "ann": ["supervisor"], "pat": ["officer"]} == roles
    added = [one for one in site.vault.trail() if one["action"] == "access.user.added"]
    assert {"local", "ldap", "plugin:htpasswd"} == {
        one["detail"]["source"] for one in added
    }
    trail = str(site.vault.trail())
    assert not [one for one in ("ann", "pat", PASSWORD, PAT) if f"'{one}'" in trail]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("ann", PAT),
        ("pat", PASSWORD),
        ("sam", PASSWORD),
        ("eve", PASSWORD),
        ("nobody", PASSWORD),
        ("*", PASSWORD),
        ("ann", ""),
    ],
)
def test_h42_whoever_is_refused_reads_the_same(
    site: Company, name: str, password: str
) -> None:
    answer = site.sign_in(name, password)

    assert "the name, the password or the code is wrong" == problem(answer)["detail"]
    assert 401 == answer.status_code


def test_h42_who_is_disabled_in_the_directory_is_out_by_itself(site: Company) -> None:
    client, _ = site.bearer("bea", PASSWORD)
    token = client.post("/tokens", json={"name": "script", "ttl_s": 3600}).json()
    script = site.vault.client(site.vault.web)
    script.headers["Authorization"] = f"Bearer {token['token']}"
    assert 200 == script.get("/recordings").status_code
    site.directory.change(f"uid=bea,{PEOPLE}", nsAccountLock="TRUE")

    for one in (client, script):
        until(lambda one=one: one.get("/recordings").status_code == 401, "bea is out")
    ended = [
        one for one in site.vault.trail() if one["action"] == "access.session.ended"
    ]
    assert "source" == ended[-1]["detail"]["how"]
    assert 401 == site.sign_in("bea", PASSWORD).status_code


def test_who_is_struck_out_of_the_plug_ins_file_is_out_by_itself(site: Company) -> None:
    client, _ = site.bearer("quin", PAT)
    assert 200 == client.get("/sessions/current").status_code
    site.write("pat")

    until(lambda: client.get("/sessions/current").status_code == 401, "quin is out")
    assert 401 == site.sign_in("quin", PAT).status_code


def test_who_must_change_the_password_can_do_nothing_else(site: Company) -> None:
    first, second = "a password for one day", "a password of my own"
    site.vault.said(
        *("user", "add", "newcomer", "--role", "supervisor", "--workgroup", "Sales"),
        *("--must-change", "--password-stdin"),
        stdin=first + "\n",
    )
    client, _ = site.bearer("newcomer", first)
    other, _ = site.bearer("newcomer", first)
    refused = problem(client.get("/recordings"))

    assert (403, "/problems/password-change-required") == (
        refused["status"],
        refused["type"],
    )
    for wrong, status in (("not it, I am afraid", 401), (first, 422)):
        answer = client.post(
            "/users/current/password",
            json={"current": wrong, "new": first},
        )
        assert status == answer.status_code, answer.text
    changed = client.post(
        "/users/current/password", json={"current": first, "new": second}
    )
    assert 204 == changed.status_code, changed.text
    assert 200 == client.get("/recordings").status_code
    assert 401 == other.get("/recordings").status_code
    assert 401 == site.sign_in("newcomer", first).status_code
    assert 201 == site.sign_in("newcomer", second).status_code


def test_a_password_of_another_source_cannot_be_changed_here(site: Company) -> None:
    client, _ = site.bearer("ann", PASSWORD)
    answer = client.post(
        "/users/current/password",
        json={"current": PASSWORD, "new": "something else entirely"},
    )

    assert 409 == answer.status_code
    assert (
        1
        == site.vault.run(
            "user",
            "passwd",
            "ann",
            "--password-stdin",
            stdin="something else entirely\n",
        ).returncode
    )


def test_h42_while_the_directory_is_down_others_come_in(site: Company) -> None:
    """Others who have been here: a new name might be one of the directory's."""
    site.bearer("pat", PAT)
    site.directory.stop()
    try:
        assert 201 == site.sign_in("sam", site.vault.passwords["sam"]).status_code
        assert 201 == site.sign_in("pat", PAT).status_code
        refused = {
            site.sign_in(name, password).status_code
            for name, password in (
                ("ann", PASSWORD),
                ("sam", "wrong"),
                ("zoe", "wrong"),
            )
        }
        assert {503} == refused
    finally:
        site.directory.start()
    assert 201 == site.sign_in("ann", PASSWORD).status_code


def test_a_plug_in_that_is_not_there_stops_the_start(site: Company) -> None:
    order = "local,ldap,plugin:missing"
    started = site.vault.run("web", env={"CALLVAULT_SIGN_IN_ORDER": order})

    assert 1 == started.returncode
    assert "no plug-ins are called missing" in started.stderr
