"""Two calls from order to store, as the recorder takes them, in one process.

Every promise is said on a socket at the moment when the product would make it:
``answered``, ``ended``, ``shipped``.  Whoever listens knows what has to be there
afterwards, whatever happened to this process.  The trail is at the other end of the
same socket, so that it survives.

Nothing here depends on chance or on time but ids and keys: the calls to the kernel
are the same, and in the same order, each time.
"""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from tests.simulators.recorder import KEY, PBX, Directory
from vault.audit.entry import Draft
from vault.catalog.recordings import Recordings
from vault.core.errors import ConflictError, UnavailableError, VaultError
from vault.core.flow import CallFacts, HowEnded, SessionOrder
from vault.core.ids import RecordingId
from vault.database.engine import open_engine
from vault.objects.directory import DirectoryStore
from vault.recorder.beginning import prepare
from vault.recorder.config import RecorderConfig
from vault.recorder.finish import finish
from vault.recorder.leaves import started_draft
from vault.recorder.opener import Opener
from vault.recorder.parts import Desk
from vault.recorder.recovery import recover
from vault.recorder.rows import RecordingRows
from vault.recorder.session import Session
from vault.sip.offer import read_offer
from vault.spool.config import SpoolConfig
from vault.spool.ledger import EndedNotes
from vault.spool.outbox import Outbox
from vault.spool.shipper import Destinations, Shipper
from vault.spool.spool import Spool
from vault.tap.capture import Kind, Record
from vault.tap.orders import CallReport, PartReport, PortPair, StreamCounters
from vault.tap.part import Part
from vault.tap.simulate import SimulatedCall

TRIES: Final = 3
RECORDS: Final = 40
"Of each part: enough for two chunks and a bit."
RECORD_BYTES: Final = 1000
_NUMBER: Final = struct.Struct(">12xQ")
_T = TypeVar("_T")


