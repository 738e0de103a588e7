"""A BYE may bring metadata: who left, and when."""

import asyncio
from pathlib import Path

import pytest

from tests.simulators.recording_desk import PBX, MemoryDesk
from vault.core.errors import UnavailableError
from vault.core.flow import Participant
from vault.sip.interfaces import Incoming
from vault.sip.messages import Request, parse_message
from vault.sip.peers import Peer, Transport
from vault.siprec.bodies import read_bodies
from vault.siprec.orders import Orders
from vault.siprec.session import Call

VECTORS = Path(__file__).resolve().parents[2] / "vectors/siprec"
NOW_NS = 1_710_003_400_000_000_000
LEFT_NS = 1_710_003_320_000_000_000


def bye(body: bytes, kind: str = "application/rs-metadata+xml") -> Request:
    head = (
        "BYE sip:srs@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.10;branch=z9hG4bKb\r\n"
        "From: <sip:recorder@192.0.2.10>;tag=sample\r\nTo: <sip:192.0.2.1>;tag=x\r\n"
        "Call-ID: sample@192.0.2.10\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    found = parse_message(head.encode() + body)
    assert isinstance(found, Request)
    return found


def leaving(*names: str) -> bytes:
    gone = "".join(
        f'<participant participant_id="{name}" session_id="S">'
        "<disassociate-time>2024-03-09T16:55:20Z</disassociate-time></participant>"
        for name in names
    )
    return (
        '<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording">'
        f"<datamode>Partial</datamode>{gone}</recording>"
    ).encode()


async def ended_with(request: Request, desk: MemoryDesk) -> MemoryDesk:
    invite = parse_message((VECTORS / "cisco-cube.sip").read_bytes())
    assert isinstance(invite, Request)
    peer = Peer(transport=Transport.TLS, address="192.0.2.10", port=5061)
    orders = Orders(desk, lambda: NOW_NS)
    call = Call(key=("sample@192.0.2.10", "sample"), device=PBX)
    await orders.open(call, Incoming(request=invite, peer=peer), read_bodies(invite))

    await orders.last_word(call, request)
    return desk


def test_who_left_is_known_from_the_bye() -> None:
    desk = asyncio.run(ended_with(bye(leaving("P1", "P2")), MemoryDesk()))

    (change,) = desk.only.changes
    assert change.call is not None
    found = change.call["participants"]
    assert isinstance(found, tuple)
    assert all(isinstance(each, Participant) for each in found)
    assert [("P1", LEFT_NS), ("P2", LEFT_NS)] == [
        (each.id, each.left_ns) for each in found
    ]
    assert [each.kind for each in change.documents] == ["rs-metadata"]


def test_metadata_that_breaks_at_the_end_is_kept_and_flagged() -> None:
    desk = asyncio.run(ended_with(bye(b"<recording>"), MemoryDesk()))

    (change,) = desk.only.changes
    assert change.call == {"attributes": {"siprec_metadata": "unreadable"}}
    assert [each.octets for each in change.documents] == [b"<recording>"]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/mixed"])
def test_another_body_changes_nothing(kind: str) -> None:
    desk = asyncio.run(ended_with(bye(b"goodbye", kind), MemoryDesk()))

    assert desk.only.changes == []


def test_a_desk_that_refuses_stops_no_bye() -> None:
    desk = MemoryDesk()
    desk.change_refusal = UnavailableError("no room")

    asyncio.run(ended_with(bye(leaving("P1")), desk))

    assert desk.only.changes == []
