"""Recording clients that others wrote call ``callvault serve``, and are heard."""

import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.hearing import (
    RATE_HZ,
    Samples,
    aligned,
    decoded,
    likeness,
    mu_law,
)
from tests.simulators.installation import ROOT, Installation, Pbx, until
from tests.simulators.kamailio import kamailio
from tests.simulators.ports import first_free_port, free_port
from tests.simulators.rtpengine import HERE, Phone, fork_calls, relayed, rtpengine
from tests.simulators.siprec_client import ADA, CUSTOMER, new_recording, recordings
from tests.simulators.softphones import (
    Way,
    answering_baresip,
    baresip,
    call_by_baresip,
    pjsua2,
    pjsua2_python,
    write_wav,
)
from vault.core.secrets import SecretBytes
from vault.siprec.simulate import RecordingClient, Target
from vault.siprec.simulated_bodies import metadata_of
from vault.tap.capture import Event, Kind, Record, parse_event, parse_records
from vault.tap.simulate import SimulatedCall, conversation

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.xdist_group("system-siprec-peers"),
]
SECONDS = 2
SAID = {
    label: conversation(label)[: SECONDS * RATE_HZ] for label in ("agent", "customer")
}


@dataclass
class Place:
    """An installation that listens on all transports, and a listener's ears."""

    vault: Installation
    certificate: Path
    sam: httpx.Client
    pairs: dict[str, tuple[Path, Path]]
    tokens: dict[str, str]

    def way(self, transport: str) -> Way:
        return Way.to(self.vault, transport, self.certificate)

    def finished(self, before: list[str]) -> tuple[dict[str, Any], Samples]:
        """Return what is shown of the recording that is new, and its audio."""
        id = new_recording(self.sam, before)
        shown = self.vault.finished(self.sam, id)
        audio = self.sam.get(f"/recordings/{id}/audio")
        assert audio.status_code == 200, (shown, self.vault.told()[-3000:])
        return shown, decoded(audio.content)

    def capture(self, id: str) -> list[Record]:
        """Return what was captured of a recording, packet by packet."""
        file = self.vault.place / f"{id}.capture"
        self.vault.said(
            "recordings", "export", id, "--output", file, "--format", "capture"
        )
        return list(parse_records(file.read_bytes()))


def hears(channel: Samples, said: bytes) -> bool:
    """Whether *said*, mu-law, is in *channel*, sample by sample."""
    samples = mu_law(said)
    return np.array_equal(samples, aligned(samples, channel))


def quiet_s(channel: Samples) -> float:
    """Return the longest span of samples that are all zero, in seconds."""
    loud = np.flatnonzero(np.concatenate(([1], channel, [1])))
    return float(np.diff(loud).max() - 1) / RATE_HZ


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    pairs = {
        name: make_certificate(tmp_path_factory.mktemp(name))
        for name in ("vault", "rtpengine", "kamailio", "nobody")
    }
    cert, key = map(str, pairs["vault"])
    vault = Installation({"CALLVAULT_SIP_TLS_CERT": cert, "CALLVAULT_SIP_TLS_KEY": key})
    listen = f"{vault.env['CALLVAULT_SIP_LISTEN']},tls:127.0.0.1:{free_port()}"
    vault.env["CALLVAULT_SIP_LISTEN"] = listen
    try:
        vault.said("init", "--yes")
        vault.start()
        with ThreadPoolExecutor(max_workers=4) as pool:
            sam = pool.submit(vault.add_user, "sam", "supervisor", "default")
            made = {
                name: pool.submit(_device, vault, name, *options)
                for name, options in {
                    # It knows MD5 alone; from its address nothing else is asked for.
                    "baresip": ("--allow", "md5-digest", "--address", HERE),
                    "pjsua2": (),
                    "asterisk": ("--allow", "plain-rtp", "--media-address", HERE),
                    "rtpengine": ("--certificate", str(pairs["rtpengine"][0])),
                    "kamailio": ("--certificate", str(pairs["kamailio"][0])),
                }.items()
            }
        sam.result()
        tokens = {name: one.result() for name, one in made.items()}
        # The last device that was added is known once the tap has read the table.
        tokens["forker"] = vault.add_pbx("forker").token
        yield Place(vault, pairs["vault"][0], vault.sign_in("sam"), pairs, tokens)
        assert vault.stop() == 0
    finally:
        vault.close()


