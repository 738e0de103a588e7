"""Calls that an earlier supervisor had opened, as the next one gets them.

From a worker that outlived it: page, sockets and what the worker says.  From the
descriptor store: page and sockets alone, told apart by what they are (a sealed memfd,
datagram sockets by their ports).

Guarantees: what is not exactly a call, its page and its own sockets is refused whole,
and its descriptors are closed; every descriptor has one owner at any time.

Left to others: workers and orders (`vault.tap.pool`).
"""

import os
import socket
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from vault.core.errors import ConflictError, InvalidInputError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.tap import control
from vault.tap.control import Fields
from vault.tap.crew import HandedCall
from vault.tap.link import WorkerLink
from vault.tap.open_call import OpenCall
from vault.tap.orders import PartReport, PortPair
from vault.tap.page import CallPage, is_page
from vault.tap.sockets import PortAllocator

NOT_ADOPTED: Final = "call-not-adopted"
WORKER_LOST: Final = "media-worker-died"

_log = structlog.get_logger()

OpenParts = Callable[[RecordingId], Callable[[int], int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """Implements `vault.tap.interfaces.AdoptedCall`."""

    recording_id: RecordingId
    state: bytes


def from_worker(
    handed: HandedCall, link: WorkerLink, *, sockets: PortAllocator, parts: OpenParts
) -> OpenCall | None:
    """Make the call that *link*'s worker has handed over; None if it is not one."""
    call = _taken(handed.fds, sockets, parts)
    if call is None:
        return None
    try:
        _agree(call, handed.said, link)
    except (KeyError, TypeError, ValueError):
        _log.error(NOT_ADOPTED, recording=call.id, problem="the worker says else")
        abandon(call, sockets)
        return None
    return call


def from_store(
    handed_back: Mapping[str, Sequence[int]],
    known: Iterable[RecordingId],
    *,
    sockets: PortAllocator,
    parts: OpenParts,
) -> tuple[list[OpenCall], list[str]]:
    """Make the calls whose workers are gone, too.

    Returns:
        The calls, and the names in the store that belong to none.
    """
    running, calls, strays = set(known), list[OpenCall](), list[str]()
    for name, fds in handed_back.items():
        page_id = _id_of(fds)
        if page_id in running:
            # A worker has handed the same sockets over.
            control.close_all(list(fds))
            continue
        call = _taken(list(fds), sockets, parts)
        if call is None or page_id is None:
            strays.append(name)
            continue
        if call.how is None:
            call.note_part(PartReport(part=call.part, final=False, failure=WORKER_LOST))
        running.add(call.id)
        calls.append(call)
    return calls, strays


def abandon(call: OpenCall, sockets: PortAllocator) -> None:
    """Let go of a call's page and sockets."""
    for stream in call.streams.values():
        sockets.give_back(stream.ports)
    call.page.close()


def _id_of(fds: Sequence[int]) -> RecordingId | None:
    """Return whose page is among *fds*, without taking it."""
    for fd in fds:
        if is_page(fd):
            try:
                page = CallPage.take(os.dup(fd))
            except (InvalidInputError, OSError):
                continue
            try:
                return OpenCall.of_page(page, _no_parts).id
            except InvalidInputError:
                continue
            finally:
                page.close()
    return None


def _no_parts(_: RecordingId) -> Callable[[int], int]:
    def refuse(_: int) -> int:
        raise OSError

    return refuse


def _taken(fds: list[int], sockets: PortAllocator, parts: OpenParts) -> OpenCall | None:
    """Own *fds*: make a call of them, or close them all."""
    pages = [fd for fd in fds if is_page(fd)]
    others = [fd for fd in fds if fd not in pages]
    try:
        page = CallPage.take(_only(pages))
    except InvalidInputError as error:
        _log.error(NOT_ADOPTED, problem=str(error))
        control.close_all(fds)
        return None
    bound: list[socket.socket] = []
    try:
        call = OpenCall.of_page(page, parts)
        bound = [_datagram(others.pop()) for _ in list(others)]
        _bind(call, bound, sockets)
    except (InvalidInputError, ConflictError, OSError) as error:
        _log.error(NOT_ADOPTED, problem=str(error))
        page.close()
        control.close_all(others)
        for one in bound:
            one.close()
        return None
    return call


def _only(pages: list[int]) -> int:
    if len(pages) != 1:
        raise InvalidInputError(f"{len(pages)} pages in one call")
    return pages[0]


def _datagram(fd: int) -> socket.socket:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidInputError("neither a page nor a socket")
    one = socket.socket(fileno=fd)
    if one.type != socket.SOCK_DGRAM or one.family == socket.AF_UNIX:
        one.close()
        raise InvalidInputError("not a media socket")
    return one


def _bind(call: OpenCall, bound: list[socket.socket], sockets: PortAllocator) -> None:
    """Give every stream its sockets; a stream that was never received is dropped."""
    by_port = {int(one.getsockname()[1]): one for one in bound}
    wanted: list[tuple[socket.socket, socket.socket]] = []
    had_streams = bool(call.streams)
    if call.how is None:
        for index, stream in list(call.streams.items()):
            rtp, rtcp = (
                by_port.get(port) for port in (stream.ports.rtp, stream.ports.rtcp)
            )
            if rtp is None or rtcp is None:
                # Its supervisor died before a worker knew of it.
                del call.streams[index]
                continue
            wanted.append((rtp, rtcp))
        if had_streams and not call.streams:
            raise InvalidInputError("a call without its sockets")
    _adopt(wanted, sockets)
    taken = [one for pair in wanted for one in pair]
    for one in bound:
        if one not in taken:
            one.close()


def _adopt(
    wanted: list[tuple[socket.socket, socket.socket]], sockets: PortAllocator
) -> None:
    """Give all pairs to *sockets*, or none: what is closed must not be a used pair."""
    taken: list[PortPair] = []
    try:
        for rtp, rtcp in wanted:
            taken.append(sockets.adopt(rtp, rtcp).ports)
    except BaseException:
        for ports in taken:
            sockets.give_back(ports)
        raise


def _agree(call: OpenCall, said: Fields, link: WorkerLink) -> None:
    """Go by what the worker knows better than the page."""
    if said["call"] != call.id:
        raise ValueError("another call's page")
    ended = said["ended"]
    if ended is not None:
        call.note_end(
            HowEnded(ended["how"]),
            control.part_of(ended["part"]),
            {int(index): int(drops) for index, drops in ended["drops"].items()},
        )
        call.link = link
    elif call.how is not None:
        raise ValueError("a call that has ended and runs")
    else:
        # The page may name a part that its supervisor did not live to hand over.
        call.part = int(said["part"])
        call.link = link
