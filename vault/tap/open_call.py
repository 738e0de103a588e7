"""A call as the supervisor knows it: enough to hand it to a new worker.

Guarantees: whatever a re-offer changed is here, and on the call's page, before a
worker is told; so neither a worker nor a supervisor that dies with an order unread
costs more than a part.

Left to others: telling workers (`vault.tap.pool`).
"""

import asyncio
import base64
import dataclasses
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Final

import structlog

from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId, parse_recording_id
from vault.core.secrets import SecretBytes
from vault.tap import control
from vault.tap.control import Fields, Snapshot
from vault.tap.counting import StreamCount
from vault.tap.link import WorkerLink
from vault.tap.orders import (
    CallOrder,
    CallReport,
    PartReport,
    SsrcSpan,
    StreamChange,
    StreamCounters,
    StreamOrder,
)
from vault.tap.page import CallPage
from vault.tap.standing import Totals

STATE_TOO_LARGE: Final = "call-state-too-large"
MAX_RECORDER_STATE: Final = 60 * 1024
"Octets that `MediaTap.keep_state` takes."

_log = structlog.get_logger()


class OpenCall:
    """One call from its order until its recorder has forgotten it."""

    def __init__(
        self,
        recording_id: RecordingId,
        *,
        dek: SecretBytes,
        open_part: Callable[[int], int],
        page: CallPage,
    ) -> None:
        self.id = recording_id
        self.dek = dek
        self.open_part = open_part
        self.page = page
        self._link: WorkerLink | None = None
        self._charged = 0
        self.lock = asyncio.Lock()
        self.paused = False
        self.streams: dict[int, StreamOrder] = {}
        self.part = 0
        self.done: list[PartReport] = []
        self.latest: dict[int, Snapshot] = {}
        self.drops: dict[int, int] = {}
        "What the kernel dropped per stream, once the sockets are closed."
        self.retry: asyncio.Task[None] | None = None
        self.how: HowEnded | None = None
        "How it ended; None while it runs."
        self.claimed = False
        "Whether its report was given to somebody in this process."
        self.state = b""

    @classmethod
    def begin(cls, order: CallOrder) -> "OpenCall":
        """Make the call of *order*, with a page of its own.

        Raises:
            OSError: No memory or no descriptors for the page.
        """
        call = cls(
            order.recording_id,
            dek=order.dek,
            open_part=order.open_part,
            page=CallPage.create(),
        )
        call.paused = order.paused
        call.streams = {stream.index: stream for stream in order.streams}
        call.state = order.state
        return call

    @classmethod
    def of_page(
        cls,
        page: CallPage,
        open_part: Callable[[RecordingId], Callable[[int], int]],
    ) -> "OpenCall":
        """Make the call that an earlier supervisor wrote on *page*.

        Raises:
            InvalidInputError: It is no state of this version.
        """
        try:
            said = control.unpack(page.read_state())
            if said["v"] != control.PROTOCOL:
                raise InvalidInputError("a call of another version of the vault")
            recording_id = parse_recording_id(said["call"])
            call = cls(
                recording_id,
                dek=control.octets_of(said["dek"]),
                open_part=open_part(recording_id),
                page=page,
            )
            call._read(said)
        except (KeyError, TypeError, ValueError, NotFoundError):
            raise InvalidInputError("a call page without a call") from None
        return call

    @property
    def link(self) -> WorkerLink | None:
        """The worker that has the call, or had it when it ended."""
        return self._link

    @link.setter
    def link(self, link: WorkerLink | None) -> None:
        self.charge(0)
        self._link = link
        self.charge(len(self.streams) if self.how is None else 0)

    @property
    def stored_as(self) -> str:
        """What it is called in the descriptor store."""
        return f"call-{self.id}"

    def charge(self, streams: int) -> None:
        """Let its worker count *streams* streams for this call: 0 when it is over."""
        if self._link is not None:
            self._link.streams += streams - self._charged
            self._charged = streams

    def add(self, streams: Iterable[StreamOrder]) -> None:
        """Have further streams."""
        self.streams.update({stream.index: stream for stream in streams})
        self.charge(len(self.streams))

    def remove(self, streams: Iterable[StreamOrder]) -> None:
        """Have streams no longer that no worker has taken."""
        for stream in streams:
            self.streams.pop(stream.index, None)
        self.charge(len(self.streams))

    def keep(self) -> None:
        """Write on the page what another supervisor needs."""
        said: Fields = {
            "v": control.PROTOCOL,
            "call": self.id,
            "dek": control.octets_field(self.dek),
            "part": self.part,
            "paused": self.paused,
            "streams": [control.stream_fields(s) for s in self.streams.values()],
            "done": [control.part_fields(report) for report in self.done],
            "how": self.how,
            "drops": {str(index): drops for index, drops in self.drops.items()},
            "state": base64.b64encode(self.state).decode(),
        }
        try:
            self.page.write_state(control.pack(said))
        except ValueError:
            # An old state would be a lie: such a call ends as cut with its tap.
            _log.warning(STATE_TOO_LARGE, recording=self.id)
            self.page.write_state(b"{}")

    def note_part(self, report: PartReport) -> None:
        """Add what became of a part, unless that is known."""
        if all(known.part != report.part for known in self.done):
            self.done.append(report)

    def note_end(self, how: HowEnded, part: PartReport, drops: dict[int, int]) -> None:
        """Remember that the call has ended, also for another supervisor."""
        self.note_part(part)
        self.how, self.drops = how, drops
        self.keep()

    def lose_worker(self) -> None:
        """Have no worker; what the last one counted is on the page."""
        self.link = None
        self.latest.clear()

    def counted(self, index: int) -> StreamCounters:
        """Return what a worker counted on a stream: no drops at our own sockets."""
        stream = self.streams[index]
        nothing = StreamCounters(
            index=stream.index,
            label=stream.label,
            media=stream.media,
            suite=stream.suite,
            payloads=stream.payloads,
        )
        if index in self.latest:
            return self.latest[index].of(nothing)
        return _counted_on(self.page, nothing)

    def report(self, streams: tuple[StreamCounters, ...]) -> CallReport:
        """Return what became of the call."""
        return CallReport(
            recording_id=self.id,
            parts=tuple(self.done),
            streams=streams,
            how=self.how or HowEnded.CUT,
        )

    def _read(self, said: Fields) -> None:
        self.part = int(said["part"])
        self.paused = bool(said["paused"])
        streams = [control.stream_of(fields) for fields in said["streams"]]
        self.streams = {stream.index: stream for stream in streams}
        self.done = [control.part_of(fields) for fields in said["done"]]
        self.how = None if said["how"] is None else HowEnded(said["how"])
        self.drops = {int(index): int(n) for index, n in said["drops"].items()}
        self.state = base64.b64decode(said["state"], validate=True)


