"""SIPp, which others wrote, speaks SIPREC with ``callvault serve``.

Its scenarios are ours (``tests/peers/sipp``); what it plays was sent by ffmpeg,
GStreamer and libsrtp.  Scenarios that take half a minute and more are for runs by
hand: ``lost-ack``, ``glare``, ``cancel-race``, and ``hold`` with ``-set hold 60000``.
"""

import base64
import json
import os
import shutil
import wave
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from tests.conftest import SHARED
from tests.simulators.certificates import make_certificate
from tests.simulators.hearing import (
    RATE_HZ,
    Samples,
    aligned,
    decoded,
    likeness,
    mu_law,
)
from tests.simulators.installation import Installation, until
from tests.simulators.ports import free_port
from tests.simulators.sipp import SCREEN, Ran, Sipp, crypto, over_tls, write_capture
from vault.core.media import SrtpSuite
from vault.siprec.simulate import RecordingClient, Target
from vault.tap.simulate import conversation

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.xdist_group("system-sipp"),
    pytest.mark.skipif(shutil.which("sipp") is None, reason="needs SIPp"),
]

FRAME_S: Final = 0.02
PACKET: Final = 160
CAPTURES: Final = {
    "udp": "ff_pcmu_sha80",
    "tcp": "ff_pcma_sha32_card",
    "tls": "gst_pcmu_gcm256",
}
"What is sent in a call by each transport."
ADA_IS: Final = ("--agent", "ada", "--workgroup", "Claims")
PARTIES: Final = {
    ("caller", "", None),
    ("callee", "Ada Lovelace", "ada"),
}


@dataclass
class Lab:
    """An installation, the devices that SIPp may be, and a listener."""

    vault: Installation
    folder: Path
    tls: str
    "Where TCP becomes TLS."
    token: str
    "Of the device that answers challenges."
    sam: httpx.Client
    _numbers: Iterator[int] = field(default_factory=lambda: count(442079460001))

    def run(
        self,
        scenario: str,
        *options: str,
        transport: str = "udp",
        capture: Path | None = None,
        screen: Path | None = None,
        address: str = "127.0.0.1",
        variables: Mapping[str, int] | None = None,
        **keys: str,
    ) -> tuple[Ran, str]:
        """Run SIPp once; return how it went, and the number of the customer."""
        number = f"+{next(self._numbers)}"
        folder = self.folder / number
        folder.mkdir()
        sipp = Sipp(
            folder=folder,
            target=self.tls if transport == "tls" else self.vault.sip,
            transport="u1" if transport == "udp" else "t1",
            address=address,
            keys=SPOKEN | {"agent": "ada", "customer": number},
        )
        if capture is not None:
            sipp.play(capture)
        if screen is not None:
            sipp.play(screen, SCREEN)
        return sipp.run(scenario, *options, variables=variables, **keys), number

    def found(self, number: str) -> list[str]:
        """Return the ids of the recordings in which *number* took part."""
        answer = self.sam.get("/recordings", params={"party": number})
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    def shown(self, number: str) -> dict[str, Any]:
        """Wait for the recording of a call, and return what the API says of it."""
        try:
            found = until(lambda: self.found(number) or None, f"a call of {number}")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.vault.told()[-6000:]}") from None
        assert len(found) == 1
        return self.vault.finished(self.sam, found[0])

    def heard(self, shown: Mapping[str, Any]) -> Samples:
        """Return what a listener gets, one row per channel."""
        answer = self.sam.get(f"/recordings/{shown['id']}/audio")
        assert answer.status_code == 200, answer.text
        return decoded(answer.content)


SPOKEN: Final = {
    "pt": "0",
    "format": "PCMU/8000",
    "crypto": crypto(SrtpSuite.AES_CM_128_HMAC_SHA1_80, bytes(range(30))),
}
"A stream that nobody sends, for calls that are about signalling."


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("sipp")
    cert, key = make_certificate(folder)
    tls = f"127.0.0.1:{free_port()}"
    vault = Installation(
        {
            "CALLVAULT_SIP_TLS_CERT": str(cert),
            "CALLVAULT_SIP_TLS_KEY": str(key),
            # Apart from those of installations whose taps are killed in a call: what
            # goes on to be sent there would be a stranger's to us.
            "CALLVAULT_MEDIA_PORTS": "9200-9399",
        }
    )
    vault.env["CALLVAULT_SIP_LISTEN"] += f",tls:{tls}"
    try:
        vault.said("init", "--yes")
        vault.start()
        vault.add_user("sam", "supervisor", "Claims", "default")
        # Before the devices: who is known by its device is known by the table, too.
        vault.said("extension", "add", "ada@example.net", *ADA_IS)
        md5 = ("--allow", "md5-digest", "--address", "127.0.0.2/32")
        token = vault.json("device", "add", "phone-book", *md5)["token"]
        allowed = ("--allow", "sip-by-address", "--allow", "srtp-32-bit-tag")
        vault.said("device", "add", "sipp", *allowed, "--address", "127.0.0.1/32")
        until(lambda: _is_known(vault), "the tap knows SIPp")
        with over_tls(tls, cert) as before:
            yield Lab(vault, folder, before, token, vault.sign_in("sam"))
        assert vault.stop() == 0
    finally:
        vault.close()


