"""The completeness certificate against tshark's RTP analysis of the same capture.

Other senders' captures are laid into a capture of ours with the times at which they
were recorded, packets protected as they were: late keys open them, in the certificate
and in the export, so that duplicates are not refused on the way in.
"""

import json
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.simulators.calls import (
    MS,
    OPUS,
    PCMA,
    PCMU,
    START_NS,
    Phone,
    Sent,
    added,
    babble,
    capture,
)
from tests.simulators.tap_calls import datagrams
from vault.core import canonical
from vault.core.clock import rfc3339
from vault.core.flow import HowEnded
from vault.core.ids import new_recording_id
from vault.core.media import PayloadFormat
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.late_keys import LateKey, LateKeys
from vault.renditions.legs import legs_of
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader
from vault.renditions.pcapng import to_pcapng
from vault.renditions.peaks import PeaksWriter
from vault.renditions.quality import certificate
from vault.sealing.manifest import Manifest
from vault.tap.capture import Kind
from vault.tap.rtp import RTCP_SECOND_OCTETS

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed"),
]

VECTORS = Path(__file__).resolve().parents[1] / "vectors/tap"
H264 = PayloadFormat(payload_type=96, encoding="H264", clock_rate_hz=90_000)
G722 = PayloadFormat(payload_type=9, encoding="G722", clock_rate_hz=8000)
PAYLOADS = {"PCMU": PCMU, "PCMA": PCMA, "G722": G722, "opus": OPUS, "H264": H264}
_DECODED = [f"-dudp.port=={port},rtp" for port in range(40000, 40012, 2)]


def arrivals_ns(pcap: Path) -> Iterator[int]:
    """Yield when each frame of a capture was recorded."""
    octets = pcap.read_bytes()
    order = "<" if octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    (magic,) = struct.unpack_from(order + "I", octets)
    unit_ns = 1 if magic == 0xA1B23C4D else 1000
    at = 24
    while at < len(octets):
        s, part, size = struct.unpack_from(order + "III", octets, at)
        yield s * 1_000_000_000 + part * unit_ns
        at += 16 + size


def as_kept(number: int, pcap: Path, about: dict[str, Any]) -> tuple[list[Sent], bytes]:
    """Return a pcap as packets of stream *number* that the tap could not open."""
    packets = [
        Sent(at_ns, number, octets, kind=Kind.UNDECRYPTABLE)
        for at_ns, (port, octets) in zip(
            arrivals_ns(pcap), datagrams(pcap), strict=True
        )
        if port == about["port"] and octets[1] not in RTCP_SECOND_OCTETS
    ]
    encoding = about.get("encoding") or about["codec"]
    payload = PAYLOADS[encoding]
    if "pt" in about:
        payload = PayloadFormat(
            payload_type=about["pt"],
            encoding=payload.encoding,
            clock_rate_hz=payload.clock_rate_hz,
        )
    media = "video" if encoding == "H264" else "audio"
    name = f"stream{number + 1}"
    return packets, added(number, name, payloads=(payload,), media=media)


def keys_of(number: int, about: dict[str, Any]) -> str:
    keys = [about.get("key") or about["key_b64"]]
    keys += [about[each] for each in ("next_key", "next_key_b64") if each in about]
    return "".join(f"{number} {about['suite']} inline:{key}\n" for key in keys)


def one_call(
    captures: Sequence[tuple[Path, dict[str, Any]]],
) -> tuple[bytes, tuple[LateKey, ...]]:
    """Lay captures beside each other as streams of one call."""
    kept = [as_kept(number, *each) for number, each in enumerate(captures)]
    keys = [keys_of(number, about) for number, (_, about) in enumerate(captures)]
    packets = [one for sent, _ in kept for one in sent]
    part = capture(packets, *(event for _, event in kept))
    return part, LateKeys.parse("".join(keys).encode()).keys


def read(part: bytes, keys: Sequence[LateKey] = ()) -> CaptureReader:
    reader = CaptureReader(DeferredDecryption(keys))
    reader.feed(part)
    reader.end_part("capture/0001")
    return reader


def unseen_by_tshark(part: bytes, keys: Sequence[LateKey]) -> dict[int, int]:
    """Return the numbers that tshark does not expect, by SSRC.

    For tshark a stream goes from the packet that came first to the one that came
    last, whatever their numbers are.
    """
    runs = [
        run
        for stream in read(part, keys).finish()
        for leg in legs_of(stream.packets)
        for run in leg
    ]
    return {
        run.ssrc: int(
            run.extended[-1]
            - run.extended[run.rows.argmax()]
            + run.extended[run.rows.argmin()]
            - run.extended[0]
        )
        for run in runs
    }


def certified(part: bytes, keys: Sequence[LateKey] = ()) -> list[dict[str, Any]]:
    """Return what the certificate says about each stream."""
    reader = read(part, keys)
    streams = reader.finish()
    timeline = timeline_of(streams)
    peaks = PeaksWriter(labels=[each.label for each in timeline.channels])
    for block in timeline.blocks():
        peaks.write(block)
    id = new_recording_id()
    manifest = Manifest(
        recording_id=id,
        tap="tap-1",
        started=rfc3339(START_NS),
        ended=rfc3339(START_NS),
        how=HowEnded.BYE,
        objects=(),
        streams=(),
    )
    document = certificate(
        id,
        manifest=manifest,
        streams=streams,
        timeline=timeline,
        peaks=peaks,
        cut_bytes=0,
        parts=reader.parts,
    )
    streams_of_it = canonical.parse(document)["streams"]
    assert isinstance(streams_of_it, list)
    return streams_of_it


