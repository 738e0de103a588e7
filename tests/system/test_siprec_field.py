"""SIPREC as a tester from outside sees it, through ``callvault serve``.

Bodies of vendors, messages that are wrong, peers that mean harm, a tap that dies:
what is known of the vault here is its documentation.
"""

import contextlib
import json
import re
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.simulators.installation import ROOT, Installation, until
from tests.simulators.malformed import malformed
from tests.simulators.siprec_client import SipCall, SiprecPbx
from tests.simulators.srtp_peers import Sender, rtp
from tests.simulators.vendor_bodies import (
    INLINE,
    KEY,
    SUITE,
    Body,
    attribute,
    corpus_bodies,
    sections,
)
from vault.core.errors import UnavailableError
from vault.sip.messages import Response
from vault.siprec.simulate import RecordingClient, Target
from vault.tap.simulate import SimulatedCall

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-siprec-field")]

MIB = 1 << 20
PACKETS = 25
# Who takes part, as somebody who knows the vendor reads its metadata; the first is
# the caller.  A body that names nobody, or is SDP alone, is not listed.
PARTIES: Final[Mapping[str, tuple[str, str]]] = {
    "acme-siprec-offer": ("sip:9000@192.0.2.2", "sip:1002@192.0.2.3"),
    "audiocodes-legacy": (
        "sip:+15550100010@192.0.2.22",
        "sip:+15550100011@192.0.2.23",
    ),
    "broadworks-offer-2": ("sip:15550100001@192.0.2.6", "sip:ASBCE@asbce.com"),
    "cisco-siprec-offer": ("sip:7301@192.0.2.8", "sip:7300@192.0.2.8"),
    **dict.fromkeys(
        ("connectel-offer", "connectel-offer2", "connectel-offer3"),
        ("sip:15550100002@192.0.2.9", "sip:15550100003@sip-cust1.connectel.io"),
    ),
    "inactive-sdp-offer": (
        "sip:15550100004@192.0.2.11",
        "sip:+155501000050@192.0.2.12",
    ),
    "jambonz": ("sip:15550100010@example.com", "sip:15550100011@example.com"),
    "procomm-siprec-offer": (
        "sip:15550100006@192.0.2.14",
        "sip:Extension-016190619@speechpath.ie",
    ),
    "sonus-siprec-offer": ("sip:15550100007@192.0.2.19", "sip:15550100008@192.0.2.20"),
}
Placed = tuple[Body, Response, int, dict[str, Any]]
CLOSED: Final = {"inv2543", "mcl01", "mismatch01", "mismatch02", "ncl", "test"}
"Of RFC 4475 and beside it: what ends a stream, as there is no way back into step."
UNENDED: Final = "clerr"
"On a stream the rest of it is waited for."