def _device(vault: Installation, name: str, *options: str) -> str:
    token: str = vault.json("device", "add", name, *options)["token"]
    return token


@pytest.fixture(scope="module")
def speeches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What phones say: both sides of our conversation, as WAV files."""
    folder = tmp_path_factory.mktemp("speech")
    files = {label: folder / f"{label}.wav" for label in SAID}
    for label, file in files.items():
        write_wav(file, mu_law(conversation(label)))
    return files


@pytest.fixture(scope="module")
def speech(speeches: dict[str, Path]) -> Path:
    """What one phone says."""
    return speeches["agent"]


@pytest.mark.skipif(not shutil.which("baresip"), reason="needs baresip")
class TestBaresip:
    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
    def test_it_is_heard_and_what_it_sends_in_the_clear_is_not_taken(
        self, place: Place, speech: Path, tmp_path: Path, transport: str
    ) -> None:
        before = recordings(place.sam)
        ended = baresip(
            tmp_path,
            place.way(transport),
            name="baresip",
            token=place.tokens["baresip"],
            speech=speech,
            seconds=SECONDS + 2,
        )
        shown, heard = place.finished(before)

        (stream,) = shown["streams"]
        assert 0 == ended.status, ended.said
        assert ("ready", None) == (shown["state"], shown["reason"])
        assert "AES_CM_128_HMAC_SHA1_80" == stream["suite"]
        assert any(hears(channel, SAID["agent"]) for channel in heard)
        # It sends RTCP APP and BYE without protection, beside its SRTCP.
        assert 1 <= stream["packets_rejected"]["rtcp-unauthenticated"]
        assert {"rtcp-unauthenticated"} == set(stream["packets_rejected"])


@pytest.mark.skipif(not pjsua2_python(), reason="needs pjsua2 (PJSUA2_PYTHON)")
def test_pjsua2_is_heard_but_for_its_hold_and_its_digits(
    place: Place, speech: Path
) -> None:
    before = recordings(place.sam)
    ended = pjsua2(
        place.way("tls"),
        name="pjsua2",
        token=place.tokens["pjsua2"],
        speech=speech,
        steps=("speak:2.5", "digits:42#", "hold:2", "speak:0.5"),
    )
    shown, heard = place.finished(before)
    (stream,) = shown["streams"]
    records = place.capture(shown["id"])
    events = [parse_event(one) for one in records if one.kind == Kind.EVENT]
    types = {one.octets[1] & 0x7F for one in records if one.kind == Kind.RTP}
    names = [one["event"] for one in events]

    assert 0 == ended.status, ended.said
    assert ("ready", None) == (shown["state"], shown["reason"])
    assert "AES_256_CM_HMAC_SHA1_80" == stream["suite"]
    assert likeness(mu_law(SAID["agent"]), heard[0]) > 0.99
    # What was said in the hold is not there, and its time is.
    assert ["hold", "unhold"] == [one for one in names if "hold" in str(one)]
    assert quiet_s(heard[0]) >= 1.9
    assert 3 == names.count(Event.DIGIT)
    assert {0} == types


@pytest.mark.skipif(not shutil.which("rtpengine"), reason="needs rtpengine")
def test_both_sides_of_a_call_that_rtpengine_relays_are_heard(
    place: Place, tmp_path: Path
) -> None:
    before = recordings(place.sam)
    target = Target.parse(f"tls:{place.way('tls').endpoint}")
    trusted = ssl.create_default_context(cafile=str(place.certificate))
    trusted.load_cert_chain(*place.pairs["rtpengine"])
    with (
        rtpengine(tmp_path) as engine,
        relayed(engine, SAID["agent"], SAID["customer"]) as call,
        RecordingClient(target, tls=trusted, within_s=30) as client,
    ):
        fork = call.forked()
        speakers = [
            replace(one, label=fork.labels[one.label]) for one in (ADA, CUSTOMER)
        ]
        answer = client.invite(fork.offer, metadata_of(speakers))
        assert answer.status == 200, answer.headers.get("Warning")
        answered = answer.body.decode()
        call.accept(fork, answered)
        call.speak()
        bye = client.bye()
    shown, heard = place.finished(before)
    parties = {one["aor"]: one for one in shown["parties"]}

    assert 200 == bye.status
    assert 24 == fork.offer.count("a=crypto:")
    assert "=" not in "".join(re.findall(r"inline:(\S+)", fork.offer))
    # It takes no answer that leaves out a codec that it has offered.
    assert re.findall(r"(?m)^m=.* RTP/SAVP (.*)$", fork.offer) == re.findall(
        r"(?m)^m=.* RTP/SAVP (.*)$", answered
    )
    assert ["AEAD_AES_256_GCM"] * 2 == [one["suite"] for one in shown["streams"]]
    assert ("left", "right") == (
        parties[ADA.aor]["channel"],
        parties[CUSTOMER.aor]["channel"],
    )
    assert hears(heard[0], SAID["agent"])
    assert hears(heard[1], SAID["customer"])


@pytest.mark.skipif(not shutil.which("kamailio"), reason="needs kamailio")
class TestKamailio:
    """Kamailio in front, as `infra/kamailio/recorder-proxy.cfg` has it."""

    @pytest.mark.parametrize(
        ("shown_as", "device"), [("kamailio", "kamailio"), ("nobody", "baresip")]
    )
    def test_a_call_that_comes_by_it_is_changed_and_ended_by_it(
        self, place: Place, tmp_path: Path, shown_as: str, device: str
    ) -> None:
        """
        It is the device whose certificate it shows.  Where that is no device's, who
        stands behind it answers the challenge, and its answer comes unharmed.
        """
        before = recordings(place.sam)
        recorders = tmp_path / "dispatcher.list"
        at = place.way("tls").endpoint
        # The first of two recorders is away.
        recorders.write_text(
            f"1 sip:127.0.0.1:{free_port()};transport=tls 0 20\n"
            f"1 sip:{at};transport=tls 0 10\n"
        )
        cert, key = place.pairs[shown_as]
        defined = {
            "RECORDERS": f'"{recorders}"',
            "RECORDER_CA": f'"{place.certificate}"',
            "CERTIFICATE": f'"{cert}"',
            "PRIVATE_KEY": f'"{key}"',
            "ASK_EVERY": "1",
        }
        token = SecretBytes(place.tokens["baresip"].encode())
        simulated = SimulatedCall(seconds=SECONDS)
        with (
            kamailio(tmp_path, "recorder-proxy.cfg", defined) as proxy,
            RecordingClient(
                proxy, username="baresip", password=token, within_s=30
            ) as client,
        ):
            answer = client.invite(
                simulated.build_offer(), metadata_of((ADA, CUSTOMER))
            )
            assert answer.status == 200, answer.headers.get("Warning")
            simulated.send(answer.body.decode())
            bob = replace(ADA, id="p-bob", aor="sip:bob@example.net", name="Bob")
            changed = client.update("", metadata_of((bob, CUSTOMER)))
            bye = client.bye()
        shown, heard = place.finished(before)

        assert (200, 200) == (changed.status, bye.status)
        assert 2 == len(client.routes)
        assert device == shown["device"]
        assert ("ready", None) == (shown["state"], shown["reason"])
        assert {ADA.aor, bob.aor, CUSTOMER.aor} == {
            one["aor"] for one in shown["parties"]
        }
        assert hears(heard[0], SAID["agent"])
        assert hears(heard[1], SAID["customer"])


@pytest.mark.skipif(
    not all(map(shutil.which, ("kamailio", "rtpengine", "baresip"))),
    reason="needs kamailio, rtpengine and baresip",
)
def test_calls_of_kamailio_and_rtpengine_are_forked_by_our_program(
    place: Place, tmp_path: Path, speeches: dict[str, Path]
) -> None:
    """Two phones of others call each other, and neither they nor Kamailio wait."""
    before = recordings(place.sam)
    folders = [tmp_path / name for name in ("caller", "callee")]
    for folder in folders:
        folder.mkdir()
    port = first_free_port(2)
    with (
        rtpengine(tmp_path) as engine,
        fork_calls(
            tmp_path,
            engine,
            forks=(f"http://{place.vault.forks}",),
            token=place.tokens["forker"],
        ) as forker,
        kamailio(
            tmp_path,
            "forking-calls.cfg",
            {
                "PBX": f'"sip:127.0.0.1:{port}"',
                "PBX_ADDRESS": '"192.0.2.1"',
                "RTPENGINE": f'"udp:127.0.0.1:{engine.control}"',
                "FORK_CALLS": f'"{forker}"',
            },
        ) as proxy,
        answering_baresip(
            folders[1], name="bob", port=port, speech=speeches["customer"]
        ),
    ):
        ended = call_by_baresip(
            folders[0],
            name="alice",
            uri=f"sip:bob@127.0.0.1:{proxy.port}",
            speech=speeches["agent"],
            seconds=SECONDS + 2,
        )
        assert 0 == ended.status, ended.said
        shown, heard = place.finished(before)

    # A recording begins when the call is answered: not with its first packet.
    said = {label: mu_law(octets[RATE_HZ:]) for label, octets in SAID.items()}
    assert ("ready", None, "bye") == (shown["state"], shown["reason"], shown["how"])
    assert ["AEAD_AES_256_GCM"] * 2 == [one["suite"] for one in shown["streams"]]
    assert ["caller", "callee"] == [one["label"] for one in shown["streams"]]
    assert likeness(said["agent"], heard[0]) > 0.99
    assert likeness(said["customer"], heard[1]) > 0.99


@pytest.mark.skipif(not shutil.which("rtpengine"), reason="needs rtpengine")
def test_a_fork_outlives_the_program_that_began_it_and_is_ended_by_the_next(
    place: Place, tmp_path: Path
) -> None:
    """The first Callvault is away, and the program is started anew in the call."""
    before = recordings(place.sam)
    with (
        rtpengine(tmp_path) as engine,
        relayed(engine, SAID["agent"], SAID["customer"]) as call,
    ):
        settings = {
            "forks": (
                f"http://127.0.0.1:{free_port()}",
                f"http://{place.vault.forks}",
            ),
            "token": place.tokens["forker"],
        }
        with fork_calls(tmp_path, engine, **settings) as forker:
            tell(forker, call.id, "ACK")
            until(
                lambda: "recorded as" in (tmp_path / "fork-calls.log").read_text(),
                "it is recorded",
            )
        call.speak()
        with fork_calls(tmp_path, engine, **settings) as forker:
            tell(forker, call.id, "BYE")
            shown, heard = place.finished(before)

    assert ("ready", "bye") == (shown["state"], shown["how"])
    assert call.id == shown["pbx_id"]
    assert ["callee", "caller"] == sorted(one["label"] for one in shown["streams"])
    assert hears(heard[0], SAID["agent"])
    assert hears(heard[1], SAID["customer"])


def tell(forker: str, call_id: str, method: str) -> None:
    """Send a request of a call, as Kamailio copies it."""
    host, _, port = forker.partition(":")
    said = (
        f"{method} sip:bob@127.0.0.1 SIP/2.0\r\n"
        "f: <sip:alice@127.0.0.1>;tag=caller\r\n"
        "To: <sip:bob@127.0.0.1>;tag=callee\r\n"
        f"i: {call_id}\r\nCSeq: 1 {method}\r\n\r\n"
    )
    with socket.socket(type=socket.SOCK_DGRAM) as line:
        line.sendto(said.encode(), (host, int(port)))


def test_the_offer_that_the_page_has_for_asterisk_is_taken_and_heard(
    place: Place,
) -> None:
    page = (ROOT / "docs" / "howto" / "point-your-pbx-at-callvault.md").read_text()
    offer = page.partition("<<'JSON'\n")[2].partition("   JSON\n")[0]
    fork = Pbx(place.tokens["asterisk"], place.vault.client(place.vault.forks))
    made = fork.http.post("/forks", json=json.loads(offer.replace("10.0.0.20", HERE)))
    assert made.status_code == 201, made.text
    ports = re.findall(r"(?m)^m=audio (\d+)", made.json()["sdp"])
    with ExitStack() as lines, ThreadPoolExecutor() as pool:
        phones = [Phone(says=octets) for octets in SAID.values()]
        for phone, port in zip(phones, ports, strict=True):
            lines.enter_context(phone.line)
            pool.submit(phone.speak, f"m=audio {port} RTP/AVP 0")
    assert fork.http.delete(f"/forks/{made.json()['id']}").status_code == 204
    shown = place.vault.finished(place.sam, made.json()["id"])
    heard = decoded(place.sam.get(f"/recordings/{shown['id']}/audio").content)

    assert ("ready", "none") == (shown["state"], shown["protection"])
    assert hears(heard[0], SAID["agent"])
    assert hears(heard[1], SAID["customer"])
