"""The end of a call: parts are hashed, the manifest is signed and written last.

Guarantees:
    * When `finish` returns, every object and the manifest are durable.
    * It may be repeated after any failure, and ends in one manifest.
    * A part without its last chunk is called ``.cut`` in spool and manifest.
    * Labels in the manifest are of the vault's vocabulary: a PBX may label a
      stream with a telephone number, and the manifest is readable.

Left to others: shipping (`vault.spool.shipper`).

Spec: docs/reference/formats/manifest.md
"""

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core.clock import rfc3339
from vault.core.flow import HowEnded
from vault.recorder.facts import seal_metadata
from vault.recorder.session import Session
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
from vault.spool.files import CUT, MANIFEST, SessionFolder, translated
from vault.spool.order import SpoolOrder
from vault.tap.orders import CallReport, StreamCounters

_LABEL: Final = re.compile(r"agent|customer|screen|stream[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestKey:
    """The tap's own signing key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The raw verifier key, 32 octets, as the roster has it."""
        return self.private.public_key().public_bytes_raw()


def finish(session: Session, report: CallReport, key: ManifestKey) -> Manifest:
    """Write everything that is left to write of *session*, the manifest last.

    Raises:
        SpoolFullError, UnavailableError: Not yet; call it again.
    """
    for part in report.parts:
        if not part.final and session.folder.has(f"capture/{part.part:04d}"):
            session.folder.mark_cut(part.part)
    if not session.sealed_end:
        seal_metadata(session, ended_ns=session.ended_ns)
        session.sealed_end = True
    last_cut = bool(report.parts) and not report.parts[-1].final
    return commit(
        session.folder,
        session.order,
        key,
        ended=rfc3339(session.ended_ns),
        how=HowEnded.CUT if last_cut else report.how,
        streams=tuple(stream_count(counters) for counters in report.streams),
    )


def commit(
    folder: SessionFolder,
    order: SpoolOrder,
    key: ManifestKey,
    *,
    ended: str,
    how: HowEnded,
    streams: tuple[StreamCount, ...] = (),
) -> Manifest:
    """Hash what *folder* holds, sign the manifest and write it, once."""
    if folder.has(MANIFEST):
        # Written in an earlier try that failed right after it.
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
            if (described := _describe(folder, name)) is not None
        ),
        streams=streams,
    )
    folder.write_once(MANIFEST, sign_manifest(manifest, key.private, key.name))
    return manifest


def stream_count(counters: StreamCounters) -> StreamCount:
    """Return what the hot path counted as the manifest says it."""
    label = counters.label
    return StreamCount(
        stream=counters.index,
        label=label if _LABEL.fullmatch(label) else f"stream{counters.index + 1}",
        suite=counters.suite.value,
        media=counters.media,
        received=counters.received,
        authentic=counters.authentic,
        rejected={str(reason): n for reason, n in counters.rejected.items() if n},
        rtcp=counters.rtcp,
        undecryptable_kept=counters.undecryptable_kept,
        kernel_drops=counters.kernel_drops,
        payloads={payload.payload_type: payload for payload in counters.payloads},
        ssrcs=tuple(
            SsrcCount(
                ssrc=span.ssrc, first=span.first, last=span.last, packets=span.packets
            )
            for span in counters.ssrcs
        ),
    )


def _describe(folder: SessionFolder, name: str) -> ManifestObject | None:
    """Describe one object; None where not even its header was written."""
    with folder.open(name) as file, translated(f"{folder.recording_id} {name}"):
        os.fsync(file.fileno())
        header = file.read(HEADER_SIZE)
        if len(header) < HEADER_SIZE:
            return None
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").digest()
        size = file.tell()
    chunks = whole_chunks(size) if name.endswith(CUT) else chunk_count(size)
    return ManifestObject(
        name=name,
        size=size,
        sha256=sha256,
        chunks=chunks,
        commitment=commitment_of(header),
    )
