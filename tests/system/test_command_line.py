"""The command line: what init makes, what is refused, and with which exit status."""

import json
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.simulators.installation import Installation
from tests.simulators.site import Site

pytestmark = pytest.mark.network


def _refused(vault: Installation, *words: str, **env: str) -> str:
    """Run a command that has to be refused, and return the one line it says."""
    done = vault.run(*words, env=env)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.xdist_group("system-init")
class TestInit:
    def test_it_makes_no_account_and_keeps_everything_private(
        self, bare: Installation
    ) -> None:
        done = bare.run("init", "--yes")

        assert done.returncode == 0
        assert bare.json("user", "list") == []
        assert bare.json("device", "list") == []
        passphrase = bare.folder / "passphrase"
        assert str(passphrase) in done.stderr
        assert passphrase.read_text().strip() not in done.stderr + done.stdout
        assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
        open_to_others = [
            path for path in bare.folder.rglob("*") if path.stat().st_mode & 0o077
        ]
        assert open_to_others == []

    def test_a_second_one_is_refused_and_changes_nothing(
        self, bare: Installation
    ) -> None:
        bare.said("init", "--yes")
        before = _contents(bare.folder / "keys")

        said = _refused(bare, "init", "--yes")

        assert "already holds an installation" in said
        assert before == _contents(bare.folder / "keys")

    def test_a_configured_passphrase_file_is_used_and_none_is_made(
        self, bare: Installation
    ) -> None:
        ours, other = bare.place / "ours", bare.place / "other"
        ours.write_text("nobody guesses this one\n")
        other.write_text("nor this one\n")
        for file in (ours, other):
            file.chmod(0o400)
        bare.env["CALLVAULT_PASSPHRASE_FILE"] = str(ours)

        done = bare.run("init", "--yes")
        wrong = _refused_serve(bare, CALLVAULT_PASSPHRASE_FILE=str(other))
        neither = bare.run(
            "device", "add", "x", env={"CALLVAULT_PASSPHRASE_FILE": str(other)}
        )
        added = bare.json("device", "add", "pbx")

        assert (0, "") == (done.returncode, done.stderr)
        assert not (bare.folder / "passphrase").exists()
        assert "passphrase" in wrong
        assert (1, "") == (neither.returncode, neither.stdout)
        assert "passphrase" in neither.stderr
        assert ["pbx"] == [one["name"] for one in bare.json("device", "list")]
        assert added["token"].startswith("cvd_")

    def test_a_passphrase_that_others_may_read_is_refused(
        self, bare: Installation
    ) -> None:
        file = bare.place / "open"
        file.write_text("everybody reads this\n")
        file.chmod(0o644)

        said = _refused(bare, "init", "--yes", CALLVAULT_PASSPHRASE_FILE=str(file))

        assert "mode 0600" in said
        assert not (bare.folder / "keys" / "keyring.json").exists()


