"""The shipped sweep, alone in a process, with its later stages left out.

What is left out is replaced by nothing; what stays is the vault's own code.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load import key_of
from sockets import bound, part

from vault.core.ids import new_recording_id
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.calls import Call
from vault.tap.config import TapConfig
from vault.tap.intake import Intake
from vault.tap.orders import PortPair, StreamOrder
from vault.tap.page import CallPage, PageWriter
from vault.tap.part import Part
from vault.tap.sweep import Sweep

IDLE_S = 2.0
RECEIVE, UNPROTECT, RECORD, SEAL = 1, 2, 3, 4


def run(
    stage: int, streams: int, port: int, suite: SrtpSuite, folder: Path
) -> tuple[int, int]:
    """Sweep until nothing has come for two seconds; return packets and refusals."""
    arrived = [0]
    _leave_out(stage, arrived)
    config = TapConfig()
    sweep, pages = Sweep(config), []
    for number in range(streams // 2):
        pages.append(CallPage.create())
        _add(sweep, number, port, suite, folder, os.dup(pages[-1].fd))
    print("READY", flush=True)
    last_s = next_s = time.monotonic()
    seen = 0
    while not seen or time.monotonic() - last_s < IDLE_S:
        next_s = max(next_s + config.tick_s, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
        sweep.tick()
        total = arrived[0] or sum(s.count.authentic for s in sweep.streams())
        if total != seen:
            seen, last_s = total, time.monotonic()
    refused = sum(sum(s.count.rejected.values()) for s in sweep.streams())
    return seen, refused


def _leave_out(stage: int, arrived: list[int]) -> None:
    def count(_intake: Intake, _port: Any, packets: int, *_rest: Any) -> None:
        arrived[0] += packets

    def accept(_intake: Intake, _stream: Any, packets: int, *_rest: Any) -> bool:
        arrived[0] += packets
        return True

    def nothing(*_anything: Any) -> None:
        return None

    def forget(self: Part, _now_s: float) -> None:
        self.buffer.clear()

    replaced: dict[int, tuple[type, str, Callable[..., Any]]] = {
        RECEIVE: (Intake, "_take", count),
        UNPROTECT: (Intake, "_accept_batch", accept),
        RECORD: (Part, "seal", forget),
        SEAL: (Part, "_write", nothing),
    }
    if stage in replaced:
        owner, name, stand_in = replaced[stage]
        setattr(owner, name, stand_in)


def _add(
    sweep: Sweep, number: int, port: int, suite: SrtpSuite, folder: Path, page: int
) -> None:
    dek, recording_id = SecretBytes(os.urandom(32)), new_recording_id()
    call = Call(
        recording_id=recording_id,
        dek=dek,
        part=Part(
            recording_id=recording_id, dek=dek, number=1, fd=part(folder, number)
        ),
        paused=False,
        page=PageWriter(page),
    )
    streams = []
    for leg in range(2):
        stream = 2 * number + leg
        ports = PortPair(
            address="127.0.0.1", rtp=port + 2 * stream, rtcp=port + 2 * stream + 1
        )
        order = StreamOrder(
            index=leg,
            label=("agent", "customer")[leg],
            media="audio",
            suite=suite,
            key=SecretBytes(key_of(stream, suite)),
            payloads=(STATIC_PAYLOADS[0],),
            ports=ports,
        )
        fds = [bound(one).detach() for one in (ports.rtp, ports.rtcp)]
        streams.append((order, *fds))
    sweep.add_call(call, streams, "")
