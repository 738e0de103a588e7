"""The end of a call: parts are hashed, the manifest is signed and written last.

Guarantees:
    * When `finish` returns, every object and the manifest are durable.
    * It may be repeated after any failure, and ends in one manifest.
    * A part without its last chunk is called ``.cut`` in spool and manifest.
    * A part is not read again where its size is what its worker wrote: the digest
      made while writing counts.  Where the disk failed since, it is read again.
    * A file whose sync failed is not synced again: a new copy of it is.  One that
      is not what its worker wrote is described as it is, as cut, with an alarm.
    * Labels in the manifest are of the vault's vocabulary: a PBX may label a
      stream with a telephone number, and the manifest is readable.

Left to others: shipping (`vault.spool.shipper`).

Spec: docs/reference/formats/manifest.md
"""

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog

from vault.core.clock import rfc3339
from vault.core.errors import RecordingTruncatedError
from vault.core.flow import HowEnded
from vault.recorder.facts import seal_metadata
from vault.recorder.keys import ManifestKey
from vault.recorder.session import Session, Stream
from vault.sealing.chunks import (
    HEADER_SIZE,
    chunk_count,
    commitment_of,
    whole_chunks,
)
from vault.sealing.manifest import (
    Manifest,
    ManifestObject,
    SsrcCount,
    StreamCount,
    sign_manifest,
    verify_manifest,
)
from vault.spool.descriptors import translated
from vault.spool.files import CUT, MANIFEST, SessionFolder
from vault.spool.order import SpoolOrder
from vault.tap.orders import CallReport, PartReport, StreamCounters

RESCUED: Final = "recorder.part.rescued"
ALTERED: Final = "recorder.part.altered"
_log = structlog.get_logger()
_LABEL: Final = re.compile(r"agent|customer|screen|stream[0-9]{1,3}")


def finish(session: Session, report: CallReport, key: ManifestKey) -> Manifest:
    """Write everything that is left to write of *session*, the manifest last.

    Raises:
        SpoolFullError, UnavailableError: Not yet; call it again.
    """
    written = _settle_parts(session.folder, report)
    if not session.sealed_end:
        seal_metadata(session, ended_ns=session.ended_ns)
        session.sealed_end = True
    names = session.folder.objects()
    last = max((name for name in names if name.startswith("capture/")), default="")
    return commit(
        session.folder,
        session.order,
        key,
        ended=rfc3339(session.ended_ns),
        how=HowEnded.CUT if last.endswith(CUT) else report.how,
        streams=_counts(session, report),
        written=written,
    )


def commit(
    folder: SessionFolder,
    order: SpoolOrder,
    key: ManifestKey,
    *,
    ended: str,
    how: HowEnded,
    streams: tuple[StreamCount, ...] = (),
    written: Mapping[str, bytes] = MappingProxyType({}),
) -> Manifest:
    """Describe what *folder* holds, sign the manifest and write it, once.

    Args:
        folder: Whose objects, each of them whole or called ``.cut``.
        order: Of the session.
        key: What to sign with.
        ended: RFC 3339.
        how: How the call ended.
        streams: What was counted.
        written: Digests of parts that are durable and need not be read again.

    Raises:
        SpoolFullError, UnavailableError: Not yet; call it again.
    """
    if folder.has(MANIFEST):
        # Written in an earlier try that failed right after it, or before its sync.
        folder.keep(MANIFEST)
        return verify_manifest(folder.read(MANIFEST), {key.name: key.public})
    manifest = Manifest(
        recording_id=folder.recording_id,
        tap=key.name,
        started=order.started,
        ended=ended,
        how=how,
        # "capture" < "session": the parts come first, in order.
        objects=tuple(
            described
            for name in folder.objects()
            if (described := _describe(folder, name, written.get(name))) is not None
        ),
        streams=streams,
    )
    folder.write_once(MANIFEST, sign_manifest(manifest, key.private, key.name))
    return manifest


