"""A media worker: one process, one thread, one sweep loop.

Started by `vault.tap.crew` as ``python -m vault.tap.worker FD``, where *FD* is
its end of the control socket.  It knows no file name, no database and no
address: descriptors and keys come over that socket, one call at a time.

Guarantees:
    * No order and no packet ends it; a failed write ends one part.
    * A signal to the process group (Ctrl-C) does not stop it before the supervisor
      has closed its calls.
    * A supervisor that is gone ends no call: sweeps go on, closes that were not due
      are off, and whoever meets the worker (`vault.tap.meeting`) within
      `TapConfig.orphan_s` gets everything, answers that nobody heard included.
      Without calls, without a listener or after that time it writes out what it
      holds and ends.

Left to others: being restarted (`vault.tap.crew`), moving packets (`vault.tap.sweep`).
"""

import gc
import math
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

from vault import confine, process
from vault.tap import control, meeting
from vault.tap.capacity import REPORT_S, free_descriptors
from vault.tap.config import TapConfig
from vault.tap.consent import MOST_RELAYED
from vault.tap.control import Fields
from vault.tap.duties import Duties
from vault.tap.sweep import Sweep

_MOST_RELAYS: Final = 4 * MOST_RELAYED
"Datagrams for the supervisor that wait: under a megabyte."
_TRIM_S: Final = 5.0
"How often memory that a busy moment took is given back."


