"""INVITEs in the shapes of the field, answered by the server over real sockets."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.simulators.recording_desk import PBX, MemoryDesk, MemoryDevices
from tests.simulators.siprec_room import blocking, serving
from vault.sip.messages import Request, Response, parse_message
from vault.siprec.multipart import split

pytestmark = pytest.mark.network

OURS = sorted((Path(__file__).parents[1] / "vectors" / "siprec").glob("*.sip"))
KEY = (
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
)
BODIES = (
    "acme-siprec-offer",
    "audiocodes-legacy",
    "broadworks-offer",
    "broadworks-offer-2",
    "cisco-siprec-offer",
    "connectel-offer",
    "connectel-offer2",
    "connectel-offer3",
    "inactive-sdp-offer",
    "jambonz",
    "non-siprec-payload",
    "procomm-siprec-offer",
    "sample-sdp2",
    "sample-sdp3",
    "sample-sdps",
    "sonus-siprec-offer",
)
"Files of the shared corpus: bodies alone."


def answered(content_type: str, body: bytes) -> tuple[Response, MemoryDesk]:
    """Send one INVITE and hang up; return the answer and what the desk was asked."""

    async def inside() -> tuple[Response, MemoryDesk]:
        async with serving(devices=MemoryDevices(by_address=PBX)) as room:

            def talk() -> Response:
                with room.client() as client:
                    answer = client.ask("INVITE", (), body, content_type)
                    if answer.status == 200:
                        assert client.bye().status == 200
                    return answer

            return await blocking(talk), room.desk

    return asyncio.run(inside())


def corpus(shared: Path, name: str) -> list[tuple[str, bytes]]:
    """Return types and octets of the bodies in a file, lines ended as on the wire."""
    octets = (shared / "corpus" / "siprec-bodies" / f"{name}.txt").read_bytes()
    text = re.sub(rb"\r?\n", b"\r\n", octets)
    mark = re.match(rb"\s*--([^\r]+)\r\n", text)
    if mark is not None:
        return [(f"multipart/mixed;boundary={mark[1].decode().strip()}", text)]
    pieces = text.split(b"__split_here__")
    return [("application/sdp", piece.lstrip()) for piece in pieces]


def with_keys(body: bytes) -> bytes:
    """Return *body* as the same SBC would send it when it is told to use SRTP."""
    keyed = re.sub(rb"RTP/AVP\b", b"RTP/SAVP", body)
    return re.sub(
        rb"(?m)^(m=(?:audio|video) [^\r]*\r\n)", rb"\1" + KEY.encode() + b"\r\n", keyed
    )


@pytest.mark.parametrize("name", BODIES)
def test_plain_rtp_of_any_vendor_is_refused_with_a_way_out(
    shared: Path, name: str
) -> None:
    for content_type, body in corpus(shared, name):
        answer, desk = answered(content_type, body)

        assert (488, {}) == (answer.status, desk.sessions)
        assert "399 callvault" in (answer.headers.get("Warning") or "")


@pytest.mark.parametrize("name", BODIES)
def test_with_keys_every_vendor_is_recorded_and_its_metadata_kept(
    shared: Path, name: str
) -> None:
    for content_type, plain in corpus(shared, name):
        body = with_keys(plain)
        answer, desk = answered(content_type, body)
        session = desk.only
        sent = [part for part in split(content_type, body) if part.is_metadata]
        kept = [one for one in session.documents if one.kind == "rs-metadata"]
        offered = re.findall(rb"(?m)^m=.*", body)

        assert (200, "application/sdp") == (
            answer.status,
            answer.headers.get("Content-Type"),
        )
        assert [part.octets for part in sent] == [one.octets for one in kept]
        assert len(offered) == len(re.findall(rb"(?m)^m=.*", answer.body))
        assert bool(sent) == bool(session.facts.attributes.get("siprec_metadata"))
        assert session.ended is not None


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_our_samples_of_vendors_are_recorded(file: Path) -> None:
    message = parse_message(file.read_bytes())
    assert isinstance(message, Request)
    answer, desk = answered(message.headers.get("Content-Type") or "", message.body)

    assert 200 == answer.status
    assert re.findall(rb"a=label:(.*?)\r", message.body) == re.findall(
        rb"a=label:(.*?)\r", answer.body
    )
    assert desk.only.ended is not None