@dataclass(kw_only=True)
class Field:
    """An installation with a small spool, its devices and a listener."""

    vault: Installation
    tokens: Mapping[str, str]
    sam: httpx.Client
    dialogs: dict[str, str] = dataclass_field(default_factory=dict)
    "Call-ID → recording, of those that were looked at."

    def client(
        self, transport: str = "tcp", *, name: str = "gateway", token: str | None = None
    ) -> RecordingClient:
        token = self.tokens[name] if token is None else token
        return SiprecPbx.of(self.vault, name, token, transport).client()

    def begin(self, transport: str = "udp", seconds: float = 2.0) -> SipCall:
        pbx = SiprecPbx.of(self.vault, "gateway", self.tokens["gateway"], transport)
        return pbx.begin(seconds=seconds)

    def listed(self) -> dict[str, str]:
        """Return what the API lists: id and state."""
        answer = self.sam.get("/recordings", params={"limit": 100})
        return {one["id"]: one["state"] for one in answer.json()["items"]}

    def recorded(self, call_id: str) -> dict[str, Any]:
        """Wait for the recording of a dialog, and until it is finished."""

        def found() -> str | None:
            for id in self.listed().keys() - self.dialogs.values():
                shown = self.sam.get(f"/recordings/{id}").json()
                # It is told a moment after the call is listed.
                if known := shown.get("attributes", {}).get("sip_call_id"):
                    self.dialogs[known] = id
            return self.dialogs.get(call_id)

        return self.vault.finished(self.sam, until(found, f"{call_id} is listed"))


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    settings = {"CALLVAULT_SPOOL_QUOTA_BYTES": str(2 * MIB)}
    vault = Installation({**settings, "CALLVAULT_MEDIA_LISTEN": "::"})
    other = f"[::1]:{vault.sip.rpartition(':')[2]}"
    vault.env["CALLVAULT_SIP_LISTEN"] += f",udp:{other},tcp:{other}"
    try:
        vault.said("init", "--yes")
        vault.start()
        with ThreadPoolExecutor(max_workers=3) as pool:
            people = (("sam", "supervisor", "default", "Claims"), ("ada", "agent"))
            added = [pool.submit(vault.add_user, *person) for person in people]
            words = ("7301@192.0.2.8", "--agent", "ada", "--workgroup", "Claims")
            added.append(pool.submit(vault.said, "extension", "add", *words))
            for one in added:
                one.result()
            names = ("gateway", "other", "lost")
            tokens = {
                name: pbx.token
                for name, pbx in zip(names, pool.map(vault.add_pbx, names), strict=True)
            }
        sam = vault.sign_in("sam")
        yield Field(vault=vault, tokens=tokens, sam=sam)
        assert vault.stop() == 0
    finally:
        vault.close()


def spoken(offer: bytes, answer: bytes) -> int:
    """Send some packets on each section, as libsrtp protects them; return how many."""
    sent = 0
    for number, (asked, given) in enumerate(
        zip(sections(offer), sections(answer), strict=True)
    ):
        kind, sender = int(asked[0].split()[3]), Sender(SUITE, KEY)
        with socket.socket(type=socket.SOCK_DGRAM) as line:
            line.connect(("127.0.0.1", int(given[0].split()[1])))
            for index in range(PACKETS):
                packet = bytearray(rtp(index, b"\x55" * 160, ssrc=number + 1))
                packet[1] = kind
                line.send(sender.protected(bytes(packet)))
                sent += 1
    return sent


@pytest.fixture(scope="module")
def calls(field: Field, shared: Path) -> list[Placed]:
    """Every body of the corpus as a call, over UDP and TCP in turn."""

    def call(at: int, body: Body) -> tuple[Body, Response, int, str]:
        with field.client(("udp", "tcp")[at % 2]) as client:
            said = client.ask("INVITE", (), body.keyed, body.content_type)
            assert 200 == said.status
            sent = spoken(body.keyed, said.body)
            assert 200 == client.bye().status
            return body, said, sent, client.call_id

    bodies = corpus_bodies(shared)
    with ThreadPoolExecutor(max_workers=4) as pool:
        ended = list(pool.map(call, range(len(bodies)), bodies))
    return [(*one[:3], field.recorded(one[3])) for one in ended]


