"""What supervisor and media worker say to each other over one socket pair.

``SOCK_SEQPACKET``: one message per packet, descriptors beside it
(``SCM_RIGHTS``).  A message whose first octet is ``{`` is JSON:

    supervisor → worker   {"id": n, "do": ..., ...}
    worker → supervisor   {"id": n, "error": "" or a phrase, ...}     an answer
                          {"tell": "ready" | "failed" | "alive" | "call"
                                   | "relayed", ...}

One whose first octet is 1 carries counters, binary, because a worker sends
those of every stream each second.

Guarantees: keys travel here and nowhere else: not in arguments, environment,
files or logs.

Left to others: what the orders do (`vault.tap.worker`, `vault.tap.pool`).

Rule for change: both ends are one version of the vault, except where a supervisor
meets workers that an earlier one has started.  Those say `PROTOCOL` first and are
told to end when it is another; raise it with every change of this module or of a
page's state.

Spec: unix(7).
"""

import base64
import contextlib
import errno
import json
import os
import socket
import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from vault.core.ids import RecordingId
from vault.core.media import PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.calls import Stream
from vault.tap.orders import (
    IceCredentials,
    MkiKey,
    PartReport,
    PortPair,
    Rejection,
    SsrcSpan,
    StreamChange,
    StreamCounters,
    StreamOrder,
)

Fields: TypeAlias = dict[str, Any]
"JSON of this room's own making, read by this room only."

PROTOCOL: Final = 7

MESSAGE_BYTES: Final = 192 * 1024
"Room for one message; the default buffers of a socket pair hold more."
COUNTERS: Final = 1
"First octet of a message with counters."

