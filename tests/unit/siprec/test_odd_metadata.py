"""Whatever the metadata is, the call is recorded and all of it is kept (B11, B12)."""

import asyncio

import pytest
import structlog

from tests.simulators.recording_desk import PBX, MemoryDesk, MemorySession
from vault.sip.interfaces import Incoming
from vault.sip.messages import Headers, Request
from vault.sip.peers import Peer, Transport
from vault.siprec.bodies import read_bodies
from vault.siprec.documents import METADATA as DOCUMENT
from vault.siprec.orders import METADATA_FLAWED, Orders
from vault.siprec.parties import METADATA, REMARKS
from vault.siprec.session import Call

NOW_NS = 1_710_003_400_000_000_000
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
WHOLE = (
    b'<recording xmlns="urn:ietf:params:xml:ns:recording:1">'
    b"<datamode>complete</datamode>"
    b'<participant participant_id="a"><nameID aor="sip:100@x"/></participant>'
    b'<participant participant_id="b"><nameID aor="sip:200@x"/></participant>'
    b'<stream stream_id="1"><label>1</label></stream>'
    b'<stream stream_id="2"><label>2</label></stream>'
    b'<participantstreamassoc participant_id="a"><send>1</send></participantstreamassoc>'
    b'<participantstreamassoc participant_id="b"><send>2</send></participantstreamassoc>'
    b"</recording>"
)


def offer(*labels: str) -> bytes:
    sections = "".join(
        f"m=audio {40000 + 2 * place} RTP/SAVP 0\r\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\na=sendonly\r\n"
        + (f"a=label:{label}\r\n" if label else "")
        for place, label in enumerate(labels)
    )
    return (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
        + sections
    ).encode()


def invite(
    metadata: bytes | None,
    *,
    labels: tuple[str, ...] = ("1", "2"),
    kind: str = "application/rs-metadata+xml",
) -> Request:
    body, content = offer(*labels), "application/sdp"
    if metadata is not None:
        head = f"Content-Type: {kind}\r\nContent-Disposition: recording-session"
        content = "multipart/mixed;boundary=b"
        body = b"\r\n".join(
            (
                b"--b\r\nContent-Type: application/sdp\r\n",
                body,
                b"--b\r\n" + head.encode() + b"\r\n",
                metadata,
                b"--b--\r\n",
            )
        )
    headers = (
        ("From", "<sip:192.0.2.10>;tag=1"),
        ("To", "<sip:192.0.2.1>"),
        ("Call-ID", "c@x"),
        ("Content-Type", content),
    )
    return Request(
        method="INVITE", uri="sip:srs@x", headers=Headers(headers), body=body
    )


def recorded(*requests: Request) -> MemorySession:
    """Return the session that the first request opens and the others change."""
    desk = MemoryDesk()

    async def run() -> None:
        orders = Orders(desk, lambda: NOW_NS)
        call = Call(key=("c@x", "1"), device=PBX)
        peer = Peer(transport=Transport.TLS, address="192.0.2.10", port=5061)
        first, *others = requests
        incoming = Incoming(request=first, peer=peer)
        await orders.open(call, incoming, read_bodies(first))
        for request in others:
            await orders.change(call, request, read_bodies(request))

    asyncio.run(run())
    return desk.only


def kept(session: MemorySession) -> list[bytes]:
    return [each.octets for each in session.documents if each.kind == DOCUMENT]


def streams(session: MemorySession) -> dict[str, tuple[str, ...]]:
    return {each.id: each.streams for each in session.order.call.participants}


@pytest.mark.parametrize(
    "metadata",
    [
        b"not XML",
        b"<recording>",
        WHOLE[:-5],
        b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + WHOLE,
        b"<a>" * 80_000,
        b"<recording>" + b" " * 300_000 + b"</recording>",
        WHOLE.decode().encode("utf-16"),
        b"\x00\xff" * 100,
    ],
    ids=["text", "open", "cut", "entity", "deep", "long", "utf-16", "binary"],
)
def test_metadata_that_cannot_be_read_is_kept_flagged_and_recorded_with(
    metadata: bytes,
) -> None:
    session = recorded(invite(metadata))

    assert ("unreadable", [metadata[: 256 * 1024]], ["1", "2"]) == (
        session.order.call.attributes[METADATA],
        kept(session),
        [stream.label for stream in session.offer.streams],
    )


def test_the_log_says_once_what_is_wrong_however_often_it_comes() -> None:
    with structlog.testing.capture_logs() as lines:
        recorded(*[invite(b"not XML")] * 5, invite(b"<recording/>"))

    assert [METADATA_FLAWED] * 2 == [one["event"] for one in lines]


@pytest.mark.parametrize(
    "kind",
    [
        "application/rs-metadata+xml",
        "application/rs-metadata",
        "Application/RS-Metadata+XML; charset=utf-8",
        "application/xml",
        "application/ +xml",
    ],
)
def test_metadata_is_found_under_every_label_of_the_field(kind: str) -> None:
    session = recorded(invite(WHOLE, kind=kind))

    assert (("100", "200"), {"a": ("1",), "b": ("2",)}, [WHOLE]) == (
        (session.order.call.caller, session.order.call.callee),
        streams(session),
        kept(session),
    )


def test_a_call_without_metadata_is_recorded() -> None:
    session = recorded(invite(None))

    assert (None, [], 2) == (
        session.order.call.attributes.get(METADATA),
        kept(session),
        len(session.offer.streams),
    )


def test_two_sections_of_one_label_are_recorded_and_told_apart() -> None:
    metadata = WHOLE.replace(b"<label>2<", b"<label>1<")

    session = recorded(invite(metadata, labels=("1", "1")))

    assert (["1", "1-2"], {"a": ("1",), "b": ("1-2",)}) == (
        [stream.label for stream in session.offer.streams],
        streams(session),
    )


@pytest.mark.parametrize("labels", [("x", "y"), ("", "")])
def test_other_labels_than_the_offer_s_are_matched_by_order(
    labels: tuple[str, str],
) -> None:
    session = recorded(invite(WHOLE, labels=labels))

    first, second = (stream.label for stream in session.offer.streams)
    assert {"a": (first,), "b": (second,)} == streams(session)
    assert (labels == ("x", "y")) == (
        session.order.call.attributes.get(REMARKS) == "labels-by-order"
    )


def test_partial_metadata_before_complete_loses_nobody() -> None:
    start, end = (
        WHOLE.index(b"<participant "),
        WHOLE.index(b'<participant participant_id="b"'),
    )
    partial = (
        b"<recording><datamode>partial</datamode>" + WHOLE[start:end] + b"</recording>"
    )

    session = recorded(invite(partial), invite(WHOLE))

    assert ["a"] == list(streams(session))
    (change,) = session.changes
    assert change.call is not None
    participants = change.call["participants"]
    assert isinstance(participants, tuple)
    assert ["a", "b"] == [each.id for each in participants]
    assert [partial, WHOLE] == kept(session)