class TestVendors:
    def test_each_is_answered_with_sdp_alone_as_it_was_offered(
        self, calls: list[Placed]
    ) -> None:
        for body, said, _, _ in calls:
            offered, given = sections(body.keyed), sections(said.body)
            held = [bool(attribute(one, b"inactive")) for one in offered]
            deaf = [bool(attribute(one, b"recvonly")) for one in offered]

            assert "application/sdp" == said.headers.get("Content-Type")
            assert ";+sip.srs" in (said.headers.get("Contact") or "")
            assert [one[0].split()[2:] for one in offered] == [
                one[0].split()[2:] for one in given
            ]
            assert [attribute(one, b"label") for one in offered] == [
                attribute(one, b"label") for one in given
            ]
            assert [
                b"inactive" if no else b"recvonly" for no in map(max, held, deaf)
            ] == [
                line[2:]
                for one in given
                for line in one
                if line in {b"a=inactive", b"a=recvonly", b"a=sendrecv"}
            ]

    def test_each_is_recorded_with_its_parties_and_every_packet(
        self, calls: list[Placed]
    ) -> None:
        for body, said, sent, shown in calls:
            silent = b"a=inactive" in said.body
            labels = [
                value.decode()
                for one in sections(body.keyed)
                for value in attribute(one, b"label")
            ]

            assert (body.name, "failed" if silent else "ready") == (
                body.name,
                shown["state"],
            )
            assert sent == sum(one["packets_authentic"] for one in shown["streams"])
            if labels:
                assert labels == [one["label"] for one in shown["streams"]]
            if body.name in PARTIES:
                assert PARTIES[body.name] == tuple(
                    one["aor"] for one in shown["parties"]
                )
            codecs = {one["codec"] for one in shown["streams"]}
            assert codecs <= {"PCMU", "PCMA"}

    def test_an_agent_of_the_table_and_a_workgroup_come_with_the_number(
        self, calls: list[Placed]
    ) -> None:
        (shown,) = [one[3] for one in calls if one[0].name == "cisco-siprec-offer"]

        assert ("ada", "Claims") == (shown["agent"], shown["workgroup"])


def verdicts() -> dict[str, str]:
    """Return what the documentation says of each message of RFC 4475."""
    text = (ROOT / "docs/reference/sip.md").read_text()
    rows = text.partition("### The messages of RFC 4475")[2].splitlines()
    cells = [row.strip("| ").split(" | ") for row in rows if row.startswith("| ")][1:]
    return {
        name.strip(","): verdict.partition(":")[0].partition(",")[0]
        for verdict, names in cells
        for name in names.replace("and the responses", "").split()
    }


