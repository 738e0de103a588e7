"""What a person who knows a vendor would read out of its message, by hand."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from vault.core.flow import CallFacts, Direction
from vault.sip.messages import Headers, Request
from vault.siprec.bodies import read_bodies
from vault.siprec.metadata import read_or_flag
from vault.siprec.parties import facts_of
from vault.siprec.updates import merged

NOW_NS = 1_700_000_000_000_000_000
OF_THE_RECORDING = "recording-1@192.0.2.250"

Row = tuple[str, str, str, tuple[str, ...]]
"Identifier, address, name, streams."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is expected of one body."""

    participants: tuple[Row, ...] = ()
    labels: tuple[str, ...] = ("1", "2")
    caller: str = ""
    callee: str = ""
    direction: Direction = Direction.UNKNOWN
    pbx_id: str = OF_THE_RECORDING
    attributes: tuple[tuple[str, str], ...] = ()
    "Beside ``sip_call_id``, which each has."


OPENSIPS = Reading(
    participants=(
        (
            "WEWTz80cS1Cqdyepmu3STQ==",
            "sip:15550100002@192.0.2.9",
            "test_user",
            ("1",),
        ),
        (
            "21Isz6eFRYuiDN0vEkVXQQ==",
            "sip:15550100003@sip-cust1.connectel.io",
            "",
            ("2",),
        ),
    ),
    caller="15550100002",
    callee="15550100003",
    pbx_id="2d8abbf0769c66e15bb349f509693d60@192.0.2.9",
    attributes=(
        ("call_id", "2d8abbf0769c66e15bb349f509693d60@192.0.2.9"),
        ("siprec_metadata", "complete"),
        ("siprec_remarks", "streams-by-order"),
        ("siprec_session_id", "2+hKdGY+QvCKu8HYTdBouQ=="),
        ("siprec_sides", "by-order"),
    ),
)
"OpenSIPS writes the caller first, and no association at all."

