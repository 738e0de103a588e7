"""Chromium as a WebRTC gateway: its own ICE, DTLS and SRTP against a whole vault."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.simulators.hearing import decoded, tone_hz
from tests.simulators.installation import Pbx, until
from tests.simulators.site import Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.xdist_group("system-shared"),
]

_CHROMIUM = Path(os.environ.get("CALLVAULT_TEST_CHROMIUM", "/usr/bin/chromium"))
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
]
_OFFER = """async ([tones, bundlePolicy]) => {
    const audio = new AudioContext();
    const pc = window.pc = new RTCPeerConnection({bundlePolicy});
    const pcmu = RTCRtpSender.getCapabilities('audio').codecs
        .filter(codec => codec.mimeType === 'audio/PCMU');
    for (const hz of tones) {
        const tone = new OscillatorNode(audio, {frequency: hz});
        const end = audio.createMediaStreamDestination();
        tone.connect(end);
        tone.start();
        const track = end.stream.getAudioTracks()[0];
        pc.addTransceiver(track, {direction: 'sendonly'}).setCodecPreferences(pcmu);
    }
    await pc.setLocalDescription();
    return pc.localDescription.sdp;
}"""
_ANSWER = "sdp => window.pc.setRemoteDescription({type: 'answer', sdp})"
_RESTART = """async () => {
    await window.pc.setLocalDescription(await window.pc.createOffer({iceRestart: true}));
    return window.pc.localDescription.sdp;
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not _CHROMIUM.exists():
        pytest.skip(f"no Chromium at {_CHROMIUM} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, headless=True, args=_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"http://{site.vault.forks}/healthz")
        yield page


def call(page: Page, gateway: Pbx, *tones: int, policy: str = "balanced") -> str:
    """Begin a call; return its id once every stream has 50 authentic packets."""
    made = gateway.offer(page.evaluate(_OFFER, [tones, policy]), workgroup="Claims")
    assert made.status_code == 201, made.text
    page.evaluate(_ANSWER, made.json()["sdp"])
    id = str(made.json()["id"])
    heard(gateway, id, 50)
    return id


def heard(gateway: Pbx, id: str, packets: int) -> None:
    """Wait until every stream of a call has so many authentic packets."""

    def enough() -> bool:
        streams = gateway.http.get(f"/forks/{id}").json()["streams"]
        assert {one["handshake"] for one in streams} <= {"pending", "done"}
        return all(one["packets_authentic"] >= packets for one in streams)

    until(enough, f"{packets} authentic packets in every stream")


def test_two_tones_are_recorded_and_heard_in_their_channels(
    page: Page, site: Site
) -> None:
    id = call(page, site.pbx, 440, 1000)

    assert site.pbx.http.delete(f"/forks/{id}").status_code == 204
    page.evaluate("window.pc.close()")
    recording = site.vault.finished(site.sam, id)
    octets = site.sam.get(f"/recordings/{id}/audio").content
    left, right = decoded(octets)
    # From the middle: both parties are there, whoever began first.
    middle = slice(len(left) // 4, len(left) * 3 // 4)

    assert recording["state"] == "ready"
    suites = [stream["suite"] for stream in recording["streams"]]
    assert suites == ["AEAD_AES_256_GCM"] * 2
    assert [stream["packets_lost"] for stream in recording["streams"]] == [0, 0]
    assert abs(tone_hz(left[middle]) - 440) < 5
    assert abs(tone_hz(right[middle]) - 1000) < 5


def test_an_ice_restart_goes_on_without_a_new_handshake(page: Page, site: Site) -> None:
    gateway = site.pbx
    id = call(page, gateway, 440)
    before = gateway.http.get(f"/forks/{id}").json()["streams"][0]

    answer = gateway.http.put(f"/forks/{id}", json={"sdp": page.evaluate(_RESTART)})
    assert answer.status_code == 200, answer.text
    page.evaluate(_ANSWER, answer.json()["sdp"])
    heard(gateway, id, before["packets_authentic"] + 50)
    state = page.evaluate("window.pc.connectionState")
    ended = gateway.http.get(f"/forks/{id}").json()["streams"][0]
    gateway.http.delete(f"/forks/{id}")
    page.evaluate("window.pc.close()")

    assert state == "connected"
    assert ended["packets_lost"] == 0
    assert ended["packets_undecryptable"] == 0


@pytest.mark.parametrize(
    ("policy", "streams"), [("max-compat", 2), ("balanced", 2), ("max-bundle", 1)]
)
def test_bundle_policies_that_are_met_half_way(
    page: Page, site: Site, policy: str, streams: int
) -> None:
    gateway = site.pbx
    id = call(page, gateway, *[440] * streams, policy=policy)

    assert gateway.http.delete(f"/forks/{id}").status_code == 204
    page.evaluate("window.pc.close()")
