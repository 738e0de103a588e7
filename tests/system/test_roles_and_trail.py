"""Who sees what, and what the trail says about it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulators.installation import ROOT
from tests.simulators.site import NUMBERS, Heard, Site, problem

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]

NOWHERE = "3f1b8a52-0d3c-4c1a-9a40-6f1d9f0c7e11"
PARTS = ("", "/audio", "/peaks", "/capture", "/screen")
# Long enough that no digest spells them by chance.
SECRET_WORDS = ("+442079460123", "2079460100", "Ingeborg", "Claims", "olivia")


@pytest.fixture(scope="module")
def heard(site: Site) -> Heard:
    """A call of Claims, taken by somebody who has no account."""
    return site.heard(seconds=1.5, agent="Ingeborg")


class TestASupervisorOfAnotherWorkgroup:
    @pytest.mark.parametrize("part", PARTS)
    def test_a_recording_is_as_absent_as_one_that_never_was(
        self, site: Site, heard: Heard, part: str
    ) -> None:
        there = site.rita.get(f"/recordings/{heard.id}{part}")
        nowhere = site.rita.get(f"/recordings/{NOWHERE}{part}")

        assert (404, 404) == (there.status_code, nowhere.status_code)
        assert nowhere.content == there.content
        assert heard.id not in there.text

    def test_no_list_search_or_grant_gives_it_away(
        self, site: Site, heard: Heard
    ) -> None:
        number = NUMBERS["caller"]
        lists = [
            site.rita.get("/recordings"),
            site.rita.get("/recordings", params={"party": number}),
            site.rita.get("/recordings", params={"workgroup": "Claims"}),
            site.rita.get("/recordings", params={"agent": "Ingeborg"}),
        ]
        grant = site.rita.post(f"/recordings/{heard.id}/grants", json={})

        assert [[]] * 4 == [answer.json()["items"] for answer in lists]
        assert grant.status_code == 404

    def test_their_own_supervisor_finds_it_by_number_and_by_agent(
        self, site: Site, heard: Heard
    ) -> None:
        for member, value in (("party", NUMBERS["caller"]), ("agent", "ingeborg")):
            found = site.sam.get("/recordings", params={member: value}).json()

            assert heard.id in {item["id"] for item in found["items"]}


class TestAdministratorAndOfficer:
    @pytest.mark.parametrize("name", ["admin", "olivia"])
    def test_they_neither_see_nor_hear_recordings(
        self, site: Site, heard: Heard, name: str
    ) -> None:
        client: httpx.Client = getattr(site, name)
        answers = [client.get(f"/recordings/{heard.id}{part}") for part in PARTS]
        nowhere = client.get(f"/recordings/{NOWHERE}/audio")

        assert {404} == {answer.status_code for answer in answers}
        assert {nowhere.content} == {answer.content for answer in answers}
        assert client.get("/recordings").json()["items"] == []

    @pytest.mark.parametrize("path", ["/entries", "/checkpoint", "/export"])
    def test_the_officer_alone_reads_the_trail(self, site: Site, path: str) -> None:
        answers = {
            name: getattr(site, name).get(f"/audit{path}")
            for name in ("olivia", "sam", "rita", "admin")
        }

        assert {"olivia": 200, "sam": 403, "rita": 403, "admin": 403} == {
            name: answer.status_code for name, answer in answers.items()
        }
        assert problem(answers["sam"])["type"] == "/problems/forbidden"

    def test_without_a_session_everything_is_401(
        self, site: Site, heard: Heard
    ) -> None:
        for path in ("/recordings", f"/recordings/{heard.id}/audio", "/audit/entries"):
            answer = httpx.get(f"http://{site.vault.web}/api/v1{path}", timeout=30)

            assert answer.status_code == 401

    def test_a_disabled_user_is_out_at_once(self, site: Site) -> None:
        site.vault.add_user("leaver", "supervisor", "Claims")
        leaver = site.vault.sign_in("leaver")
        before = leaver.get("/recordings").status_code

        site.vault.said("user", "disable", "leaver")

        assert (200, 401) == (before, leaver.get("/recordings").status_code)


Export = Callable[[], Path]


@pytest.fixture
def exported(site: Site, tmp_path: Path) -> Export:
    def export() -> Path:
        file = tmp_path / "trail.jsonl"
        answer = site.olivia.get("/audit/export", params={"format": "jsonl"})
        assert answer.status_code == 200
        file.write_bytes(answer.content)
        return file

    return export


def _verdicts(site: Site, file: Path, *more: str | Path) -> tuple[int, int]:
    """Return what ``callvault audit verify`` and ``verify-trail`` say."""
    key = site.vault.said("audit", "key").strip()
    ours = site.vault.run("audit", "verify", file, "--key", key, *more)
    # Isolated: it may not find the vault even by accident.
    apart = subprocess.run(
        [
            sys.executable,
            "-I",
            ROOT / "scripts/verify-trail",
            file,
            "--key",
            key,
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ours.returncode, apart.returncode


def _edit(
    change: Callable[[dict[str, Any]], None], index: int
) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        lines = file.read_text().splitlines()
        rows = [n for n, line in enumerate(lines) if '"entry":' in line]
        line = json.loads(lines[rows[index]])
        change(line["entry"])
        lines[rows[index]] = json.dumps(line, separators=(",", ":"), sort_keys=True)
        file.write_text("\n".join(lines) + "\n")

    return edit


def _without_a_line(file: Path) -> None:
    lines = file.read_text().splitlines()
    row = next(n for n, line in enumerate(lines) if '"index":5,' in line)
    file.write_text("\n".join(lines[:row] + lines[row + 1 :]) + "\n")


def _without_the_end(file: Path) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:-2]) + "\n")


class TestTheTrail:
    def test_two_verifiers_agree_that_it_is_sound(
        self, site: Site, heard: Heard, exported: Export, tmp_path: Path
    ) -> None:
        by_api, by_cli = exported(), tmp_path / "cli.jsonl"
        site.vault.said(
            "audit", "export", "--format", "jsonl", "--output", by_cli,
            "--previous", by_api,
        )  # fmt: skip

        assert _verdicts(site, by_api) == (0, 0)
        assert _verdicts(site, by_cli, "--previous", by_api) == (0, 0)

    @pytest.mark.parametrize(
        "tamper",
        [
            _edit(lambda entry: entry.update(action="recording.played"), 4),
            _edit(lambda entry: entry.update(result="refused"), 2),
            _edit(lambda entry: entry.pop("actor"), 3),
            _without_a_line,
            _without_the_end,
        ],
        ids=["action", "result", "actor", "row-gone", "end-gone"],
    )
    def test_two_verifiers_agree_that_it_was_edited(
        self,
        site: Site,
        heard: Heard,
        exported: Export,
        tamper: Callable[[Path], None],
    ) -> None:
        file = exported()
        tamper(file)

        assert _verdicts(site, file) == (1, 1)

    def test_every_step_of_a_call_is_on_it(self, site: Site, heard: Heard) -> None:
        site.sam.get(f"/recordings/{heard.id}/audio").raise_for_status()

        trail = site.vault.trail()

        of_this = [entry for entry in trail if entry.get("recording") == heard.id]
        steps = [
            (entry["action"], entry["via"], entry.get("detail", {}).get("purpose"))
            for entry in of_this
        ]
        for step in (
            ("recording.started", "tap", None),
            ("recording.captured", "tap", None),
            ("recording.key.released", "worker", "render"),
            ("recording.rendered", "worker", None),
            ("recording.key.released", "web", "play"),
        ):
            assert step in steps
        sams = site.vault.json("user", "list")
        sam_id = next(one["id"] for one in sams if one["name"] == "sam")
        assert f"user:{sam_id}" in {
            entry["actor"]
            for entry in of_this
            if entry["action"] == "recording.key.released" and entry["via"] == "web"
        }
        actions = [entry["action"] for entry in trail]
        assert actions[0] == "audit.log.created"
        assert actions[-1] == "audit.trail.exported"
        assert {"access.user.added", "access.device.added"} <= set(actions)

    def test_a_refusal_is_on_it_too(self, site: Site, heard: Heard) -> None:
        site.rita.get(f"/recordings/{heard.id}/audio")

        refusals = [
            entry
            for entry in site.vault.trail()
            if entry["result"] == "refused" and entry.get("recording") == heard.id
        ]

        assert "web" in {entry["via"] for entry in refusals}

    def test_it_tells_nobody_a_number_a_name_or_a_password(
        self, site: Site, heard: Heard, exported: Export
    ) -> None:
        httpx.post(
            f"http://{site.vault.web}/api/v1/sessions",
            json={"user": "my-password-by-mistake", "password": "hunter2-hunter2"},
            timeout=30,
        )
        text = exported().read_text()

        secrets = [*SECRET_WORDS, "my-password-by-mistake", "hunter2"]
        secrets += [*site.vault.passwords.values(), *site.vault.tokens]
        assert [] == [word for word in secrets if word in text]
