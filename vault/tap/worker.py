"""A media worker: one process, one thread, one sweep loop.

Started by `vault.tap.pool` as ``python -m vault.tap.worker FD``, where *FD* is
its end of the control socket.  It knows no file name, no database and no
address: descriptors and keys come over that socket, one call at a time.

Guarantees: it lives no longer than its supervisor.  When the control socket
closes it writes out what it holds and ends; a signal to the process group
(Ctrl-C) does not stop it before the supervisor has closed its calls.  No order
and no packet ends it; a failed write ends one part.

Left to others: being restarted (`vault.tap.pool`).
"""

import gc
import os
import resource
import select
import signal
import socket
import sys
import time

from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.process import harden
from vault.tap import control
from vault.tap.calls import Call
from vault.tap.capacity import REPORT_S, free_descriptors
from vault.tap.config import TapConfig
from vault.tap.control import Fields
from vault.tap.orders import StreamOrder
from vault.tap.part import Part
from vault.tap.sweep import Sweep


class Worker:
    """The loop: orders between ticks, ticks on time."""

    def __init__(self, end: socket.socket, config: TapConfig) -> None:
        self._end = end
        self._config = config
        self._sweep = Sweep(config)
        self._unsent: list[bytes] = []
        self._closing: list[tuple[float, int, Call, str]] = []
        self._reported_s = 0.0
        self._late_s = 0.0
        "How late the latest sweep since the last report began."

    def run(self) -> None:
        """Work until the supervisor closes its end."""
        ready = select.poll()
        ready.register(self._end, select.POLLIN)
        next_s = time.monotonic() + self._config.tick_s
        while True:
            wake_s = min([next_s, *(at for at, *_ in self._closing)])
            try:
                if ready.poll(max(0.0, wake_s - time.monotonic()) * 1000):
                    self._obey()
                self._close_due()
                now_s = time.monotonic()
                if now_s >= next_s:
                    self._late_s = max(self._late_s, now_s - next_s)
                    self._tick(now_s)
                    # A late tick is not made up for: the kernel has queued.
                    next_s = max(next_s, now_s - self._config.tick_s)
                    next_s += self._config.tick_s
                self._send_unsent()
            except ConnectionError:
                self._sweep.abandon()
                return

    def tell(self, fields: Fields) -> None:
        """Say something; kept until the supervisor takes it."""
        self._unsent.append(control.pack(fields))

    # -- orders ------------------------------------------------------------

    def _obey(self) -> None:
        while (received := control.receive(self._end)) is not None:
            message, fds = received
            order = control.unpack(message)
            try:
                self._carry_out(order, fds)
            except Exception as error:  # noqa: BLE001 - one order must not end the calls of all others
                # The class alone: a message could quote a key.
                self._answer(order["id"], error=type(error).__name__)

    def _carry_out(self, order: Fields, fds: list[int]) -> None:
        wanted = order["do"]
        if wanted == "open":
            self._open(order, fds)
            self._answer(order["id"])
            return
        call = self._sweep.calls[RecordingId(order["call"])]
        if wanted == "close":
            due_s = time.monotonic() + order["straggle_s"]
            self._closing.append((due_s, order["id"], call, order["how"]))
            return
        extra: Fields = {}
        if wanted == "add":
            for stream, rtp_fd, rtcp_fd in _streams(order, fds):
                self._sweep.add_stream(call, stream, rtp_fd, rtcp_fd)
        elif wanted == "change":
            self._sweep.change_stream(call, control.change_of(order["change"]))
        elif wanted == "pause":
            self._sweep.pause(call, order["paused"])
        elif wanted == "roll":
            part = _part(call.id, call.dek, order["part"], fds[0])
            extra["final"] = self._sweep.roll(call, part, order["gap"])
        elif wanted == "count":
            self._sweep.drain(call)
            self._unsent += control.pack_counters(call.streams.values())
        else:
            raise ValueError(wanted)
        self._answer(order["id"], **extra)

    def _open(self, order: Fields, fds: list[int]) -> None:
        recording_id = RecordingId(order["call"])
        dek = control.octets_of(order["dek"])
        part = _part(recording_id, dek, order["part"], fds[0])
        call = Call(
            recording_id=recording_id, dek=dek, part=part, paused=order["paused"]
        )
        self._sweep.add_call(call, _streams(order, fds[1:]), order["gap"])

    def _close_due(self) -> None:
        now_s = time.monotonic()
        due = [closing for closing in self._closing if closing[0] <= now_s]
        if not due:
            return
        self._closing = [closing for closing in self._closing if closing[0] > now_s]
        for _, number, call, how in due:
            if call.id not in self._sweep.calls:
                self._answer(number, error="closed before")
                continue
            streams = list(call.streams.values())
            final = self._sweep.close(call, how)
            self._unsent += control.pack_counters(streams)
            self._answer(number, final=final, failure=call.part.failure)

    def _answer(self, number: int, error: str = "", **extra: object) -> None:
        self.tell({"id": number, "error": error, **extra})

    # -- time --------------------------------------------------------------

    def _tick(self, now_s: float) -> None:
        self._sweep.tick()
        for call in self._sweep.failed:
            self.tell(
                {
                    "tell": "failed",
                    "call": call.id,
                    "part": call.part.number,
                    "failure": call.part.failure,
                }
            )
        self._sweep.failed.clear()
        if now_s - self._reported_s >= REPORT_S and not self._unsent:
            self._reported_s = now_s
            self._unsent += control.pack_counters(self._sweep.streams())
            self.tell(
                {
                    "tell": "alive",
                    "pid": os.getpid(),
                    "calls": len(self._sweep.calls),
                    "late_s": round(self._late_s, 3),
                    "free_descriptors": free_descriptors(),
                }
            )
            self._late_s = 0.0

    def _send_unsent(self) -> None:
        while self._unsent:
            if not control.send(self._end, self._unsent[0]):
                return
            del self._unsent[0]


def _part(recording_id: RecordingId, dek: SecretBytes, number: int, fd: int) -> Part:
    return Part(recording_id=recording_id, dek=dek, number=number, fd=fd)


def _streams(order: Fields, fds: list[int]) -> list[tuple[StreamOrder, int, int]]:
    orders = [control.stream_of(fields) for fields in order["streams"]]
    return list(zip(orders, fds[::2], fds[1::2], strict=True))


def raise_descriptor_limit() -> None:
    """Let this process hold as many descriptors as it may: four per call and more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Run a worker on the control socket whose descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    missing = harden()
    raise_descriptor_limit()
    end = socket.socket(fileno=int(sys.argv[1]))
    end.setblocking(False)
    settings = control.unpack(_first_message(end))
    worker = Worker(end, TapConfig(**settings))
    worker.tell({"tell": "ready", "pid": os.getpid(), "missing": list(missing)})
    gc.collect()
    gc.freeze()
    worker.run()


def _first_message(end: socket.socket) -> bytes:
    select.select([end], [], [])
    received = control.receive(end)
    assert received is not None
    return received[0]


if __name__ == "__main__":
    main()