class TestWhatIsWrong:
    def test_the_messages_of_rfc_4475_get_the_answers_that_are_documented(
        self, field: Field, shared: Path
    ) -> None:
        stated = verdicts()
        to = ("127.0.0.1", int(field.vault.sip.rpartition(":")[2]))
        here = f"127.77.{secrets.randbelow(250)}.{1 + secrets.randbelow(250)}"
        found: dict[str, str] = {}
        for file in sorted((shared / "corpus" / "rfc4475").glob("*.dat")):
            octets = file.read_bytes()
            # Without rport an answer goes to the port that is written in Via.
            via = re.search(rb"(?im)^v(?:ia)?\s*:[^\r\n]*?\s[\w.]+:(\d+)", octets)
            with socket.socket(type=socket.SOCK_DGRAM) as line:
                line.bind((here, int(via[1]) if via else 5060))
                line.connect(to)
                line.send(octets)
                expected = stated.get(file.stem, "dropped")
                line.settimeout(0.05 if expected == "dropped" else 10)
                answer = b""
                with contextlib.suppress(TimeoutError):
                    answer = line.recv(65_535)
            status = answer.split(b" ")[1].decode() if answer else "dropped"
            # Nobody knows who asks.
            found[file.stem] = "accepted" if status == "401" else status
            if file.stem in CLOSED:
                assert (file.stem, "") == (file.stem, self._by_tcp(octets, to))
            elif expected.isdecimal() and file.stem != UNENDED:
                assert (file.stem, expected) == (file.stem, self._by_tcp(octets, to))

        assert {name: stated.get(name, "dropped") for name in found} == found
        assert 49 == len(stated)

    def _by_tcp(self, octets: bytes, to: tuple[str, int]) -> str:
        """Return the status of the first answer on a connection, if there is one."""
        with socket.create_connection(to) as line:
            line.sendall(octets)
            line.settimeout(10)
            try:
                answer = line.recv(65_535)
            except ConnectionError:
                return ""
        return answer.split(b" ")[1].decode() if answer else ""

    def test_among_a_thousand_malformed_messages_every_hundredth_call_is_answered(
        self, field: Field
    ) -> None:
        host, port = field.vault.sip.split(":")
        tap, answered = field.vault.process("tap").pid, []
        lines = []
        for number in range(10):
            line = socket.socket(type=socket.SOCK_DGRAM)
            line.bind((f"127.0.4.{1 + number}", 0))
            lines.append(line)
        for number in range(1000):
            # No address sends more than it may: that is another test.
            with contextlib.suppress(OSError):
                lines[number % 10].sendto(malformed(number), (host, int(port)))
            if number % 100 == 99:
                with field.client(("udp", "tcp")[number // 100 % 2]) as client:
                    said = client.invite(SimulatedCall(seconds=0.1).build_offer())
                    answered.append((said.status, client.bye().status))
        for line in lines:
            line.close()

        assert [(200, 200)] * 10 == answered
        assert tap == field.vault.process("tap").pid
        assert "Traceback" not in field.vault.logged()

    def test_a_request_that_sticks_to_the_rest_of_a_body_is_not_heard(
        self, field: Field
    ) -> None:
        client = field.client()
        host, port = field.vault.sip.split(":")
        whole = bytes(client.request("OPTIONS", (), b"0123456789", "text/plain"))
        hidden = bytes(client.request("OPTIONS"))
        client.close()
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(whole.replace(b"Content-Length: 10", b"Content-Length: 5"))
            line.sendall(hidden)
            heard = b""
            with contextlib.suppress(ConnectionError):
                while octets := line.recv(65_535):
                    heard += octets

        assert 1 == heard.count(b"SIP/2.0 ")


class TestStrangers:
    def test_nobody_else_ends_or_changes_a_call(self, field: Field) -> None:
        call = field.begin(seconds=1.0)
        victim, sdp = call.client, call.simulated.build_offer()
        seen = []
        for name, token in (("nobody", "guessed"), ("other", None)):
            with field.client("udp", name=name, token=token) as forger:
                forger.call_id, forger.local_tag = victim.call_id, victim.local_tag
                forger.remote_target, forger.cseq = victim.remote_target, 900
                for tag in (victim.remote_tag, ""):
                    forger.remote_tag = tag
                    seen.append(forger.bye().status)
                forger.remote_tag = victim.remote_tag
                seen += [forger.invite(sdp).status, forger.update(sdp).status]
        call.speak()
        call.end()
        shown = field.recorded(victim.call_id)

        assert [401] * 4 + [481] * 4 == seen
        assert ("ready", call.packets) == (
            shown["state"],
            sum(one["packets_authentic"] for one in shown["streams"]),
        )

    def test_a_device_that_is_revoked_in_a_call_gets_no_other(
        self, field: Field
    ) -> None:
        pbx = SiprecPbx.of(field.vault, "lost", field.tokens["lost"], "udp")
        call = pbx.begin(seconds=1.0)
        field.vault.said("device", "revoke", "lost")

        def refused() -> bool:
            client, said = pbx.invited(SimulatedCall(seconds=0.1))
            if said.status == 200:
                client.bye()
            client.close()
            return said.status == 401

        until(refused, "the tap knows of it")
        before = field.listed()
        call.speak()
        _, said = pbx.invited(SimulatedCall(seconds=0.1))
        pbx.close()

        assert 401 == said.status
        assert before.keys() == field.listed().keys()

    def test_numbers_names_keys_and_tokens_are_nowhere_to_be_read(
        self, field: Field, shared: Path
    ) -> None:
        bodies = {one.name: one for one in corpus_bodies(shared)}
        body = bodies["sonus-siprec-offer"]
        with field.client() as client:
            said = client.ask("INVITE", (), body.keyed, body.content_type)
            spoken(body.keyed, said.body)
            client.bye()
        field.recorded(client.call_id)
        metrics = httpx.get(f"http://{field.vault.metrics}/metrics", timeout=10).text
        places = {
            "log": field.vault.logged(),
            "trail": json.dumps(field.vault.trail()),
            "metrics": metrics,
            "processes": " ".join(
                word for one in field.vault.descendants() for word in one.words
            ),
        }
        secret = ("15550100007", "Extension 8500", INLINE, *field.tokens.values())
        patterns = [word for one in secret for word in ("-e", one)]
        files = subprocess.run(
            ["grep", "-rlaF", *patterns, str(field.vault.folder)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

        assert [] == [
            (place, one)
            for place, text in places.items()
            for one in secret
            if one in text
        ]
        assert "" == files


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_calls_over_ipv6_are_recorded(field: Field, transport: str) -> None:
    pbx = SiprecPbx.of(field.vault, "gateway", field.tokens["gateway"], transport)
    port = field.vault.sip.rpartition(":")[2]
    pbx.target = Target.parse(f"{transport}:[::1]:{port}")
    call = pbx.begin(seconds=0.5)
    call.speak()
    call.end()
    shown = field.recorded(call.client.call_id)

    assert "c=IN IP6 ::1" in call.sdp
    assert ("ready", call.packets) == (
        shown["state"],
        sum(one["packets_authentic"] for one in shown["streams"]),
    )


class TestTrouble:
    def test_a_change_that_meets_no_tap_meets_the_next_and_nothing_is_lost(
        self, field: Field
    ) -> None:
        calls = [field.begin(seconds=6.0) for _ in range(2)]
        with calls[0].speaking(), calls[1].speaking():
            tap = field.vault.process("tap")
            tap.kill()
            # The port is nobody's for a while: a peer that is told so asks again.
            held = until(lambda: _changed(calls[0]), "the change is answered")
        until(field.vault.takes_calls, "the next tap serves")
        for call in calls:
            call.end()
        shown = [field.recorded(call.client.call_id) for call in calls]

        assert 200 == held
        assert ["ready"] * 2 == [one["state"] for one in shown]
        assert [call.packets for call in calls] == [
            sum(stream["packets_authentic"] for stream in one["streams"])
            for one in shown
        ]
        assert tap.pid != field.vault.process("tap").pid

    def test_while_the_spool_is_full_calls_and_health_are_503_and_running_ones_go_on(
        self, field: Field
    ) -> None:
        running, flooded = field.begin(seconds=1.0), field.begin(seconds=1.0)
        port = int(sections(flooded.sdp.encode())[0][0].split()[1])

        def refused() -> Response | None:
            with field.client() as client:
                said = client.invite(SimulatedCall(seconds=0.1).build_offer())
                if said.status == 200:
                    client.bye()
                return None if said.status == 200 else said

        with socket.socket(type=socket.SOCK_DGRAM) as line:
            line.connect(("127.0.0.1", port))
            ended, pace = threading.Event(), threading.Event()

            def flood() -> None:
                number = 0
                while not ended.is_set():
                    head = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number, 7)
                    line.send(head + secrets.token_bytes(1400))
                    number += 1
                    if number % 20 == 0:
                        pace.wait(0.02)

            thread = threading.Thread(target=flood)
            thread.start()
            try:
                said = until(refused, "the quota is used")
            finally:
                ended.set()
                thread.join()

        def asked() -> Response | None:
            with field.client() as client:
                answer = client.options()
                return answer if answer.status == 503 else None

        health = until(asked, "health says so")
        running.speak()
        for call in (running, flooded):
            call.end()
        until(lambda: refused() is None, "there is room again")
        shown = field.recorded(running.client.call_id)

        assert 503 == said.status
        assert all(int(one.headers.one("Retry-After")) > 0 for one in (said, health))
        assert ("ready", running.packets) == (
            shown["state"],
            sum(one["packets_authentic"] for one in shown["streams"]),
        )


def _changed(call: SipCall) -> int | None:
    """Offer the same again; None where nobody is there."""
    try:
        return call.client.invite(call.simulated.build_offer()).status
    except (ConnectionRefusedError, UnavailableError):
        return None
