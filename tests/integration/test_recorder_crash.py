"""A tap killed in the middle of a call: what it had sealed is accounted for."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.simulators.recorder import PBX, World
from vault.core.flow import HowEnded, RecordingState
from vault.core.ids import RecordingId
from vault.sealing.chunks import context
from vault.sealing.unfinished import UnfinishedReader
from vault.tap.capture import parse_records

_ROOT = Path(__file__).resolve().parents[2]
# The child takes a call, sends two seconds of it to itself and waits to be killed.
_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.simulators.recorder import PBX, World
from vault.core.flow import SessionOrder
from vault.tap.simulate import SimulatedCall

async def main():
    call = SimulatedCall(seconds=2.5)
    async with World(Path(sys.argv[1])).tap() as tap:
        answer = await tap.desk.open(
            SessionOrder(device=PBX, offer=call.build_offer(), origin="127.0.0.1")
        )
        await asyncio.to_thread(call.send, answer.sdp)
        print(answer.recording_id, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


class _Octets:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def _killed_in_a_call(folder: Path) -> RecordingId:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        # The log comes the same way; the id is alone on its line.
        if len(line.strip()) == 36:
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            return RecordingId(line.strip())
    raise AssertionError("the tap ended by itself")


async def _shipped(world: World, recording_id: RecordingId) -> None:
    async with world.tap() as tap:
        limit_s = time.monotonic() + 30
        while (world.spool.directory / recording_id).exists():
            assert time.monotonic() < limit_s
            await asyncio.sleep(0.05)
        status = await tap.desk.status(PBX, recording_id)

    assert ("captured", "cut") == (status.state, status.reason)


def test_a_killed_tap_loses_a_second_and_the_rest_is_shipped_as_cut(
    tmp_path: Path,
) -> None:
    recording_id = _killed_in_a_call(tmp_path)
    # Before any new tap: the media worker must have let go of the part file.
    world = World(tmp_path)
    asyncio.run(_shipped(world, recording_id))
    manifest = world.manifest(recording_id)
    reader = UnfinishedReader(
        _Octets(world.sealed(recording_id, "capture/0001.cut")),
        key=world.dek(recording_id),
        context=context(recording_id, "capture/0001"),
    )
    records = [r for r in parse_records(b"".join(reader.prefix())) if r.kind == 0]
    row = world.recordings.row(recording_id)

    assert HowEnded.CUT is manifest.how
    assert ["capture/0001.cut", "session/0001"] == [o.name for o in manifest.objects]
    assert (RecordingState.CAPTURED, HowEnded.CUT) == (row.state, row.how)
    # Two parties, 2.5 s at 50 packets/s: at most the last second may be missing.
    assert len(records) >= 150
