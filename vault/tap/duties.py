"""What a media worker is told to do, and what it still has to say about it.

Guarantees: an order that fails is answered with the class of its error, and changes
nothing for other calls; a call that cannot be closed ends as ``cut``; the answer of a
close, and the page of its call, are kept until the supervisor says that the call is
accounted for (``forget``), so that one which dies in between finds them.

Left to others: when to look for orders (`vault.tap.worker`), moving packets
(`vault.tap.sweep`).
"""

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.tap import control
from vault.tap.calls import Call, Stream
from vault.tap.capture import Event
from vault.tap.control import Fields
from vault.tap.orders import PartReport, StreamOrder
from vault.tap.page import PageWriter
from vault.tap.part import Part
from vault.tap.sockets import drops_of
from vault.tap.sweep import Sweep

Message = tuple[bytes, list[int]]
"What goes to the supervisor, and the descriptors beside it, which stay the worker's."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closing:
    """A call that waits for stragglers."""

    due_s: float
    number: int
    call: Call
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """A call that was closed and not forgotten."""

    page: PageWriter
    said: Fields


class Duties:
    """Orders carried out on a sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._closing: list[_Closing] = []
        self._ended: dict[RecordingId, _Ended] = {}
        self.told_to_end = False

    @property
    def holds_anything(self) -> bool:
        """Whether another supervisor would want something of this worker."""
        return bool(self._sweep.calls or self._ended)

    @property
    def next_due_s(self) -> float:
        """When `close_due` has something to do, by the monotonic clock."""
        return min((one.due_s for one in self._closing), default=math.inf)

    def carry_out(self, order: Fields, fds: list[int]) -> list[Message]:
        """Do what *order* says, owning *fds*; return the answer, if it is due."""
        try:
            return self._carry_out(order, fds)
        except Exception as error:  # noqa: BLE001 - one order must not end the calls of all others
            # The class alone: a message could quote a key.
            return [_answer(order["id"], error=type(error).__name__)]

    def close_due(self) -> list[Message]:
        """Close the calls whose time to wait for stragglers is over."""
        now_s = time.monotonic()
        due = [closing for closing in self._closing if closing.due_s <= now_s]
        if not due:
            return []
        self._closing = [one for one in self._closing if one.due_s > now_s]
        return [message for closing in due for message in self._close(closing)]

    def supervisor_is_gone(self) -> None:
        """Leave calls open that were to be closed, and keep their keys in memory."""
        self._closing.clear()
        for call in self._sweep.calls.values():
            if call.page is not None:
                call.page.hold()
        for ended in self._ended.values():
            ended.page.hold()

    def _carry_out(self, order: Fields, fds: list[int]) -> list[Message]:
        wanted, number = order["do"], order["id"]
        if wanted == "end":
            self.told_to_end = True
        elif wanted == "open":
            self._open(order, fds)
        elif wanted == "hand-over":
            return [*self._handed_over(), _answer(number)]
        elif wanted == "forget":
            self._forget(RecordingId(order["call"]))
        else:
            call = self._sweep.calls[RecordingId(order["call"])]
            if wanted == "close":
                self._begin_close(order, call)
                return []
            return [*self._change(call, order, fds), _answer(number)]
        return [_answer(number)]

    def _change(self, call: Call, order: Fields, fds: list[int]) -> list[Message]:
        wanted = order["do"]
        if wanted == "add":
            for stream, rtp_fd, rtcp_fd in _streams(order, fds):
                self._sweep.add_stream(call, stream, rtp_fd, rtcp_fd)
        elif wanted == "change":
            self._sweep.change_stream(call, control.change_of(order["change"]))
        elif wanted == "pause":
            self._sweep.pause(call, order["paused"])
        elif wanted == "note":
            call.note(Event(order["event"]), order["stream"])
        elif wanted == "roll":
            part = _part(call.id, call.dek, order["part"], fds[0])
            self._sweep.roll(call, part, order["gap"])
        elif wanted == "count":
            self._sweep.drain(call)
            return _counted(call.streams.values())
        else:
            raise ValueError(wanted)
        return []

    def _open(self, order: Fields, fds: list[int]) -> None:
        recording_id = RecordingId(order["call"])
        try:
            # Where this process has no descriptors left, some of them are missing.
            streams = _streams(order, fds[2:])
            page = PageWriter(fds[1])
        except BaseException:
            control.close_all(fds)
            raise
        dek = control.octets_of(order["dek"])
        call = Call(
            recording_id=recording_id,
            dek=dek,
            part=_part(recording_id, dek, order["part"], fds[0]),
            paused=order["paused"],
            page=page,
        )
        self._sweep.add_call(call, streams, order["gap"])

    # -- ends --------------------------------------------------------------

    def _begin_close(self, order: Fields, call: Call) -> None:
        due_s = time.monotonic() + order["straggle_s"]
        closing = _Closing(due_s=due_s, number=order["id"], call=call, how=order["how"])
        self._closing.append(closing)

    def _close(self, closing: _Closing) -> list[Message]:
        call = closing.call
        if call.id not in self._sweep.calls:
            return [_answer(closing.number, error="closed before")]
        streams, how = list(call.streams.values()), closing.how
        part, final, failure = call.part, False, ""
        drops: dict[str, int] = {}
        try:
            drops = _drops(call)
            final = self._sweep.close(call, how)
        except Exception as error:  # noqa: BLE001 - one call must not end all the others
            how, failure = str(HowEnded.CUT), type(error).__name__
            with contextlib.suppress(KeyError, OSError):
                self._sweep.let_go(call)
        report = PartReport(
            part=part.number,
            final=final,
            failure=part.failure or failure,
            size_bytes=part.size_bytes if final else None,
            sha256=part.sha256 if final else None,
        )
        said: Fields = {
            "part": control.part_fields(report),
            "how": how,
            "drops": drops,
        }
        if call.page is not None:
            self._ended[call.id] = _Ended(page=call.page, said=said)
        return [*_counted(streams), _answer(closing.number, **said)]

    def _forget(self, recording_id: RecordingId) -> None:
        ended = self._ended.pop(recording_id, None)
        if ended is not None:
            ended.page.close()

    # -- another supervisor ------------------------------------------------

    def _handed_over(self) -> list[Message]:
        said: list[Message] = []
        for call in self._sweep.calls.values():
            if call.page is None:
                continue
            ports = [port.fd for s in call.streams.values() for port in s.ports]
            fields: Fields = {
                "tell": "call",
                "call": call.id,
                "part": call.part.number,
                "failure": call.part.failure,
                "ended": None,
            }
            said.append((control.pack(fields), [call.page.fd, *ports]))
        for recording_id, ended in self._ended.items():
            fields = {"tell": "call", "call": recording_id, "ended": ended.said}
            said.append((control.pack(fields), [ended.page.fd]))
        return said


def _answer(number: int, error: str = "", **extra: object) -> Message:
    return control.pack({"id": number, "error": error, **extra}), []


def _counted(streams: Iterable[Stream]) -> list[Message]:
    return [(message, []) for message in control.pack_counters(streams)]


def _drops(call: Call) -> dict[str, int]:
    """Return what the kernel dropped per stream, before the sockets are closed."""
    return {
        str(index): sum(drops_of(port.fd) for port in stream.ports)
        for index, stream in call.streams.items()
    }


def _part(recording_id: RecordingId, dek: SecretBytes, number: int, fd: int) -> Part:
    return Part(recording_id=recording_id, dek=dek, number=number, fd=fd)


def _streams(order: Fields, fds: list[int]) -> list[tuple[StreamOrder, int, int]]:
    orders = [control.stream_of(fields) for fields in order["streams"]]
    return list(zip(orders, fds[::2], fds[1::2], strict=True))