class Worker:
    """The loop: orders between ticks, ticks on time."""

    def __init__(
        self, end: socket.socket, listener: socket.socket | None, config: TapConfig
    ) -> None:
        self._end: socket.socket | None = end
        self._listener = listener
        self._config = config
        self._missing: tuple[str, ...] = ()
        self._sweep = Sweep(config)
        self._duties = Duties(self._sweep)
        self._unsent: list[tuple[bytes, list[int]]] = []
        self._relays: deque[bytes] = deque(maxlen=_MOST_RELAYS)
        """Apart from answers: strangers can make them, and a supervisor that is stopped
        takes none.  The oldest go first; a peer repeats what is lost."""
        self._orphan_until_s = 0.0
        self._reported_s = 0.0
        self._trimmed_s = time.monotonic()
        self._next_video_s = math.inf
        self._late_s = 0.0
        "How late the latest sweep since the last report began."

    def run(self, missing: tuple[str, ...]) -> None:
        """Work until told to end, or until nobody wants the calls any more."""
        self._missing = missing
        self._say_ready()
        next_s = time.monotonic() + self._config.tick_s
        while self._is_wanted():
            self._wait(min(next_s, self._next_video_s, self._duties.next_due_s))
            try:
                self._obey()
            except ConnectionError:
                self._lose_supervisor()
            self._unsent += self._duties.close_due()
            now_s = time.monotonic()
            if now_s < next_s:
                self._tick_video(now_s)
            else:
                self._late_s = max(self._late_s, now_s - next_s)
                self._tick(now_s)
                # A late tick is not made up for: the kernel has queued.
                next_s = max(next_s, now_s - self._config.tick_s)
                next_s += self._config.tick_s
            try:
                self._send_unsent()
            except OSError:
                self._lose_supervisor()
        self._sweep.abandon()
        self._send_last()

    # -- who gives orders --------------------------------------------------

    def _is_wanted(self) -> bool:
        if self._duties.told_to_end:
            return False
        if self._end is not None:
            return True
        if self._listener is None or not self._duties.holds_anything:
            return False
        return time.monotonic() < self._orphan_until_s

    def _wait(self, until_s: float) -> None:
        poller = select.poll()
        if self._end is not None:
            events = select.POLLIN | (
                select.POLLOUT if self._unsent or self._relays else 0
            )
            poller.register(self._end, events)
        if self._listener is not None:
            poller.register(self._listener, select.POLLIN)
        ready = poller.poll(max(0.0, until_s - time.monotonic()) * 1000)
        listener = self._listener
        if listener is not None and any(fd == listener.fileno() for fd, _ in ready):
            self._let_in(listener)

    def _let_in(self, listener: socket.socket) -> None:
        peer = meeting.accept(listener)
        if peer is None:
            return
        if self._end is not None:
            # This worker has a supervisor.  If that one has just died, the control
            # socket says so first, and who was turned away asks again.
            peer.close()
            return
        self._end = peer
        self._say_ready()

    def _lose_supervisor(self) -> None:
        if self._end is None:
            return
        self._end.close()
        self._end = None
        self._unsent.clear()
        self._relays.clear()
        self._orphan_until_s = time.monotonic() + self._config.orphan_s
        self._duties.supervisor_is_gone()

    def _say_ready(self) -> None:
        self._tell(
            {
                "tell": "ready",
                "protocol": control.PROTOCOL,
                "pid": os.getpid(),
                "missing": list(self._missing),
            }
        )

    def _obey(self) -> None:
        while self._end is not None:
            received = control.receive(self._end)
            if received is None:
                return
            message, fds = received
            self._unsent += self._duties.carry_out(control.unpack(message), fds)
            if self._duties.told_to_end:
                return

    # -- time --------------------------------------------------------------

    def _tick_video(self, now_s: float) -> None:
        if now_s >= self._next_video_s:
            self._sweep.tick_video()
            self._plan_video(now_s)

    def _plan_video(self, now_s: float) -> None:
        wanted = self._sweep.video_streams
        self._next_video_s = now_s + self._config.video_tick_s if wanted else math.inf

    def _tick(self, now_s: float) -> None:
        self._sweep.tick()
        # Also how the first video stream gets its own ticks: one sweep later.
        self._plan_video(now_s)
        for call in self._sweep.failed:
            self._tell(
                {
                    "tell": "failed",
                    "call": call.id,
                    "part": call.part.number,
                    "failure": call.part.failure,
                }
            )
        self._sweep.failed.clear()
        for stream, datagram, source in self._sweep.take_relayed():
            relayed = control.relayed_fields(stream, datagram, source)
            self._relays.append(control.pack(relayed))
        if now_s - self._reported_s >= REPORT_S and not self._unsent:
            self._reported_s = now_s
            self._report()
        if now_s - self._trimmed_s >= _TRIM_S:
            self._trimmed_s = now_s
            process.give_back_memory()

    def _report(self) -> None:
        if self._end is None:
            return
        counters = control.pack_counters(self._sweep.streams())
        self._unsent += [(message, []) for message in counters]
        self._tell(
            {
                "tell": "alive",
                "pid": os.getpid(),
                "calls": len(self._sweep.calls),
                "late_s": round(self._late_s, 3),
                "free_descriptors": free_descriptors(),
            }
        )
        self._late_s = 0.0

    def _tell(self, fields: Fields) -> None:
        if self._end is not None:
            self._unsent.append((control.pack(fields), []))

    def _send_unsent(self) -> None:
        while self._unsent and self._end is not None:
            if not control.send(self._end, *self._unsent[0]):
                return
            del self._unsent[0]
        while self._relays and self._end is not None:
            if not control.send(self._end, self._relays[0]):
                return
            self._relays.popleft()

    def _send_last(self) -> None:
        try:
            self._send_unsent()
        except OSError:
            return


def _domain() -> confine.Domain:
    """Return what is left of its supervisor's domain: modules, and its own figures."""
    return confine.Domain(
        reads=(*confine.interpreter_reads(), Path("/proc")),
        lists=confine.interpreter_lists(),
    )


def main() -> None:
    """Run a worker on the control socket whose descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    missing = process.harden()
    process.raise_descriptor_limit()
    end = socket.socket(fileno=int(sys.argv[1]))
    end.setblocking(False)
    select.select([end], [], [])
    received = control.receive(end)
    assert received is not None
    settings, fds = received
    listener = socket.socket(fileno=fds[0]) if fds else None
    if listener is not None:
        meeting.await_peers(listener)
    worker = Worker(end, listener, TapConfig(**control.unpack(settings)))
    # Files and sockets come over the control socket: none is opened by name here.
    missing += confine.enter(_domain())
    gc.collect()
    gc.freeze()
    worker.run(missing)


if __name__ == "__main__":
    main()
