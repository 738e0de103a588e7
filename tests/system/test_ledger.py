"""The ledger as an operator sees it, and against a PBX's call detail records."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.site import Heard, Site

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


@pytest.fixture(scope="module")
def named(site: Site) -> Heard:
    """A call that its PBX has an id for."""
    return site.heard(seconds=2.0, id="asterisk-1795.42")


@pytest.fixture(scope="module")
def unnamed(site: Site) -> Heard:
    """A call whose PBX said no more than its numbers."""
    return site.heard(seconds=2.0, caller="+49 30 7654321", callee="4711")


def _records(site: Site, *rows: str) -> Path:
    file = site.vault.place / "cdr.csv"
    head = "calldate;src;dst;billsec;uniqueid"
    file.write_bytes("\r\n".join([head, *rows, ""]).encode("latin-1"))
    return file


def _compared(site: Site, file: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = site.vault.run("sessions", "--reconcile", file, "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_every_session_is_in_the_ledger_with_its_end(
    site: Site, named: Heard, unnamed: Heard
) -> None:
    ledger = {one["id"]: one for one in site.vault.json("sessions")}

    assert [("stored", ""), ("stored", "")] == [
        (ledger[one.id]["end"], ledger[one.id]["reason"]) for one in (named, unnamed)
    ]


def test_people_who_are_signed_in_are_still_listed(site: Site) -> None:
    assert "sam" in {one["user"] for one in site.vault.json("sessions", "list")}


def test_what_only_one_side_knows_is_told_and_fails(
    site: Site, named: Heard, unnamed: Heard
) -> None:
    now = _now()
    file = _records(
        site,
        f"{now};+442079460123;+442079460100;2;ASTERISK-1795.42",
        f"{now};0307654321;4711;90;",
        f"{now};100;200;30;never-recorded",
        f"{now};100;200;0;not-answered",
        "some day;1;2;x;\xfc",
    )
    status, found = _compared(site, file, "--window", "3600")
    differ = {one["session"]["id"]: one["differences"] for one in found["different"]}
    there = {one["id"] for one in found["not_in_records"]}

    assert (1, False) == (status, found["complete"])
    assert ["never-recorded"] == [one["call_id"] for one in found["not_recorded"]]
    assert [6] == found["unreadable_lines"]
    assert [6] == [one["line"] for one in found["unreadable"]]
    assert {unnamed.id: ["duration"]} == differ
    assert there.isdisjoint({named.id, unnamed.id})


def test_what_was_compared_is_on_the_trail(site: Site, named: Heard) -> None:
    file = _records(site, f"{_now()};1;2;2;asterisk-1795.42")
    _compared(site, file, "--window", "3600")
    trail = site.vault.trail()
    mine = [one for one in trail if one["actor"].startswith("os:")]
    (listed,) = [
        one
        for one in mine
        if one["action"] == "recording.listed"
        and one["detail"].get("purpose") == "reconcile"
    ][-1:]

    assert listed["detail"]["rows"] > 0
    assert "recording.rows.opened" in {one["action"] for one in mine}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--column-id", "no such"), "no column"),
        (("--timezone", "Mars/Olympus"), "no time zone"),
        (("--since", "yesterday"), "a day is written"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    site: Site, named: Heard, words: tuple[str, ...], said: str
) -> None:
    file = _records(site, f"{_now()};1;2;2;asterisk-1795.42")
    done = site.vault.run("sessions", "--reconcile", file, *words)

    assert (1, True) == (done.returncode, said in done.stderr)
    assert "Traceback" not in done.stderr


def test_the_spool_says_how_it_stands(site: Site, named: Heard) -> None:
    totals = site.vault.json("spool", "status", "--summary")
    watched = site.vault.run("spool", "status", "--watch")

    assert ("", 0) == (totals["alarm"], watched.returncode)