_MAX_FDS: Final = 253
"SCM_MAX_FD: what one message can carry; a call has 66 at most."
_COUNTERS_BYTES: Final = 48 * 1024
_REASONS: Final = tuple(Rejection)
_NO_REASON: Final = (0,) * len(_REASONS)
_COUNTED: Final = (
    "authentic",
    "rtcp",
    "undecryptable_kept",
    "not_captured",
    "checks",
    "source_moves",
    "over_budget",
    "stray_drops",
    "discarded",
)
_HEAD: Final = struct.Struct(f"<16sHBB{len(_COUNTED) + len(_REASONS)}Q")
_SPAN: Final = struct.Struct("<IqqQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counters of one stream since the call began, as its worker last reported them."""

    recording_id: RecordingId
    part: int
    index: int
    authentic: int
    rtcp: int
    undecryptable_kept: int
    not_captured: int
    checks: int
    source_moves: int
    over_budget: int
    stray_drops: int
    discarded: int
    rejected: MappingProxyType[str, int]
    ssrcs: tuple[SsrcSpan, ...]

    def of(self, stream: StreamCounters) -> StreamCounters:
        """Return the counters of *stream*, which names it, as they are here."""
        return replace(
            stream,
            rejected=self.rejected,
            ssrcs=self.ssrcs,
            **{name: getattr(self, name) for name in _COUNTED},
        )


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends, both non-blocking."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def pack(fields: Fields) -> bytes:
    """Return the JSON message of *fields*."""
    return json.dumps(fields, separators=(",", ":")).encode()


def unpack(message: bytes) -> Fields:
    """Read a JSON message."""
    fields: Fields = json.loads(message)
    return fields


def send(end: socket.socket, message: bytes, fds: Iterable[int] = ()) -> bool:
    """Send without waiting; False if the other end does not keep up."""
    try:
        socket.send_fds(end, [message], list(fds))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.ETOOMANYREFS:
            # Too many descriptors are on their way: the other end has to read.
            return False
        raise
    return True


def receive(end: socket.socket) -> tuple[bytes, list[int]] | None:
    """Take one message; None when there is none yet.

    Raises:
        ConnectionError: The other end is gone.
    """
    try:
        message, fds, _, _ = socket.recv_fds(
            end, MESSAGE_BYTES, _MAX_FDS, socket.MSG_CMSG_CLOEXEC
        )
    except BlockingIOError:
        return None
    if not message:
        raise ConnectionResetError("the other end of the control socket is gone")
    return message, fds


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors, those that are closed already included."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


# -- streams ---------------------------------------------------------------


def stream_fields(order: StreamOrder) -> Fields:
    """Return the JSON members of a stream, its key included."""
    return {
        "index": order.index,
        "label": order.label,
        "media": order.media,
        "suite": str(order.suite),
        "key": octets_field(order.key),
        "mkis": _mki_fields(order.mkis),
        "ice": order.ice and [order.ice.ufrag, octets_field(order.ice.password)],
        "payloads": _payload_fields(order.payloads),
        "ports": [order.ports.address, order.ports.rtp, order.ports.rtcp],
        "rtcp_mux": order.rtcp_mux,
        "relays": order.relays,
        "remote": order.remote,
        "held": order.held,
        "keeps_digits": order.keeps_digits,
    }


def stream_of(fields: Fields) -> StreamOrder:
    """Read what `stream_fields` wrote."""
    address, rtp, rtcp = fields["ports"]
    return StreamOrder(
        index=fields["index"],
        label=fields["label"],
        media=fields["media"],
        suite=SrtpSuite(fields["suite"]),
        key=octets_of(fields["key"]),
        mkis=_mkis_of(fields["mkis"]),
        ice=_ice_of(fields["ice"]),
        payloads=_payloads_of(fields["payloads"]),
        ports=PortPair(address=address, rtp=rtp, rtcp=rtcp),
        rtcp_mux=fields["rtcp_mux"],
        relays=fields["relays"],
        remote=_remote_of(fields["remote"]),
        held=fields["held"],
        keeps_digits=fields["keeps_digits"],
    )


def change_fields(change: StreamChange) -> Fields:
    """Return the JSON members of a change; None stays None."""
    return {
        "index": change.index,
        "suite": change.suite and str(change.suite),
        "key": None if change.key is None else octets_field(change.key),
        "mkis": None if change.mkis is None else _mki_fields(change.mkis),
        "ice": change.ice and [change.ice.ufrag, octets_field(change.ice.password)],
        "payloads": change.payloads and _payload_fields(change.payloads),
        "rtcp_mux": change.rtcp_mux,
        "relays": change.relays,
        "remote": change.remote,
        "held": change.held,
    }


def change_of(fields: Fields) -> StreamChange:
    """Read what `change_fields` wrote."""
    suite, key, payloads = fields["suite"], fields["key"], fields["payloads"]
    mkis = fields["mkis"]
    return StreamChange(
        index=fields["index"],
        suite=None if suite is None else SrtpSuite(suite),
        key=None if key is None else octets_of(key),
        mkis=None if mkis is None else _mkis_of(mkis),
        ice=_ice_of(fields["ice"]),
        payloads=None if payloads is None else _payloads_of(payloads),
        rtcp_mux=fields["rtcp_mux"],
        relays=fields["relays"],
        remote=_remote_of(fields["remote"]),
        held=fields["held"],
    )


def part_fields(report: PartReport) -> Fields:
    """Return the JSON members of what became of a part."""
    return {
        "part": report.part,
        "final": report.final,
        "failure": report.failure,
        "size_bytes": report.size_bytes,
        "sha256": report.sha256 and report.sha256.hex(),
    }


def part_of(fields: Fields) -> PartReport:
    """Read what `part_fields` wrote."""
    sha256 = fields["sha256"]
    return PartReport(
        part=fields["part"],
        final=fields["final"],
        failure=fields["failure"],
        size_bytes=fields["size_bytes"],
        sha256=None if sha256 is None else bytes.fromhex(sha256),
    )


def relayed_fields(stream: Stream, datagram: bytes, source: tuple[str, int]) -> Fields:
    """Return what is told of a datagram that is the supervisor's."""
    return {
        "tell": "relayed",
        "call": stream.call.id,
        "stream": stream.order.index,
        "source": source,
        "datagram": base64.b64encode(datagram).decode(),
    }


def relayed_of(fields: Fields) -> tuple[RecordingId, int, bytes, tuple[str, int]]:
    """Read what `relayed_fields` wrote: call, stream, datagram and source."""
    host, port = fields["source"]
    datagram = base64.b64decode(fields["datagram"], validate=True)
    return RecordingId(fields["call"]), fields["stream"], datagram, (host, port)


def octets_field(secret: SecretBytes) -> str:
    """Return a key as the control socket carries it."""
    return base64.b64encode(secret.reveal()).decode()


def octets_of(field: str) -> SecretBytes:
    """Read what `octets_field` wrote."""
    return SecretBytes(base64.b64decode(field, validate=True))


def _mki_fields(mkis: tuple[MkiKey, ...]) -> list[list[str]]:
    return [[one.mki.hex(), octets_field(one.key)] for one in mkis]


def _mkis_of(fields: list[list[str]]) -> tuple[MkiKey, ...]:
    return tuple(
        MkiKey(mki=bytes.fromhex(mki), key=octets_of(key)) for mki, key in fields
    )


def _ice_of(field: list[str] | None) -> IceCredentials | None:
    if field is None:
        return None
    return IceCredentials(ufrag=field[0], password=octets_of(field[1]))


def _payload_fields(payloads: tuple[PayloadFormat, ...]) -> list[list[int | str]]:
    return [
        [p.payload_type, p.encoding, p.clock_rate_hz, p.channels, p.fmtp]
        for p in payloads
    ]


def _payloads_of(
    fields: list[tuple[int, str, int, int, str]],
) -> tuple[PayloadFormat, ...]:
    return tuple(
        PayloadFormat(
            payload_type=number,
            encoding=encoding,
            clock_rate_hz=clock_rate_hz,
            channels=channels,
            fmtp=fmtp,
        )
        for number, encoding, clock_rate_hz, channels, fmtp in fields
    )


def _remote_of(field: list[Any] | None) -> tuple[str, int] | None:
    return None if field is None else (field[0], field[1])


# -- counters --------------------------------------------------------------


def pack_counters(streams: Iterable[Stream]) -> Iterator[bytes]:
    """Yield messages that carry the counters of *streams*."""
    message = bytearray([COUNTERS])
    for stream in streams:
        message += _counters(stream)
        if len(message) > _COUNTERS_BYTES:
            yield bytes(message)
            message = bytearray([COUNTERS])
    if len(message) > 1:
        yield bytes(message)


def unpack_counters(message: bytes) -> Iterator[Snapshot]:
    """Read what `pack_counters` yielded."""
    at = 1
    while at < len(message):
        octets, part, index, ssrcs, *counts = _HEAD.unpack_from(message, at)
        at += _HEAD.size
        spans = []
        for _ in range(ssrcs):
            ssrc, first, last, packets = _SPAN.unpack_from(message, at)
            spans.append(SsrcSpan(ssrc=ssrc, first=first, last=last, packets=packets))
            at += _SPAN.size
        rejected = {
            str(reason): packets
            for reason, packets in zip(_REASONS, counts[len(_COUNTED) :], strict=True)
            if packets
        }
        yield Snapshot(
            recording_id=RecordingId(str(uuid.UUID(bytes=octets))),
            part=part,
            index=index,
            **dict(zip(_COUNTED, counts, strict=False)),
            rejected=MappingProxyType(rejected),
            ssrcs=tuple(spans),
        )


def _counters(stream: Stream) -> bytes:
    count = stream.count
    tracks = count.ssrcs.tracks
    rejected = count.rejected
    head = _HEAD.pack(
        stream.call.octets,
        stream.call.part.number,
        stream.order.index,
        len(tracks),
        *(count.authentic, count.rtcp, count.kept, count.not_captured),
        *(count.checks, count.source_moves, count.over_budget),
        *(count.stray_drops, count.discarded),
        *([rejected.get(reason, 0) for reason in _REASONS] if rejected else _NO_REASON),
    )
    return head + b"".join(
        _SPAN.pack(ssrc, t.first, t.last, t.packets) for ssrc, t in tracks.items()
    )
