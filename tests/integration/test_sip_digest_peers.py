"""SIPp and baresip answer our challenges: digest code that others wrote."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Final

import pytest

from vault.access.credentials import digest_secrets
from vault.access.devices import DeviceListed
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId
from vault.core.prefixes import AddressLists
from vault.recorder.sip_devices import SipDirectory
from vault.sip.config import SipConfig
from vault.sip.dialogs import Dialog
from vault.sip.interfaces import Incoming, Transport, WhyLost
from vault.sip.messages import Response, respond
from vault.sip.user_agent import UserAgent
from vault.siprec.admission import Admission, AdmissionConfig
from vault.siprec.refusals import Refused

HERE: Final = "127.0.0.1"
TOKEN: Final = "cvd_token-of-a-peer"
ANSWER: Final = (
    f"v=0\r\no=- 1 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=recvonly\r\n"
)

pytestmark = [pytest.mark.network, pytest.mark.peer]

# One call: refused, offered again with an answer, acknowledged, ended.
_SIPP: Final = Template("""<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="digest">
<send retrans="500"><![CDATA[$first]]></send>
<recv response="401" auth="true"/>
<send><![CDATA[$ack]]></send>
<send retrans="500"><![CDATA[$second]]></send>
<recv response="100" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[$confirm]]></send>
<send retrans="500"><![CDATA[$bye]]></send>
<recv response="200"/>
</scenario>
""")


def _sipp_message(
    method: str, number: int, uri: str, *lines: str, body: str = ""
) -> str:
    tags = ("[last_From:]", "[last_To:]")
    if method == "INVITE":
        tags = (
            f"From: <sip:pbx@{HERE}>;tag=[call_number]",
            "To: <sip:srs@[remote_ip]>",
        )
    return "\n".join(
        (
            "",
            f"{method} {uri} SIP/2.0",
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
            *tags,
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            "Contact: <sip:pbx@[local_ip]:[local_port];transport=[transport]>",
            "Max-Forwards: 70",
            *lines,
            f"Content-Length: {'[len]' if body else 0}",
            "",
            body,
        )
    )


def sipp_scenario() -> str:
    ours = "sip:srs@[remote_ip]:[remote_port]"
    offer = (
        f"v=0\no=- 1 1 IN IP4 {HERE}\ns=-\nc=IN IP4 {HERE}\nt=0 0\n"
        "m=audio 40100 RTP/AVP 0\n"
    )
    sdp = "Content-Type: application/sdp"
    answered = f"[authentication username=pbx password={TOKEN}]"
    ack = _sipp_message("ACK", 1, ours).replace(
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
        "[last_Via:]",
    )
    return _SIPP.substitute(
        first=_sipp_message("INVITE", 1, ours, sdp, body=offer),
        ack=ack,
        second=_sipp_message("INVITE", 2, ours, answered, sdp, body=offer),
        confirm=_sipp_message("ACK", 2, "[next_url]"),
        bye=_sipp_message("BYE", 3, "[next_url]"),
    )


class _Devices(SipDirectory):
    """Devices of one view, at any address."""

    def address_lists(self, listener: str) -> AddressLists:
        del listener
        return AddressLists()

    def note_use(self, device: Device) -> None:
        """Nobody wants to know."""


class Recorder:
    """An application that takes every call of whoever it admits."""

    def __init__(self, *devices: DeviceListed) -> None:
        self.admission = Admission(_Devices(devices), AdmissionConfig())
        self.seen: list[str] = []
        self.over = asyncio.Event()
        self._owners: dict[str, Device | None] = {}

    def admit(self, incoming: Incoming) -> Response | None:
        method = incoming.request.method
        call_id = incoming.request.headers.one("Call-ID")
        try:
            device = self.admission.admit(incoming, owner=self._owners.get(call_id))
        except Refused as refused:
            self.seen.append(f"{method} {refused.cause}")
            return refused.response
        self._owners[call_id] = device
        self.seen.append(f"{method} of {device and device.name}")
        return None

    async def answer(self, incoming: Incoming) -> Response:
        if incoming.request.method == "BYE":
            self.over.set()
        body = ANSWER.encode() if incoming.request.method == "INVITE" else b""
        kind = "application/sdp" if body else ""
        return respond(incoming.request, 200, body=body, content_type=kind)

    def confirmed(self, dialog: Dialog, body: bytes) -> None:
        self.seen.append("ACK")

    def lost(self, dialog: Dialog, why: WhyLost) -> None:
        self.seen.append(f"lost {why}")

    def changed(self, dialog: Dialog) -> None:
        pass


def md5_device() -> DeviceListed:
    return DeviceListed(
        device=Device(
            id=DeviceId("id-pbx"),
            name="pbx",
            allowances=frozenset({Allowance.MD5_DIGEST}),
            addresses=(f"{HERE}/32",),
        ),
        token_sha256=bytes(32),
        revoked=False,
        digest=digest_secrets("pbx", TOKEN),
    )


@asynccontextmanager
async def listening(transport: Transport) -> AsyncIterator[tuple[Recorder, int]]:
    recorder = Recorder(md5_device())
    agent = UserAgent(recorder, SipConfig(listen=((transport, HERE, 0),)))
    await agent.start()
    try:
        yield recorder, agent.bound[0][2]
    finally:
        await agent.stop()


async def run(recorder: Recorder, *words: str, cwd: Path) -> int:
    """Run a peer until its call is over, and return how it ended."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            await recorder.over.wait()
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def sipp(folder: Path, port: int) -> tuple[str, ...]:
    (folder / "digest.xml").write_text(sipp_scenario())
    return (
        *("sipp", f"{HERE}:{port}", "-i", HERE, "-t", "t1", "-m", "1", "-nostdin"),
        *("-sf", "digest.xml", "-auth_uri", f"srs@{HERE}:{port}", "-timeout", "20"),
    )


def baresip(folder: Path, port: int) -> tuple[str, ...]:
    (folder / "config").write_text(
        f"net_interface {HERE}\nsip_listen {HERE}:0\n"
        "module_path /usr/lib/baresip/modules\n"
        "module stdio.so\nmodule g711.so\nmodule account.so\nmodule menu.so\n"
    )
    (folder / "accounts").write_text(
        f"<sip:pbx@{HERE}:{port};transport=tcp>;regint=0;auth_user=pbx;"
        f"auth_pass={TOKEN};audio_codecs=PCMU/8000/1\n"
    )
    (folder / "contacts").write_text("")
    # It dials its own transport once more: the URI has the parameter twice then.
    return (
        "baresip",
        "-f",
        str(folder),
        "-e",
        f"/dial sip:srs@{HERE}:{port}",
        "-t",
        "2",
    )


@pytest.mark.parametrize("peer", [sipp, baresip], ids=["sipp", "baresip"])
def test_a_peer_gets_in_by_digest_and_ends_its_call(
    tmp_path: Path, peer: Callable[[Path, int], tuple[str, ...]]
) -> None:
    if shutil.which(peer.__name__) is None:
        pytest.skip(f"needs {peer.__name__}")

    async def call() -> tuple[int, list[str]]:
        async with listening(Transport.TCP) as (recorder, port):
            status = await run(recorder, *peer(tmp_path, port), cwd=tmp_path)
            return status, recorder.seen

    status, seen = asyncio.run(call())

    assert ["INVITE challenged", "INVITE of pbx", "ACK", "BYE of pbx"] == seen
    assert 0 == status
