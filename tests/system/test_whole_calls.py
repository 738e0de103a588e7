"""Calls from the wire to a listener's ear, and into Wireshark."""

import base64
import io
import re
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law, tone_hz
from tests.simulators.installation import Call, media_ports, until
from tests.simulators.site import NUMBERS, Heard, Site, problem
from vault.core.media import SrtpSuite
from vault.tap.simulate import SimulatedCall, conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class TestAnOrdinaryCall:
    @pytest.mark.parametrize("suite", SrtpSuite)
    def test_it_is_ready_and_nothing_of_it_is_lost(
        self, suite: SrtpSuite, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        heard = calls_by_suite[suite]

        assert heard.state == ("ready", None)
        assert [suite] * 2 == [each["suite"] for each in heard.shown["streams"]]
        assert ["PCMU", "PCMA"] == [each["codec"] for each in heard.shown["streams"]]
        assert heard.call.packets == heard.total("packets_received")
        assert heard.call.packets == heard.total("packets_authentic")
        assert heard.total("packets_lost") == 0
        assert heard.shown["duration_s"] == pytest.approx(2.5, abs=0.1)

    def test_what_is_played_is_what_was_said_sample_for_sample(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        heard = calls_by_suite[SrtpSuite.AEAD_AES_256_GCM]

        audio = site.sam.get(f"/recordings/{heard.id}/audio")

        assert audio.headers["content-type"] == "audio/flac"
        said = mu_law(conversation("agent"))[: 5 * RATE_HZ // 2]
        assert np.array_equal(said, aligned(said, decoded(audio.content)[0]))

    def test_a_range_is_the_same_octets_as_the_whole(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        path = f"/recordings/{calls_by_suite[SrtpSuite.AEAD_AES_128_GCM].id}/audio"
        whole = site.sam.get(path).content

        # 16 KiB is where one sealed chunk ends and the next begins.
        part = site.sam.get(path, headers={"Range": "bytes=16380-16391"})
        tail = site.sam.get(path, headers={"Range": "bytes=-5"})

        assert (206, whole[16380:16392]) == (part.status_code, part.content)
        assert (206, whole[-5:]) == (tail.status_code, tail.content)

    def test_m4a_is_made_when_it_is_asked_for(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        path = f"/recordings/{calls_by_suite[SrtpSuite.AEAD_AES_128_GCM].id}/audio"
        answers: list[httpx.Response] = []

        def made() -> bool:
            answers.append(site.sam.get(path, params={"format": "m4a"}))
            return answers[-1].status_code == 200

        until(made, "the M4A is made")

        assert (409, "/problems/not-ready") == (
            answers[0].status_code,
            problem(answers[0])["type"],
        )
        assert "retry-after" in answers[0].headers
        octets = answers[-1].content
        assert answers[-1].headers["content-type"] == "audio/mp4"
        # What a player needs comes before what it plays.
        assert 0 < octets.index(b"moov") < octets.index(b"mdat")
        with av.open(io.BytesIO(octets)) as file:
            assert 2.5 == pytest.approx(float(file.duration) / av.time_base, abs=0.2)
            assert [("aac", 2)] == [(s.name, s.channels) for s in file.streams.audio]

    def test_many_calls_at_once_are_all_whole(self, site: Site) -> None:
        begun = [site.pbx.begin(seconds=2.0, workgroup="Claims") for _ in range(12)]
        with ThreadPoolExecutor(max_workers=len(begun)) as pool:
            list(pool.map(site.pbx.speak, begun))
            list(pool.map(site.pbx.end, begun))
            heard = list(pool.map(site.wait, begun))

        assert {("ready", None)} == {each.state for each in heard}
        assert [call.packets for call in begun] == [
            each.total("packets_authentic") for each in heard
        ]
        assert sum(each.total("packets_lost") for each in heard) == 0

    def test_an_operator_exports_what_the_supervisor_gets(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        id = calls_by_suite[SrtpSuite.AEAD_AES_256_GCM].id
        files = {
            name: site.vault.place / f"same.{name}" for name in ("flac", "capture")
        }

        for name, file in files.items():
            site.vault.said(
                "recordings", "export", id, "--format", name, "--output", file
            )

        audio = site.sam.get(f"/recordings/{id}/audio")
        capture = site.sam.get(f"/recordings/{id}/capture")
        assert audio.content == files["flac"].read_bytes()
        assert capture.content == files["capture"].read_bytes()
        assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}


@pytest.mark.peer
class TestFfmpegAsThePbx:
    def test_both_parties_are_heard_each_on_its_side(self, site: Site) -> None:
        ffmpeg = program("ffmpeg")
        keys = [base64.b64encode(secrets.token_bytes(30)).decode() for _ in "ab"]
        made = site.pbx.offer(_offer(keys), workgroup="Claims", **NUMBERS)
        assert made.status_code == 201, made.text
        answer = made.json()
        senders = [
            subprocess.Popen(
                _tone(ffmpeg, hz=hz, codec=codec, key=key, port=port),
                stdout=subprocess.DEVNULL,
            )
            for hz, codec, key, port in zip(
                (440, 660),
                ("pcm_mulaw", "pcm_alaw"),
                keys,
                media_ports(answer["sdp"]),
                strict=True,
            )
        ]
        assert [0, 0] == [sender.wait(60) for sender in senders]
        assert site.pbx.http.delete(f"/forks/{answer['id']}").status_code == 204

        shown = site.vault.finished(site.sam, answer["id"])

        assert (shown["state"], shown["reason"]) == ("ready", None)
        for stream in shown["streams"]:
            assert stream["packets_received"] == stream["packets_authentic"] > 140
            assert stream["packets_lost"] == 0
        audio = decoded(site.sam.get(f"/recordings/{answer['id']}/audio").content)
        middle = audio[:, RATE_HZ : 2 * RATE_HZ]
        assert [440, 660] == [pytest.approx(tone_hz(side), abs=2) for side in middle]


@pytest.mark.peer
class TestTsharkOnTheExport:
    def test_it_counts_the_packets_that_the_api_counts(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        heard = calls_by_suite[SrtpSuite.AES_CM_128_HMAC_SHA1_80]
        file = _exported(site, heard.id)

        streams = _rtp_streams(file, heard.call)

        assert len(streams) == 2
        for port, shown in zip(
            media_ports(heard.call.answer), heard.shown["streams"], strict=True
        ):
            said = (shown["packets_authentic"], shown["packets_lost"])
            assert said == streams[port]

    def test_it_counts_the_reports_of_both_parties(
        self, site: Site, calls_by_suite: Mapping[SrtpSuite, Heard]
    ) -> None:
        heard = calls_by_suite[SrtpSuite.AES_CM_128_HMAC_SHA1_80]
        file = _exported(site, heard.id)

        ports = [port + 1 for port in media_ports(heard.call.answer)]
        words = [word for port in ports for word in ("-d", f"udp.port=={port},rtcp")]
        found = _tshark("-r", file, *words, "-Y", "rtcp.pt == 200", "-T", "fields", "-e", "udp.dstport")  # fmt: skip

        counted = Counter(int(line.split(",")[0]) for line in found.split())
        said = [stream["rtcp_packets"] for stream in heard.shown["streams"]]
        assert said == [counted[port] for port in ports]


class TestACallThatGoesWrong:
    def test_packets_under_another_key_are_kept_and_the_recording_says_why(
        self, site: Site
    ) -> None:
        call = site.pbx.begin(seconds=1.5, workgroup="Claims", **NUMBERS)
        impostor = SimulatedCall(seconds=1.5)
        sent = impostor.send(call.answer)
        site.pbx.end(call)

        heard = site.wait(call)

        assert heard.state == ("partial", "srtp-unauthenticated")
        assert heard.total("packets_authentic") == 0
        assert [
            {"unauthenticated": one.packets, "rtcp-unauthenticated": one.reports}
            for one in sent
        ] == [stream["packets_rejected"] for stream in heard.shown["streams"]]
        kept = sum(one.packets for one in sent)
        assert kept == heard.total("packets_undecryptable")
        audio = site.sam.get(f"/recordings/{heard.id}/audio")
        assert (409, "/problems/no-media") == (
            audio.status_code,
            problem(audio)["type"],
        )
        assert kept == _datagrams(_exported(site, heard.id))

    def test_a_call_without_media_failed_and_has_nothing_to_play(
        self, site: Site
    ) -> None:
        call = site.pbx.begin(workgroup="Claims", **NUMBERS)
        site.pbx.end(call)

        heard = site.wait(call)

        assert heard.state == ("failed", "no-media")
        audio = site.sam.get(f"/recordings/{heard.id}/audio")
        assert (409, "/problems/no-media") == (
            audio.status_code,
            problem(audio)["type"],
        )
        refused = site.vault.run("recordings", "export", heard.id, "--output", "x.flac")
        assert refused.returncode == 1
        assert "without media" in refused.stderr
        assert not (site.vault.place / "x.flac").exists()


class TestAPausedCall:
    def test_the_pause_is_silence_and_nothing_shifts(self, site: Site) -> None:
        call = site.pbx.begin(seconds=4.0, workgroup="Claims", **NUMBERS)
        path = f"/forks/{call.id}"
        with site.pbx.speaking(call):
            _until_received(site.pbx.http, path, 80)
            paused = site.pbx.http.patch(path, json={"state": "paused"})
            _until_received(site.pbx.http, path, 240)
            resumed = site.pbx.http.patch(path, json={"state": "recording"})
        site.pbx.end(call)

        heard = site.wait(call)

        assert [(200, "paused"), (200, "recording")] == [
            (each.status_code, each.json()["state"]) for each in (paused, resumed)
        ]
        assert heard.shown["duration_s"] == pytest.approx(4.0, abs=0.1)
        assert call.packets == heard.total("packets_authentic")
        audio = decoded(site.sam.get(f"/recordings/{call.id}/audio").content)
        said = mu_law(conversation("agent"))[: 4 * RATE_HZ]
        got = aligned(said, audio[0])
        other = np.flatnonzero(said != got)
        gap = got[other[0] : other[-1] + 1]
        assert not gap.any()
        assert RATE_HZ // 2 < len(gap) < 3 * RATE_HZ
        assert other[0] > RATE_HZ // 4
        assert len(got) - other[-1] > RATE_HZ // 4


class TestACallWithNewKeys:
    def test_it_stays_one_whole_recording(self, site: Site) -> None:
        call = site.pbx.begin(seconds=1.5, workgroup="Claims", **NUMBERS)
        site.pbx.speak(call)
        later = SimulatedCall(suite=SrtpSuite.AEAD_AES_256_GCM, seconds=1.5)

        renewed = site.pbx.http.put(
            f"/forks/{call.id}", json={"sdp": later.build_offer()}
        )
        assert renewed.status_code == 200, renewed.text
        sent = sum(one.packets for one in later.send(renewed.json()["sdp"]))
        site.pbx.end(call)
        heard = site.wait(call)

        assert call.id == renewed.json()["id"]
        assert media_ports(call.answer) == media_ports(renewed.json()["sdp"])
        assert heard.state == ("ready", None)
        assert call.packets + sent == heard.total("packets_authentic")
        assert heard.total("packets_lost") == 0
        audio = decoded(site.sam.get(f"/recordings/{call.id}/audio").content)
        said = mu_law(conversation("agent"))[: 3 * RATE_HZ // 2]
        assert np.array_equal(said, aligned(said, audio[0]))
        assert audio.shape[1] >= 3 * RATE_HZ


def _until_received(fork: httpx.Client, path: str, packets: int) -> None:
    def counted() -> bool:
        streams = fork.get(path).json()["streams"]
        return sum(stream["packets_received"] for stream in streams) >= packets

    until(counted, f"{packets} packets have come")


def _offer(keys: list[str]) -> str:
    sections = [
        f"m=audio {port} RTP/SAVP {payload}\na=label:{label}\na=sendonly\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\n"
        for port, payload, label, key in zip(
            (5004, 5006), (0, 8), ("agent", "customer"), keys, strict=True
        )
    ]
    head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
    return head + "".join(sections)


def _tone(ffmpeg: str, *, hz: int, codec: str, key: str, port: int) -> list[str]:
    # pkt_size 186 makes packets of 20 ms; without it ffmpeg sends 180 ms.
    return [
        ffmpeg, "-hide_banner", "-loglevel", "error", "-re",
        "-f", "lavfi", "-i", f"sine=frequency={hz}:duration=3",
        "-ar", "8000", "-ac", "1", "-c:a", codec, "-f", "rtp",
        "-srtp_out_suite", "AES_CM_128_HMAC_SHA1_80", "-srtp_out_params", key,
        f"srtp://127.0.0.1:{port}?pkt_size=186",
    ]  # fmt: skip


def _exported(site: Site, id: str) -> Path:
    file = site.vault.place / f"{secrets.token_hex(4)}.pcapng"
    site.vault.said("recordings", "export", id, "--format", "pcapng", "--output", file)
    return file


def _tshark(*words: str | Path) -> str:
    done = subprocess.run(
        [program("tshark"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def _rtp_streams(file: Path, call: Call) -> dict[int, tuple[int, int]]:
    """Return destination port → packets and losses, as tshark counts them."""
    ports = media_ports(call.answer)
    words = [word for port in ports for word in ("-d", f"udp.port=={port},rtp")]
    table = _tshark("-r", file, *words, "-q", "-z", "rtp,streams")
    row = re.compile(r"(\d+)\s+0x[0-9A-F]{8}\s+\S.*?\s(\d+)\s+(-?\d+) \(")
    return {int(port): (int(n), int(lost)) for port, n, lost in row.findall(table)}


def _datagrams(file: Path) -> int:
    return len(_tshark("-r", file, "-Y", "udp", "-T", "fields", "-e", "frame.number").split())  # fmt: skip