def _settle_parts(folder: SessionFolder, report: CallReport) -> dict[str, bytes]:
    """Make every part durable, call those cut that are; return digests that count."""
    written: dict[str, bytes] = {}
    for part in report.parts:
        name = f"capture/{part.part:04d}"
        if not folder.has(name):
            continue  # called cut in an earlier try
        # 1. Durable, in a new file if the disk refused this one.
        if not folder.sync(name):
            folder.rescue(name)
            _log.critical(RESCUED, recording=folder.recording_id, part=part.part)
        # 2. What its worker wrote, or less.
        if _is_whole(folder, part):
            if part.sha256 is not None:
                written[name] = part.sha256
        else:
            folder.mark_cut(part.part)
    return written


def _is_whole(folder: SessionFolder, part: PartReport) -> bool:
    """Return whether a part is all that its worker wrote, the last chunk included."""
    if not part.final:
        return False
    with folder.open(f"capture/{part.part:04d}") as file:
        size = os.fstat(file.fileno()).st_size
        same = part.size_bytes in {None, size}
        if same and part.sha256 is not None and folder.in_doubt:
            same = _digest_on_disk(file) == part.sha256
    with contextlib.suppress(RecordingTruncatedError):
        chunk_count(size)
        if same:
            return True
    _log.critical(
        ALTERED,
        recording=folder.recording_id,
        part=part.part,
        written=part.size_bytes,
        found=size,
    )
    return False


def _digest_on_disk(file: io.BufferedReader) -> bytes:
    # The copy in memory says nothing about a disk that has lost a write.
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest()


def _counts(session: Session, report: CallReport) -> tuple[StreamCount, ...]:
    """Return the counts of every stream, those included that never had keys."""
    counted = [stream_count(counters) for counters in report.streams]
    streams = session.streams.values()
    if not counted and any(stream.crypto is not None for stream in streams):
        return ()  # the media tap lost the call: nobody knows
    return tuple(
        sorted(
            (*counted, *(_no_count(one) for one in streams if one.crypto is None)),
            key=lambda count: count.stream,
        )
    )


def _no_count(stream: Stream) -> StreamCount:
    offered = stream.offered
    return StreamCount(
        stream=offered.index,
        label=_shown(offered.label, offered.index),
        suite=stream.suite_name,
        media=offered.media,
        payloads={payload.payload_type: payload for payload in offered.payloads},
    )


def _shown(label: str, index: int) -> str:
    return label if _LABEL.fullmatch(label) else f"stream{index + 1}"


def stream_count(counters: StreamCounters) -> StreamCount:
    """Return what the hot path counted as the manifest says it."""
    return StreamCount(
        stream=counters.index,
        label=_shown(counters.label, counters.index),
        suite=counters.suite.value,
        media=counters.media,
        received=counters.received,
        authentic=counters.authentic,
        rejected={str(reason): n for reason, n in counters.rejected.items() if n},
        rtcp=counters.rtcp,
        undecryptable_kept=counters.undecryptable_kept,
        kernel_drops=counters.kernel_drops,
        stray_drops=counters.stray_drops,
        discarded=counters.discarded,
        payloads={payload.payload_type: payload for payload in counters.payloads},
        ssrcs=tuple(
            SsrcCount(
                ssrc=span.ssrc, first=span.first, last=span.last, packets=span.packets
            )
            for span in counters.ssrcs
        ),
    )


def _describe(
    folder: SessionFolder, name: str, known: bytes | None
) -> ManifestObject | None:
    """Describe one object; None where nothing of it was ever durable.

    *known* is its digest, where it is durable already.
    """
    if known is None and not folder.sync(name):
        folder.rescue(name)
    with folder.open(name) as file, translated(f"{folder.recording_id} {name}"):
        size = os.fstat(file.fileno()).st_size
        header = file.read(HEADER_SIZE)
        file.seek(0)
        sha256 = known or hashlib.file_digest(file, "sha256").digest()
    # A power cut leaves what nobody was told of short, or full of zeros.
    if len(header) < HEADER_SIZE or not header.strip(b"\0"):
        return None
    chunks = whole_chunks(size) if name.endswith(CUT) else chunk_count(size)
    return ManifestObject(
        name=name,
        size=size,
        sha256=sha256,
        chunks=chunks,
        commitment=commitment_of(header),
    )