EXPECTED = {
    # Oracle: who called is flagged; identifiers of its own only, no UCID here.
    "acme-siprec-offer.txt": Reading(
        participants=(
            ("fSD3PFErSjNTHLDiXCELjw==", "sip:9000@192.0.2.2", "9000", ("16777227",)),
            ("EbccNyypRlFYXTm4iw8hxw==", "sip:1002@192.0.2.3", "1002", ("16777228",)),
        ),
        labels=("16777227", "16777228"),
        caller="9000",
        callee="1002",
        attributes=(
            ("siprec_metadata", "complete"),
            ("siprec_session_id", "AavRXwIIQj1Q39eJulTipQ=="),
            ("siprec_sides", "stated"),
        ),
    ),
    # AudioCodes, "legacy": addresses without scheme; the numbers in this sample were
    # replaced on one side of each reference only.
    "audiocodes-legacy.txt": Reading(
        participants=(
            ("+15550100010", "sip:+15550100010@192.0.2.22", "", ("1",)),
            ("+15550100011", "sip:+15550100011@192.0.2.23", "", ("2",)),
        ),
        caller="+15550100010",
        callee="+15550100011",
        attributes=(
            ("siprec_group_id", "00000000-0000-00d7-2bb4-1f0000134ba8"),
            ("siprec_metadata", "complete"),
            ("siprec_remarks", "unknown-stream,streams-by-order"),
            ("siprec_session_id", "0000-0000-0000-0000-f5be9a848c0c5be5"),
            ("siprec_sides", "by-order"),
        ),
    ),
    # Avaya SBCE: the session's identifier is the UCID: node 0x0070, sequence 0x5D4C,
    # 2019-11-12 12:57:37 UTC.
    "broadworks-offer-2.txt": Reading(
        participants=(
            ("9a2de728ba0bc348db1e", "sip:15550100001@192.0.2.6", "", ("10",)),
            ("abcdef12345678901234", "sip:ASBCE@asbce.com", "", ("20",)),
        ),
        labels=("10", "20"),
        caller="15550100001",
        callee="ASBCE@asbce.com",
        pbx_id="00112238841573563457",
        attributes=(
            ("siprec_metadata", "complete"),
            ("siprec_session_id", "00FA0800705D4C5DCAAC41"),
            ("siprec_sides", "by-order"),
            ("ucid", "00112238841573563457"),
        ),
    ),
    # BroadWorks: somebody has taken the tags out of this sample.  Kept and flagged.
    "broadworks-offer.txt": Reading(
        labels=("1",), attributes=(("siprec_metadata", "unreadable"),)
    ),
    # Cisco CUBE: the call's identifier is in the gateway's own part.
    "cisco-siprec-offer.txt": Reading(
        participants=(
            ("kQNhKFdEEeeJ99D/VsPGWA==", "sip:7301@192.0.2.8", "", ("1",)),
            ("kQNhKFdEEeeJ+ND/VsPGWA==", "sip:7300@192.0.2.8", "7300", ("2",)),
        ),
        caller="7301",
        callee="7300",
        pbx_id="91036128574411E789F9D0FF56C3C658",
        attributes=(
            ("cisco_guid", "91036128574411E789F9D0FF56C3C658"),
            (
                "session_id",
                (
                    "e9fffff2020a598b86962867715db0cf"
                    ";remote=cd0f7093d62c5f0697098fd69a4aa57b"
                ),
            ),
            ("siprec_metadata", "complete"),
            ("siprec_session_id", "kQNhKFdEEeeJ9tD/VsPGWA=="),
            ("siprec_sides", "by-order"),
        ),
    ),
    "connectel-offer.txt": OPENSIPS,
    "connectel-offer2.txt": OPENSIPS,
    "connectel-offer3.txt": OPENSIPS,
    # Cisco CUBE on hold: nobody sends, and who is who has not changed.
    "inactive-sdp-offer.txt": Reading(
        participants=(
            ("GZBIusaXEeuxxa1dFIaIyA==", "sip:15550100004@192.0.2.11", "", ("1",)),
            ("GZBIusaXEeuxxq1dFIaIyA==", "sip:+155501000050@192.0.2.12", "", ("2",)),
        ),
        caller="15550100004",
        callee="+155501000050",
        pbx_id="f845891467cf5c2189987435807bd432",
        attributes=(
            (
                "session_id",
                (
                    "f845891467cf5c2189987435807bd432"
                    ";remote=1aa1123b8825c906d03681ba23102629"
                ),
            ),
            ("siprec_metadata", "complete"),
            ("siprec_remarks", "streams-by-order"),
            ("siprec_session_id", "GZBIusaXEeuxxK1dFIaIyA=="),
            ("siprec_sides", "by-order"),
        ),
    ),
    # jambonz swaps called and calling number in its extension: both are kept as they
    # came, and the sides are those of the participants.
    "jambonz.txt": Reading(
        participants=(
            (
                "15550100009-0000-4000-8000-000000000002",
                "sip:15550100010@example.com",
                "15550100010",
                ("1",),
            ),
            (
                "15550100009-0000-4000-8000-000000000003",
                "sip:15550100011@example.com",
                "15550100011",
                ("2",),
            ),
        ),
        caller="15550100010",
        callee="15550100011",
        direction=Direction.INBOUND,
        pbx_id="aa",
        attributes=(
            ("call_id", "cafe@127.0.0.1"),
            ("jambonz_call_sid", "aa"),
            ("jambonz_called_number", "15555550100"),
            ("jambonz_calling_number", "15555550101"),
            ("jambonz_direction", "inbound"),
            ("siprec_metadata", "complete"),
            ("siprec_remarks", "unknown-stream,streams-by-order"),
            ("siprec_session_id", "15550100009-0000-4000-8000-000000000001"),
            ("siprec_sides", "by-order"),
        ),
    ),
    "non-siprec-payload.txt": Reading(labels=("1",)),
    # SEMS: no namespace for the first address, a name with a number in it.
    "procomm-siprec-offer.txt": Reading(
        participants=(
            (
                "Ye5S5pU+SAG2JY4oG7M4Cw==",
                "sip:15550100006@192.0.2.14",
                "15550100006",
                ("a_leg",),
            ),
            (
                "QDhKextjTa+F1TzXuvHZHw==",
                "sip:Extension-016190619@speechpath.ie",
                "Speechpath-Main-Line 016190619",
                ("b_leg",),
            ),
        ),
        labels=("a_leg", "b_leg"),
        caller="15550100006",
        callee="Extension-016190619@speechpath.ie",
        attributes=(
            ("siprec_metadata", "complete"),
            ("siprec_session_id", "ho9aUhEQTRS+31th7sHStA=="),
            ("siprec_sides", "by-order"),
        ),
    ),
    "sample-sdp2.txt": Reading(labels=("1",)),
    "sample-sdp3.txt": Reading(labels=("1",)),
    "sample-sdps.txt": Reading(labels=("1",)),
    # Sonus (Ribbon): the call's own From and To; what the first participant sends is
    # the second stream.
    "sonus-siprec-offer.txt": Reading(
        participants=(
            (
                "MTQ3YzA3YzItNjdkNy0xMA==",
                "sip:15550100007@192.0.2.19",
                "Extension 8500",
                ("2",),
            ),
            ("MTQ3YzA3YzMtNjdkNy0xMA==", "sip:15550100008@192.0.2.20", "", ("1",)),
        ),
        caller="15550100007",
        callee="15550100008",
        pbx_id="241205267",
        attributes=(
            ("ribbon_call_id", "2da553f7-a48b-1235-d6a2-5254003a4988"),
            (
                "ribbon_from",
                '"Extension 8500" <sip:15550100007@192.0.2.19>;tag=SerryvK5ej0jc',
            ),
            ("ribbon_gcid", "241205267"),
            ("ribbon_to", "<sip:15550100008@192.0.2.20>;tag=gK00801b2d"),
            ("siprec_group_id", "MTQ3YzA3YzAtNjdkNy0xMA=="),
            ("siprec_metadata", "complete"),
            ("siprec_session_id", "MTQ3YzA3YzEtNjdkNy0xMA=="),
            ("siprec_sides", "stated"),
        ),
    ),
}