@dataclass
class Ledger:
    """What was promised, and what the trail holds."""

    answered: list[RecordingId] = field(default_factory=list)
    sealed: dict[RecordingId, dict[str, int]] = field(default_factory=dict)
    "Whole chunks in the file of each part, by its number."
    ended: dict[RecordingId, str] = field(default_factory=dict)
    "How, as its manifest said when the end was acknowledged."
    whole: set[RecordingId] = field(default_factory=set)
    "Of them, those whose every part was final."
    shipped: set[RecordingId] = field(default_factory=set)
    leaves: dict[str, tuple[str, str]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    threads_ended: list[str] = field(default_factory=list)
    finished: bool = False

    def hear(self, line: socket.socket) -> None:
        """Take note of everything that is said until the other end has died."""
        # Killed with something unread, it does not hang up but resets.
        with line.makefile("r") as lines, contextlib.suppress(ConnectionResetError):
            for text in lines:
                if not text.endswith("\n"):
                    break
                answer = self._note(json.loads(text))
                if answer:
                    # Its reader may have been killed by now.
                    with contextlib.suppress(OSError):
                        line.sendall(answer.encode() + b"\n")

    def _note(self, said: dict[str, str | int]) -> str:
        match said:
            case {"leaf": seq, "action": action, "recording": recording}:
                new = str(seq) not in self.leaves
                self.leaves.setdefault(str(seq), (str(action), str(recording)))
                return "ok" if new else "seen"
            case {"answered": recording}:
                self.answered.append(RecordingId(str(recording)))
            case {"sealed": recording, "part": part, "chunks": chunks}:
                parts = self.sealed.setdefault(RecordingId(str(recording)), {})
                parts[str(part)] = int(chunks)
            case {"ended": recording, "how": how, "whole": whole}:
                self.ended[RecordingId(str(recording))] = str(how)
                if whole:
                    self.whole.add(RecordingId(str(recording)))
            case {"shipped": recording}:
                self.shipped.add(RecordingId(str(recording)))
            case {"trouble": trouble}:
                self.troubles.append(str(trouble))
            case {"thread": trouble}:
                self.threads_ended.append(str(trouble))
            case {"over": _}:
                self.finished = True
        return ""


class Line:
    """The process's end of the socket; implements `vault.trust.interfaces.Trail`."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._answers = line.makefile("r")
        self._lock = threading.Lock()

    def say(self, **fields: str | int) -> None:
        """Say something.  By ``send``: no fault is injected into that."""
        with self._lock:
            self._line.sendall(json.dumps(fields).encode() + b"\n")

    def append(self, *drafts: Draft) -> None:
        """Have leaves written."""
        seen = False
        for one in drafts:
            fields = {"leaf": f"{one.source}/{one.source_seq}", "action": one.action}
            with self._lock:
                self._line.sendall(
                    json.dumps({**fields, "recording": one.recording}).encode() + b"\n"
                )
                seen |= self._answers.readline().strip() == "seen"
        if seen:
            raise ConflictError("seen before")


@dataclass(frozen=True, slots=True, kw_only=True)
class _NoTap:
    """What `prepare` asks of media and disk: nothing."""


class Process:
    """One life of a tap: begun as `vault.recorder.service` begins."""

    def __init__(self, place: Path, line: Line) -> None:
        self.line = line
        self.spool = Spool(spool_config(place)).open()
        notes = EndedNotes(place / "spool")
        self.outbox = Outbox(
            place / "spool" / ".outbox", source="tap", trail=line, disk=self.spool.disk
        )
        rows = RecordingRows(recordings(place))
        self.shipper = Shipper(
            self.spool,
            Destinations(
                media=DirectoryStore(place / "media"),
                envelopes=DirectoryStore(place / "envelopes"),
                catalog=rows,
            ),
            outbox=self.outbox,
            notes=notes,
            taps={KEY.name: KEY.public},
        )
        self.desk = Desk(
            media=_NoTap(),  # type: ignore[arg-type] # packets come from here
            spool=self.spool,
            notes=notes,
            outbox=self.outbox,
            shipper=self.shipper,
            opener=Opener(rows),
            keys=Directory(),
            people=Directory(),
            disk=_NoTap(),  # type: ignore[arg-type] # nobody asks whether it is slow
            manifest_key=KEY,
        )
        recover(self.spool, KEY)
        self.outbox.start()

    def end(self) -> None:
        """End in order."""
        self.outbox.stop()
        self.spool.close()
        self.line.say(over=1)

    def ship_all(self) -> None:
        """Ship what waits, each a few times."""
        for recording_id in self.shipper.waiting():
            self.ship(recording_id)

    def ship(self, recording_id: RecordingId) -> None:
        """Ship one, with a few tries."""
        with self._trouble("ship"):
            _tried(lambda: self.shipper.ship(recording_id))
            self.line.say(shipped=recording_id)

    @contextlib.contextmanager
    def _trouble(self, doing: str) -> Iterator[None]:
        """Go on without what could not be done; the next life sees to it."""
        try:
            yield
        except (VaultError, OSError) as error:
            self.line.say(trouble=f"{doing}: {error!r}"[:200])


class Talk:
    """One call."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._reports: list[PartReport] = []
        self._part: Part | None = None
        self._number = 1
        process.spool.check_room()
        self.session = _begun(process)
        try:
            self._open(session_part=1)
        except OSError:
            self.session.folder.remove()
            raise
        draft = started_draft(self.session)
        try:
            process.outbox.post_soon(draft).result()
        except VaultError:
            # As the desk does where a leaf cannot be kept: ended, and refused.
            self.end(HowEnded.CUT)
            raise
        process.line.say(answered=self.session.recording_id)

    def speak(self) -> None:
        """Seal some packets; go on in another part where one fails."""
        for number in range(RECORDS):
            part = self._part
            if part is None:
                return
            part.buffer += record(self._number, number)
            part.seal(time.monotonic())
            chunks = 0 if part.failure else part.size_bytes // (16 * 1024)
            self._process.line.say(
                sealed=self.session.recording_id, part=part.number, chunks=chunks
            )
            if part.failure:
                self.roll()

    def roll(self) -> None:
        """Lose the worker, and go on in the next part."""
        assert self._part is not None
        self._reports.append(
            PartReport(
                part=self._number,
                final=False,
                failure=self._part.failure or "worker-died",
            )
        )
        self._part.abandon()
        self._part = None
        for _ in range(TRIES):
            with contextlib.suppress(OSError, UnavailableError):
                self._open(session_part=self._number + 1)
                return

    def end(self, how: HowEnded = HowEnded.BYE) -> None:
        """Hang up; `finish` is tried a few times."""
        if (part := self._part) is not None:
            final = part.finish(time.monotonic())
            self._reports.append(
                PartReport(
                    part=part.number,
                    final=final,
                    failure=part.failure,
                    size_bytes=part.size_bytes,
                    sha256=part.sha256,
                )
            )
            self._part = None
        self.session.ended_ns = time.time_ns()
        report = CallReport(
            recording_id=self.session.recording_id,
            parts=tuple(self._reports),
            streams=_counters(self.session),
            how=how,
        )
        manifest = _tried(lambda: finish(self.session, report, KEY))
        if how is not HowEnded.BYE:
            return  # nobody was answered, so that nobody hangs up
        self._process.line.say(
            ended=self.session.recording_id,
            how=manifest.how.value,
            whole=int(report.complete),
        )

    def _open(self, *, session_part: int) -> None:
        descriptor = self.session.folder.open_part(session_part)
        self._number = session_part
        self._part = Part(
            recording_id=self.session.recording_id,
            dek=self.session.dek,
            number=session_part,
            fd=descriptor,
        )


def live(place: Path, line: Line) -> None:
    """Take two calls: one ends and is shipped while the other one goes on."""
    process = Process(place, line)
    first, second = _talk(process), _talk(process)
    if first is not None:
        first.speak()
        first.roll()
        first.speak()
    if second is not None:
        second.speak()
    for talk in (first, second):
        if talk is not None:
            with process._trouble("end"):  # noqa: SLF001 - of the same module
                talk.end()
                process.ship(talk.session.recording_id)
    process.end()


def recovered(place: Path, line: Line) -> None:
    """Begin anew: recover, and ship all that waits."""
    process = Process(place, line)
    process.ship_all()
    process.end()


def spool_config(place: Path) -> SpoolConfig:
    """Return the settings of the spool in *place*."""
    return SpoolConfig(
        directory=place / "spool",
        reserve_bytes=0,
        reserve_inodes=0,
        emergency_bytes=64 * 1024,
    )


def recordings(place: Path) -> Recordings:
    """Return the catalog in *place*."""
    return Recordings(open_engine(f"sqlite:///{place}", schema="catalog"))


def record(part: int, number: int) -> bytes:
    """Return the packet *number* of a part, as it is captured."""
    octets = _NUMBER.pack(number) + bytes([part]) * (RECORD_BYTES - _NUMBER.size)
    return bytes(Record(arrival_ns=number, stream=0, kind=Kind.RTP, octets=octets))


def _talk(process: Process) -> Talk | None:
    try:
        return Talk(process)
    except (VaultError, OSError) as error:
        process.line.say(trouble=f"refused: {error!r}"[:200])
        return None


def _begun(process: Process) -> Session:
    offer = SimulatedCall().build_offer()
    return prepare(
        process.desk,
        RecorderConfig(),
        order=SessionOrder(
            device=PBX, offer=offer, call=CallFacts(), origin="127.0.0.1"
        ),
        offer=read_offer(offer),
        ports=[PortPair(address="127.0.0.1", rtp=n, rtcp=n + 1) for n in (4000, 4002)],
        started_ns=time.time_ns(),
    )


def _counters(session: Session) -> tuple[StreamCounters, ...]:
    orders = [stream.order() for stream in session.streams.values()]
    return tuple(
        StreamCounters(
            index=order.index,
            label=order.label,
            media=order.media,
            suite=order.suite,
            payloads=order.payloads,
            authentic=RECORDS,
        )
        for order in orders
        if order is not None
    )


def _tried(work: Callable[[], _T]) -> _T:
    for _ in range(TRIES - 1):
        with contextlib.suppress(VaultError):
            return work()
    return work()


def run(which: str, place: Path, end: socket.socket) -> None:
    """Be one life, in a process of its own, and end with it."""
    line = Line(end)
    threading.excepthook = lambda died: line.say(thread=f"{died.exc_value!r}"[:200])
    try:
        {"live": live, "recovered": recovered}[which](place, line)
    except Exception as error:  # noqa: BLE001 - a process ends here, and says why
        line.say(trouble=f"died: {error!r}"[:300])
        os._exit(1)
    os._exit(0)