def _refused_serve(vault: Installation, **env: str) -> str:
    """Run ``serve``, which has to refuse to start, and return what it said."""
    done = vault.run("serve", env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for endpoint in (vault.web, vault.forks):
        host, _, port = endpoint.partition(":")
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0
    return done.stderr


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.xdist_group("system-init")
class TestWhatIsRefusedAtTheStart:
    def test_serve_wants_an_installation(self, bare: Installation) -> None:
        assert "callvault init" in _refused_serve(bare)
        assert not bare.folder.exists()

    def test_an_unknown_setting_is_refused_with_the_nearest_name(
        self, bare: Installation
    ) -> None:
        said = _refused(bare, "user", "list", CALLVAULT_WEB_LISTN="127.0.0.1:1")

        assert "CALLVAULT_WEB_LISTN" in said
        assert "web_listen" in said

    def test_an_unknown_key_in_the_file_is_refused_too(
        self, bare: Installation
    ) -> None:
        file = bare.place / "callvault.toml"
        file.write_text('spol_dir = "/tmp"\n')

        said = _refused(bare, "user", "list", CALLVAULT_CONFIG=str(file))

        assert "spol_dir" in said
        assert "did you mean spool_dir" in said

    def test_a_listener_beyond_this_machine_wants_tls(self, bare: Installation) -> None:
        said = _refused(bare, "init", "--yes", CALLVAULT_WEB_LISTEN="0.0.0.0:8080")

        assert "tls_cert" in said

    @pytest.mark.parametrize(
        "words",
        [
            ("no-such-command",),
            ("user", "add"),
            ("user", "add", "x", "--role", "emperor", "--password-stdin"),
            ("simulate",),
            ("recordings", "export", "x", "--output", "y", "--format", "mp3"),
            ("init", "--no-such-option"),
        ],
        ids=" ".join,
    )
    def test_wrong_use_is_2(self, bare: Installation, words: tuple[str, ...]) -> None:
        done = bare.run(*words)

        assert (2, "") == (done.returncode, done.stdout)
        assert not bare.folder.exists()


@pytest.mark.xdist_group("system-init")
def test_a_port_that_is_taken_is_named_and_nothing_is_left_running(
    bare: Installation,
) -> None:
    bare.said("init", "--yes")
    for listener in ("web", "forks", "metrics"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
            name = f"CALLVAULT_{listener.upper()}_LISTEN"
            done = bare.run("serve", env={name: endpoint})

        assert done.returncode == 1
        assert f"{listener}_listen {endpoint}: Address already in use" in done.stderr
        assert "Traceback" not in done.stderr
    # The lock of its warden is free, and so is the lock of its spool.
    assert bare.json("device", "add", "pbx")["token"]


@pytest.mark.xdist_group("system-init")
def test_commands_and_serve_may_start_at_the_same_moment(bare: Installation) -> None:
    bare.said("init", "--yes")

    with ThreadPoolExecutor() as pool:
        devices = [pool.submit(bare.json, "device", "add", f"pbx-{n}") for n in "ab"]
        bare.start()
        tokens = {device.result()["token"] for device in devices}

    assert len(tokens) == 2
    assert bare.stop() == 0
    assert '"restarts"' not in bare.logged()
    assert "child.died" not in bare.logged()


@pytest.mark.xdist_group("system-shared")
class TestWhileItServes:
    @pytest.mark.parametrize(
        "words",
        [
            ("user", "list"),
            ("role", "list"),
            ("workgroup", "list"),
            ("device", "list"),
            ("sessions", "list"),
            ("recordings", "list"),
            ("spool", "status"),
        ],
        ids=" ".join,
    )
    def test_what_is_a_table_is_also_json(
        self, site: Site, words: tuple[str, ...]
    ) -> None:
        rows = site.vault.json(*words)

        assert isinstance(rows, list)
        assert {dict} >= {type(row) for row in rows}
        assert all(token not in str(rows) for token in site.vault.tokens)

    def test_a_table_has_the_same_rows(self, site: Site) -> None:
        rows = site.vault.json("user", "list")
        wide = site.vault.run("user", "list", env={"COLUMNS": "200"})
        table = wide.stdout.splitlines()

        assert ["id", "name", "roles", "workgroups", "disabled"] == table[0].split()
        assert [row["name"] for row in rows] == [line.split()[1] for line in table[1:]]

    def test_the_doctor_finds_nothing_wrong(self, site: Site) -> None:
        done = site.vault.run("doctor")

        assert done.returncode == 0, done.stdout
        for part in ("catalog database", "audit database", "object store", "roster"):
            assert f"ok    {part}" in done.stdout
        assert "warden serves" in done.stdout

    def test_metrics_tell_of_every_process_and_of_no_recording(
        self, site: Site
    ) -> None:
        page = httpx.get(f"http://{site.vault.metrics}/metrics", timeout=30).text

        for name in ("warden", "tap", "worker", "web"):
            assert f'callvault_process_up{{process="{name}"}} 1.0' in page
        assert "callvault_audit_healthy 1.0" in page
        assert "Claims" not in page

    def test_a_second_serve_is_refused_and_the_first_goes_on(self, site: Site) -> None:
        done = site.vault.run("serve")

        assert done.returncode == 1
        assert "already serves" in done.stderr
        assert site.vault.is_ready()

    def test_simulate_places_a_call_that_is_recorded(self, site: Site) -> None:
        token = site.vault.place / "token"
        token.write_text(site.pbx.token)

        said = json.loads(
            site.vault.said(
                "simulate", "--forks", f"http://{site.vault.forks}", "--token-file",
                token, "--seconds", "1", "--workgroup", "Claims", "--json",
            )
        )  # fmt: skip
        shown = site.vault.finished(site.sam, said["id"])
        told = site.vault.json("recordings", "show", said["id"])

        assert (100, "ready") == (said["sent"], shown["state"])
        assert "ready" == told["state"]
        assert "rendition/0001" in {one["name"] for one in told["objects"]}

    def test_a_token_for_scripts_opens_the_api(self, site: Site) -> None:
        token = site.vault.said(
            "token", "add", "sam", "--name", "report", "--ttl", "1h"
        )
        site.vault.tokens.append(token.strip())

        answer = site.sam.get(
            "/recordings", headers={"Authorization": f"Bearer {token.strip()}"}
        )

        assert answer.status_code == 200

    def test_a_token_is_limited_listed_and_revoked(self, site: Site) -> None:
        made = site.vault.json(
            "token", "add", "olivia", "--name", "siem", "--permission",
            "audit:trail:read",
        )  # fmt: skip
        site.vault.tokens.append(made["token"])
        headers = {"Authorization": f"Bearer {made['token']}"}
        statuses = [
            site.olivia.get(path, headers=headers).status_code
            for path in ("/audit/entries", "/audit/export")
        ]
        (listed,) = site.vault.json("token", "list", "--user", "olivia")
        site.vault.said("token", "revoke", made["id"])

        assert [200, 403] == statuses
        assert ("siem", "audit:trail:read", "127.0.0.1") == (
            listed["name"],
            listed["permissions"],
            listed["from"],
        )
        assert 401 == site.olivia.get("/audit/entries", headers=headers).status_code

    def test_a_session_is_listed_and_ended(self, site: Site) -> None:
        client = site.vault.sign_in("rita")
        sessions = site.vault.json("sessions", "list", "--user", "rita")
        newest = sessions[0]
        site.vault.said("sessions", "end", newest["id"])

        assert ("rita", "bearer", "open", "127.0.0.1", "pwd") == tuple(
            newest[name] for name in ("user", "kind", "state", "origin", "methods")
        )
        assert 401 == client.get("/recordings").status_code

    def test_what_is_not_there_is_said_in_one_line(self, site: Site) -> None:
        nobody = site.vault.run("user", "disable", "nobody")
        nothing = site.vault.run(
            "recordings", "show", "3f1b8a52-0d3c-4c1a-9a40-6f1d9f0c7e11"
        )

        for done in (nobody, nothing):
            assert (1, 1) == (done.returncode, len(done.stderr.splitlines()))