def request_of(body: bytes) -> Request:
    """Return an INVITE with *body*, whose From and To name nobody."""
    start = body.lstrip()
    if start.startswith(b"--"):
        boundary = start[2:].split(b"\n")[0].strip().decode()
        kind = f"multipart/mixed;boundary={boundary}"
    else:
        kind, body = "application/sdp", start.split(b"__split_here__")[0]
    headers = Headers(
        (
            ("From", "<sip:192.0.2.250>;tag=1"),
            ("To", "<sip:192.0.2.251>"),
            ("Call-ID", OF_THE_RECORDING),
            ("Content-Type", kind),
        )
    )
    return Request(method="INVITE", uri="sip:192.0.2.251", headers=headers, body=body)


def facts_in(request: Request) -> CallFacts:
    bodies = read_bodies(request)
    metadata, flaw = (
        read_or_flag(bodies.metadata or b"") if bodies.metadata else (None, "")
    )
    if metadata is not None:
        metadata = merged(None, metadata, now_ns=NOW_NS)
    return facts_of(request, metadata, labels=bodies.labels, flaw=flaw, gtd=bodies.gtd)


def reading_of(request: Request) -> Reading:
    facts = facts_in(request)
    return Reading(
        participants=tuple(
            (each.id, each.aor, each.name, each.streams) for each in facts.participants
        ),
        labels=read_bodies(request).labels,
        caller=facts.caller,
        callee=facts.callee,
        direction=facts.direction,
        pbx_id=facts.pbx_id,
        attributes=tuple(
            sorted(
                (name, value)
                for name, value in facts.attributes.items()
                if name != "sip_call_id"
            )
        ),
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_every_body_of_the_field_gives_what_its_vendor_means(
    shared: Path, name: str, ending: bytes
) -> None:
    body = (shared / "corpus/siprec-bodies" / name).read_bytes()
    body = body.replace(b"\r\n", b"\n").replace(b"\n", ending)

    found = reading_of(request_of(body))

    expected = EXPECTED[name]
    assert (
        Reading(
            participants=expected.participants,
            labels=expected.labels,
            caller=expected.caller,
            callee=expected.callee,
            direction=expected.direction,
            pbx_id=expected.pbx_id,
            attributes=tuple(sorted(expected.attributes)),
        )
        == found
    )


def test_the_table_has_every_body_of_the_field(shared: Path) -> None:
    names = {each.name for each in (shared / "corpus/siprec-bodies").glob("*.txt")}

    assert names == set(EXPECTED)