def restated(stream: StreamOrder) -> StreamChange:
    """Return everything that can change in a stream, as it is now."""
    return StreamChange(
        **{
            each.name: getattr(stream, each.name)
            for each in dataclasses.fields(StreamChange)
        }
    )


def _counted_on(page: CallPage, nothing: StreamCounters) -> StreamCounters:
    """Return the counters that a worker left on its page."""
    count = StreamCount(0)
    count.restore(page.counts(nothing.index))
    found = page.indexes(nothing.index)
    spans = (
        SsrcSpan(ssrc=one.ssrc, first=one.first, last=one.last, packets=one.packets)
        for one in found
    )
    return dataclasses.replace(
        nothing,
        authentic=sum(one.packets for one in found),
        rejected=MappingProxyType({str(why): n for why, n in count.rejected.items()}),
        rtcp=count.rtcp,
        undecryptable_kept=count.kept,
        not_captured=count.not_captured,
        checks=count.checks,
        source_moves=count.source_moves,
        over_budget=count.over_budget,
        stray_drops=count.stray_drops,
        discarded=count.discarded,
        ssrcs=tuple(spans),
    )


def running_totals(
    calls: Iterable[OpenCall], drops: Callable[[StreamOrder], int]
) -> Totals:
    """Return the sum over calls that run; *drops* is asked what the kernel dropped."""
    # Sums of plain numbers: this is asked again and again, about every call.
    authentic = rejected = kernel_drops = stray_drops = source_moves = 0
    for call in calls:
        for index, stream in call.streams.items():
            seen = call.latest.get(index) or call.counted(index)
            authentic += seen.authentic
            source_moves += seen.source_moves
            stray_drops += seen.stray_drops
            kernel_drops += drops(stream)
            if seen.rejected:
                rejected += sum(seen.rejected.values())
    return Totals(
        authentic=authentic,
        rejected=rejected,
        kernel_drops=kernel_drops,
        stray_drops=stray_drops,
        source_moves=source_moves,
    )