def _is_known(vault: Installation) -> bool:
    # Where a device's address is listed, OPTIONS needs no credential.
    with RecordingClient(Target.parse(f"udp:{vault.sip}")) as client:
        return client.options().status == 200


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A capture of six seconds that libsrtp made, and its key."""
    said = conversation("agent")
    packets = [(at, said[PACKET * at : PACKET * (at + 1)]) for at in range(300)]
    file = tmp_path_factory.mktemp("spoken") / "spoken.pcap"
    key = write_capture(file, packets)
    return file, crypto(SrtpSuite.AES_CM_128_HMAC_SHA1_80, key)


def described(media: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Return a capture of the shared material and what is known of it."""
    about = json.loads((media / "keys.json").read_text())[f"{name}.pcap"]
    return media / f"{name}.pcap", about["streams"][0]


def offered(about: Mapping[str, Any], key: str = "key_b64") -> str:
    return crypto(SrtpSuite(about["suite"]), base64.b64decode(about[key]))


def source(media: Path, about: Mapping[str, Any]) -> Samples:
    """Return what was said into a capture."""
    with wave.open(str(media / about["source"])) as file:
        assert file.getframerate() == RATE_HZ
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    start = round(about["source_start_s"] * RATE_HZ)
    return samples[start : start + round(about["duration_s"] * RATE_HZ)]


def parties(shown: Mapping[str, Any]) -> set[tuple[str, str, str | None]]:
    return {
        (one["role"], one.get("name", ""), one.get("agent")) for one in shown["parties"]
    }


Calls = Mapping[str, Future[tuple[Ran, str]]]


@pytest.fixture(scope="module")
def calls(lab: Lab, spoken: tuple[Path, str]) -> Iterator[Calls]:
    """Calls with media, which are as long as they are: all at the same time."""
    if os.geteuid() != 0:
        pytest.skip("SIPp sends captures through a raw socket: needs root")
    file, key = spoken

    def speak(scenario: str, *options: str, **what: Any) -> tuple[Ran, str]:
        return lab.run(scenario, *options, capture=file, crypto=key, **what)

    hold = {"before": 2000, "hold": 1500, "after": 3000}
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield {
            "hold": pool.submit(speak, "hold", variables=hold),
            "transfer": pool.submit(speak, "transfer", "-d", "3200"),
            **(of_captures(lab, SHARED / "media", pool) if SHARED.is_dir() else {}),
        }


def of_captures(lab: Lab, media: Path, pool: ThreadPoolExecutor) -> Calls:
    """Begin calls with what other senders made."""

    def call(name: str, transport: str) -> tuple[Ran, str]:
        file, about = described(media, name)
        return lab.run(
            *("call", "-d", str(round(1000 * about["duration_s"]) + 600)),
            transport=transport,
            capture=file,
            crypto=offered(about),
            pt=str(about["pt"]),
            format=f"{about['codec']}/{about['clock']}",
        )

    def rekey() -> tuple[Ran, str]:
        file, about = described(media, "ff_rekey")
        return lab.run(
            "rekey",
            capture=file,
            variables={"before": 1200, "after": 3400},
            crypto=offered(about),
            next_crypto=offered(about, "next_key_b64"),
        )

    def screen() -> tuple[Ran, str]:
        file, about = described(media, "gst_pcmu_gcm256")
        screen, shown = described(media, "x11_h264")
        return lab.run(
            *("screen", "-d", "3300"),
            capture=file,
            screen=screen,
            crypto=offered(about),
            screen_crypto=offered(shown),
            screen_pt=str(shown["pt"]),
            screen_format=f"{shown['codec']}/{shown['clock']}",
            # SIPp sends them from a port that it has not bound; any does here.
            screen_port="45000",
        )

    return {
        **{how: pool.submit(call, name, how) for how, name in CAPTURES.items()},
        "rekey": pool.submit(rekey),
        "screen": pool.submit(screen),
    }


