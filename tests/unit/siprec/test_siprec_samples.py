"""Messages in the shapes of eight vendors, ours, so that every clone has them."""

import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest

from vault.core.flow import CallFacts, Direction
from vault.sip.messages import Request, parse_message
from vault.siprec.bodies import read_bodies
from vault.siprec.metadata import read_or_flag
from vault.siprec.parties import METADATA, SIDES, changes, facts_of, learned
from vault.siprec.updates import merged

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests/vectors/siprec"
NOW_NS = 1_710_003_400_000_000_000
UCID = "00025000160955721139"
JOINED_NS, LEFT_NS = 1_710_003_020_000_000_000, 1_710_003_320_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is expected of one message."""

    people: tuple[tuple[str, str, tuple[str, ...]], ...]
    "Address, name, streams."
    sides: tuple[str, str, str]
    "Caller, callee, and how they are known."
    pbx_id: str
    direction: Direction = Direction.UNKNOWN
    metadata: str = "complete"


EXPECTED = {
    "audiocodes.sip": Reading(
        people=(
            ("sip:+15550107@192.0.2.40", "", ("1",)),
            ("sip:+15550108@192.0.2.40", "", ("2",)),
        ),
        sides=("+15550107", "+15550108", "by-order"),
        pbx_id=UCID,
    ),
    "broadworks.sip": Reading(
        people=(
            ("sip:5550103", "", ("5",)),
            ("sip:5550104@as.example", "", ("5",)),
        ),
        sides=("5550104", "+15550103", "stated"),
        pbx_id="callhalf-17:0",
        direction=Direction.INBOUND,
    ),
    "cisco-cube.sip": Reading(
        people=(
            ("sip:5550109@192.0.2.50", "Ann Sample", ("1",)),
            ("sip:5550110@192.0.2.51", "", ("2",)),
        ),
        sides=("5550109", "5550110", "by-order"),
        pbx_id="0A" * 16,
    ),
    "cisco-cube-headers.sip": Reading(
        people=(
            ("sip:5550116@192.0.2.71", "", ("1",)),
            ("sip:5550117@192.0.2.71", "", ("2",)),
        ),
        sides=("5550116", "5550117", "by-headers"),
        pbx_id="0102030405060708090A0B0C0D0E0F10",
        metadata="",
    ),
    "cisco-cucm-far.sip": Reading(
        people=(("5550114", "Ann Sample", ()), ("5550115", "", ("1",))),
        sides=("5550115", "5550114", "by-headers"),
        pbx_id="4711",
        metadata="",
    ),
    "cisco-cucm-near.sip": Reading(
        people=(("5550114", "Ann Sample", ("1",)), ("5550115", "", ())),
        sides=("5550115", "5550114", "by-headers"),
        pbx_id="4711",
        metadata="",
    ),
    "opensips.sip": Reading(
        people=(
            ("sip:5550111@192.0.2.60", "Sam", ("1",)),
            ("sip:5550112@192.0.2.61", "", ("2",)),
        ),
        sides=("5550111", "5550112", "by-order"),
        pbx_id="call@192.0.2.60",
    ),
    "oracle.sip": Reading(
        people=(
            ("sip:5550101@192.0.2.20", "5550101", ("91",)),
            ("sip:5550102@192.0.2.20", "5550102", ("92",)),
        ),
        sides=("5550102", "5550101", "stated"),
        pbx_id=UCID,
    ),
    "ribbon.sip": Reading(
        people=(
            ("sip:5550105@192.0.2.30", "", ("2",)),
            ("sip:5550106@192.0.2.30", "", ("1",)),
        ),
        sides=("5550106", "5550105", "stated"),
        pbx_id="241205268",
    ),
    "unreadable.sip": Reading(
        people=(("sip:recorder@192.0.2.10", "", ("1",)),),
        sides=("recorder@192.0.2.10", "", "by-headers"),
        pbx_id="sample@192.0.2.10",
        metadata="unreadable",
    ),
}


def message(name: str) -> Request:
    found = parse_message((VECTORS / name).read_bytes())
    assert isinstance(found, Request)
    return found


def facts_in(*names: str) -> CallFacts:
    """Return what is known after the messages *names* of one session."""
    known, facts = None, None
    for name in names:
        request = message(name)
        bodies = read_bodies(request)
        found, flaw = read_or_flag(bodies.metadata) if bodies.metadata else (None, "")
        known = merged(known, found, now_ns=NOW_NS) if found else known
        now = facts_of(request, known, labels=bodies.labels, flaw=flaw, gtd=bodies.gtd)
        facts = learned(facts, now, now_ns=NOW_NS)
    assert facts is not None
    return facts


def test_the_samples_are_what_their_script_makes() -> None:
    made = runpy.run_path(str(ROOT / "scripts/make-siprec-samples"))["samples"]()

    assert made == {each.name: each.read_bytes() for each in VECTORS.glob("*.sip")}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_dialect_is_understood(name: str) -> None:
    facts = facts_in(name)

    assert EXPECTED[name] == Reading(
        people=tuple(
            (each.aor, each.name, each.streams) for each in facts.participants
        ),
        sides=(facts.caller, facts.callee, facts.attributes.get(SIDES, "")),
        pbx_id=facts.pbx_id,
        direction=facts.direction,
        metadata=facts.attributes.get(METADATA, ""),
    )


def test_a_transfer_shows_who_left_and_who_came() -> None:
    facts = facts_in("cisco-cube.sip", "transfer-partial.sip")

    assert [
        ("P1", "Ann Sample", ("1",), JOINED_NS, 0),
        ("P2", "", ("2",), JOINED_NS, LEFT_NS),
        ("P3", "Cid Sample", ("2",), LEFT_NS, 0),
    ] == [
        (each.id, each.name, each.streams, each.joined_ns, each.left_ns)
        for each in facts.participants
    ]


def test_a_transfer_tells_the_recorder_of_the_parties_and_nothing_else() -> None:
    before = facts_in("cisco-cube.sip")
    after = facts_in("cisco-cube.sip", "transfer-partial.sip")

    assert {"participants": after.participants} == changes(before, after)


def test_metadata_that_comes_late_fills_what_headers_could_not_say() -> None:
    facts = facts_in("cisco-cube-headers.sip", "cisco-cube.sip")

    assert ("5550109", "5550110", "by-order", ["P1", "P2"]) == (
        facts.caller,
        facts.callee,
        facts.attributes[SIDES],
        [each.id for each in facts.participants],
    )


def test_metadata_that_breaks_later_takes_nothing_away() -> None:
    before = facts_in("cisco-cube.sip")
    after = facts_in("cisco-cube.sip", "unreadable.sip")

    assert {"attributes": {METADATA: "unreadable"}} == changes(before, after)