def by_tshark(part: bytes, keys: Sequence[LateKey] = ()) -> dict[int, dict[str, Any]]:
    """Return tshark's RTP analysis of the export, by SSRC."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "call.pcapng"
        file.write_bytes(b"".join(to_pcapng([part], DeferredDecryption(keys))))
        said = subprocess.run(
            ["tshark", "-r", file, *_DECODED, "-q", "-z", "rtp,streams"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    found = {}
    for line in said.splitlines():
        _, ssrc, rest = line.partition(" 0x")
        if not ssrc:
            continue
        words = rest.split()
        at = next(n for n, word in enumerate(words) if word.endswith("%)")) - 2
        times = [float(word) for word in words[at + 3 : at + 9]]
        found[int(words[0], 16)] = {
            "packets": int(words[at]),
            "lost": int(words[at + 1]),
            "jitter_max_ms": times[5],
        }
    return found


def agree(
    part: bytes, keys: Sequence[LateKey] = (), *, clockless: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Compare both accounts SSRC by SSRC; return ours.

    Of *clockless* encodings tshark does not know the clock, and so no jitter.
    """
    ours, theirs = certified(part, keys), by_tshark(part, keys)
    runs = [(each, run) for each in ours for run in each["ssrcs"]]
    unseen = unseen_by_tshark(part, keys)

    assert {run["ssrc"] for _, run in runs} == theirs.keys()
    for stream, run in runs:
        peer = theirs[run["ssrc"]]
        assert run["packets"] + run["duplicated"] == peer["packets"]
        # tshark takes a packet that came twice off its losses.
        lost = run["missing"] - run["duplicated"] - unseen[run["ssrc"]]
        assert lost == peer["lost"]
        if stream["codec"] not in clockless:
            expected = pytest.approx(peer["jitter_max_ms"], abs=0.01)
            assert run["jitter_max_us"] / 1000 == expected
    return ours


CAPTURES = json.loads((VECTORS / "captures.json").read_text())


def test_captures_of_other_senders_are_counted_as_tshark_counts_them() -> None:
    named = list(CAPTURES.items())
    part, keys = one_call([(VECTORS / f"{n}.pcap", about) for n, about in named])

    ours = agree(part, keys)

    for stream, (_, about) in zip(ours, named, strict=True):
        assert stream["recovered"] == stream["received"]
        assert stream["received"] - stream["duplicated"] == sum(about["rtp"].values())
        assert stream["duplicated"] == about["duplicates"]
        assert stream["undecryptable"] == 0


def test_the_lossy_capture_has_as_many_losses_as_were_made() -> None:
    name = "imp_loss_reorder_dup"

    (ours,) = certified(*one_call([(VECTORS / f"{name}.pcap", CAPTURES[name])]))

    assert (ours["lost"], ours["duplicated"]) == (14, 5)
    assert ours["reordered"] > 0


def test_the_other_shared_captures_agree_too(shared: Path) -> None:
    keys = json.loads((shared / "media/keys.json").read_text())
    names = ["ff_pcmu_sha80", "ff_ssrc_change", "ff_g722"]
    names += ["ff_opus_both_full", "x11_h264"]
    captures = [
        (shared / f"media/{name}.pcap", keys[f"{name}.pcap"]["streams"][0])
        for name in names
    ]

    ours = agree(*one_call(captures), clockless=["opus", "H264"])

    assert [0] * len(names) == [stream["undecryptable"] for stream in ours]


@dataclass(frozen=True)
class Fault:
    """What a network does to one stream."""

    lost: frozenset[int]
    twice: frozenset[int]
    spread_ms: int
    seed: int

    def of(self, number: int, spoken: Sequence[Sent]) -> list[Sent]:
        chance = random.Random(self.seed)
        packets = []
        for place, one in enumerate(spoken):
            middle = 0 < place < len(spoken) - 1
            late_ns = round(chance.random() * self.spread_ms * MS) if middle else 0
            # The last one comes last, so that tshark knows where the stream ends.
            late_ns += 300 * MS if place == len(spoken) - 1 else 0
            at_ns = one.at_ns + late_ns
            if place not in self.lost:
                packets.append(Sent(at_ns, number, one.octets))
            if place in self.again:
                packets.append(Sent(at_ns + 5 * MS, number, one.octets))
        return packets

    @property
    def again(self) -> frozenset[int]:
        return self.twice - self.lost


faults = st.builds(
    Fault,
    lost=st.frozensets(st.integers(1, 148), max_size=60),
    twice=st.frozensets(st.integers(1, 148), max_size=30),
    spread_ms=st.sampled_from([0, 3, 15, 60, 200]),
    seed=st.integers(0, 2**31),
)


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(at_once=st.lists(faults, min_size=6, max_size=6))
def test_any_mixture_of_loss_duplicates_and_disorder_agrees(
    at_once: list[Fault],
) -> None:
    packets = []
    for number, fault in enumerate(at_once):
        # tshark takes disorder around a rollover for 65535 losses.
        phone = Phone(stream=number, ssrc=number + 1, seq=1000 * number)
        packets += fault.of(number, phone.say(babble(3, seed=number + 1)))
    events = [added(number, f"stream{number + 1}") for number in range(len(at_once))]

    ours = agree(capture(packets, *events))

    assert [len(fault.lost) for fault in at_once] == [each["lost"] for each in ours]
    assert [len(fault.again) for fault in at_once] == [
        each["duplicated"] for each in ours
    ]