class TestMedia:
    @pytest.mark.parametrize("transport", CAPTURES)
    def test_what_another_sender_said_is_heard_and_who_said_it_is_known(
        self, lab: Lab, shared: Path, calls: Calls, transport: str
    ) -> None:
        ran, number = calls[transport].result()
        assert 0 == ran.status, ran.errors
        shown = lab.shown(number)
        _, about = described(shared / "media", CAPTURES[transport])
        said = source(shared / "media", about)
        heard = lab.heard(shown)

        assert (0, [200, 200]) == (ran.status, ran.answers), ran.errors
        assert ("ready", None, "bye") == tuple(
            shown[name] for name in ("state", "reason", "how")
        )
        assert max(likeness(said, channel) for channel in heard) > 0.99
        assert shown["duration_s"] == pytest.approx(
            about["duration_s"], abs=2 * FRAME_S
        )
        assert PARTIES == parties(shown)
        assert ("ada", "Claims") == (shown["agent"], shown["workgroup"])
        assert 0 == shown["streams"][0]["packets_lost"]

    def test_a_hold_is_silence_of_its_length_and_the_call_keeps_its_own(
        self, lab: Lab, calls: Calls
    ) -> None:
        ran, number = calls["hold"].result()
        assert 0 == ran.status, ran.errors
        shown = lab.shown(number)
        said = mu_law(conversation("agent"))[: 6 * RATE_HZ]
        heard = lab.heard(shown)[0]

        assert (0, [200] * 4) == (ran.status, ran.answers), ran.errors
        assert shown["duration_s"] == pytest.approx(6.0, abs=FRAME_S)
        assert np.array_equal(said[: 2 * RATE_HZ - 800], heard[: 2 * RATE_HZ - 800])
        # Resumed after 3.5 s, and later where the machine is busy.
        back = round(3.3 * RATE_HZ)
        back += int(np.flatnonzero(heard[back:])[0])
        assert back < 5.5 * RATE_HZ
        assert np.array_equal(said[back:], heard[back : 6 * RATE_HZ])
        assert not heard[round(2.3 * RATE_HZ) : round(3.3 * RATE_HZ)].any()
        assert said[round(2.3 * RATE_HZ) : round(3.3 * RATE_HZ)].any()

    def test_a_screen_is_captured_beside_the_speech(
        self, lab: Lab, shared: Path, calls: Calls
    ) -> None:
        ran, number = calls["screen"].result()
        assert 0 == ran.status, ran.errors
        shown = lab.shown(number)
        expected = json.loads((shared / "media/expected.json").read_text())
        (sent,) = expected["x11_h264.pcap:46000"]["ssrcs"].values()
        speech, screen = shown["streams"]

        assert [200, 200] == ran.answers
        assert ("ready", None) == (shown["state"], shown["reason"])
        assert ("video", "H264", sent["pkts"], 0) == tuple(
            screen[name]
            for name in ("media", "codec", "packets_authentic", "packets_lost")
        )
        assert 150 == speech["packets_received"] == speech["packets_authentic"]

    def test_a_new_key_by_reinvite_loses_no_packet(
        self, lab: Lab, shared: Path, calls: Calls
    ) -> None:
        ran, number = calls["rekey"].result()
        assert 0 == ran.status, ran.errors
        shown = lab.shown(number)
        _, about = described(shared / "media", "ff_rekey")
        (stream,) = shown["streams"]
        heard = lab.heard(shown)

        assert (0, [200] * 3) == (ran.status, ran.answers), ran.errors
        assert ("ready", None) == (shown["state"], shown["reason"])
        assert (stream["packets_received"], 0) == (
            stream["packets_authentic"],
            stream["packets_undecryptable"],
        )
        # Two runs of ffmpeg, with a moment between them.
        for half in np.split(source(shared / "media", about), 2):
            assert max(likeness(half, channel) for channel in heard) > 0.99

    def test_after_a_transfer_both_agents_are_shown_and_who_left(
        self, lab: Lab, calls: Calls
    ) -> None:
        ran, number = calls["transfer"].result()
        assert 0 == ran.status, ran.errors
        shown = lab.shown(number)
        said = mu_law(conversation("agent"))[: 6 * RATE_HZ]
        by_name = {one.get("name", ""): one for one in shown["parties"]}

        assert (0, [200] * 3) == (ran.status, ran.answers), ran.errors
        assert {"", "Ada Lovelace", "Bob"} == set(by_name)
        assert ("left" in by_name["Ada Lovelace"], "left" in by_name["Bob"]) == (
            True,
            False,
        )
        assert "joined" in by_name["Bob"]
        assert ("ada", "Claims") == (shown["agent"], shown["workgroup"])
        assert np.array_equal(said, aligned(said, lab.heard(shown)[0]))


class TestMetadata:
    @pytest.mark.parametrize(
        ("scenario", "names"),
        [
            ("late-update", {"", "Ada Lovelace"}),
            ("late-reinvite", {"", "Ada Lovelace", "Bob"}),
        ],
    )
    def test_that_comes_late_and_in_parts_is_added_up(
        self, lab: Lab, scenario: str, names: set[str]
    ) -> None:
        ran, number = lab.run(scenario)
        shown = lab.shown(number)

        assert 0 == ran.status, ran.errors
        assert names == {one.get("name", "") for one in shown["parties"]}
        assert ("ada", "Claims") == (shown["agent"], shown["workgroup"])
        assert "complete" == shown["attributes"]["siprec_metadata"]


class TestTransactions:
    def test_seven_copies_of_an_invite_are_one_recording(self, lab: Lab) -> None:
        # On a busy machine the first answer comes before the last copy has left.
        ran, number = lab.run("copies", "-default_behaviors", "all,-abortunexp")
        shown = lab.shown(number)

        assert 0 == ran.status, ran.errors
        assert {1} == {
            len(set(ran.octets(200, method))) for method in ("INVITE", "BYE")
        }
        assert [shown["id"]] == lab.found(number)

    def test_a_200_is_repeated_until_its_ack_comes(self, lab: Lab) -> None:
        ran, number = lab.run("late-ack", "-nr")
        shown = lab.shown(number)

        assert (0, [200] * 4) == (ran.status, ran.answers), ran.errors
        assert 1 == len(set(ran.octets(200, "INVITE")))
        assert "bye" == shown["how"]

    def test_a_cancel_ends_what_it_meets(self, lab: Lab) -> None:
        ran, _ = lab.run("cancel")
        late, number = lab.run("cancel-late")

        assert (0, 0) == (ran.status, late.status), ran.errors + late.errors
        assert sorted(ran.answers) in ([200, 487], [200, 200, 200])
        assert [200, 200, 200] == late.answers
        assert "bye" == lab.shown(number)["how"]
        until(lambda: "callvault_sip_dialogs 0.0" in metrics(lab), "no dialog is left")

    def test_a_reinvite_and_a_bye_without_to_tag_are_taken(self, lab: Lab) -> None:
        ran, number = lab.run("no-to-tag")

        assert (0, [200] * 3) == (ran.status, ran.answers), ran.errors
        assert "bye" == lab.shown(number)["how"]


class TestRequests:
    def test_options_are_answered(self, lab: Lab) -> None:
        ran, _ = lab.run("options", transport="tcp")
        (answer,) = ran.responses(200)

        assert 0 == ran.status, ran.errors
        assert "siprec" in (answer.headers.get("Supported") or "")
        assert "UPDATE" in (answer.headers.get("Allow") or "")

    def test_info_brings_metadata_and_digits_that_are_kept_nowhere(
        self, lab: Lab
    ) -> None:
        ran, number = lab.run("info")
        shown = lab.shown(number)

        assert (0, [200, 200, 200, 469, 415, 200]) == (ran.status, ran.answers)
        assert "Bob" in {one.get("name") for one in shown["parties"]}
        assert "Signal" not in json.dumps(shown)

    def test_a_session_timer_is_agreed_and_refreshed_by_update(self, lab: Lab) -> None:
        ran, number = lab.run("timer")

        assert (0, [422, 200, 200, 200]) == (ran.status, ran.answers), ran.errors
        assert "bye" == lab.shown(number)["how"]

    def test_what_is_refused_is_told_why(self, lab: Lab) -> None:
        ran, number = lab.run("refused")

        assert (0, [420, 415, 488, 488, 481, 405, 501]) == (ran.status, ran.answers)
        assert [] == lab.found(number)

    def test_digest_is_answered_for_the_invite_and_the_bye(self, lab: Lab) -> None:
        ran, number = lab.run(
            *("digest", "-au", "phone-book", "-ap", lab.token),
            *("-auth_uri", f"srs@{lab.vault.sip}"),
            address="127.0.0.2",
        )

        assert (0, [401, 200, 401, 200]) == (ran.status, ran.answers), ran.errors
        assert "phone-book" == lab.shown(number)["device"]


def metrics(lab: Lab) -> str:
    return httpx.get(f"http://{lab.vault.metrics}/metrics", timeout=10).text
