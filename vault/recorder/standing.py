"""Where a session stands, in the words its device gets to read.

The tap knows a recording until it is in the store; whether it became ``ready``
is the catalog's to say, and never a device's to ask.
"""

import time
from dataclasses import replace

from vault.core.flow import Reason, RecordingState, SessionStatus, StreamStatus
from vault.core.ids import RecordingId
from vault.recorder.keys import ManifestKey
from vault.recorder.session import Session, Stream
from vault.sealing.manifest import Manifest, verify_manifest
from vault.spool.files import MANIFEST, SessionFolder
from vault.spool.ledger import EndedNote
from vault.spool.shipper import ending_reason, stream_status
from vault.tap.orders import StreamCounters


def running_status(
    session: Session, counters: tuple[StreamCounters, ...]
) -> SessionStatus:
    """Return the state of a call that has no manifest yet."""
    counted = {each.index: each for each in counters}
    return SessionStatus(
        recording_id=session.recording_id,
        state="paused" if session.paused else RecordingState.RECORDING.value,
        reason=None,
        streams=tuple(
            _running(stream, counted.get(index))
            for index, stream in session.streams.items()
        ),
        resumes_in_s=_resumes_in_s(session),
    )


def ended_status(manifest: Manifest) -> SessionStatus:
    """Return what the manifest of a call says about its end."""
    streams = tuple(stream_status(count) for count in manifest.streams)
    reason = ending_reason(manifest.how, streams)
    return SessionStatus(
        recording_id=manifest.recording_id,
        state=_final_state(reason),
        reason=reason or None,
        streams=streams,
    )


def manifest_status(folder: SessionFolder, key: ManifestKey) -> SessionStatus:
    """Return the same from the spool's copy of the manifest."""
    return ended_status(verify_manifest(folder.read(MANIFEST), {key.name: key.public}))


def note_status(recording_id: RecordingId, note: EndedNote) -> SessionStatus:
    """Return the same from the ledger's note: without counters."""
    return SessionStatus(
        recording_id=recording_id,
        state=_final_state(note.reason),
        reason=note.reason or None,
        streams=(),
    )


def _resumes_in_s(session: Session) -> float | None:
    if not session.paused or not session.resume_at_s:
        return None
    return max(0.0, round(session.resume_at_s - time.monotonic(), 3))


def _final_state(reason: str) -> str:
    # A call without one packet can only fail: there is nothing to render.
    failed = reason == Reason.NO_MEDIA.value
    return (RecordingState.FAILED if failed else RecordingState.CAPTURED).value


def _running(stream: Stream, counters: StreamCounters | None) -> StreamStatus:
    status = StreamStatus(
        label=stream.offered.label,
        codec=stream.codec,
        suite=stream.suite_name,
        media=stream.offered.media,
        local_port=stream.ports.rtp,
        handshake="" if stream.dtls is None else stream.dtls.state.value,
    )
    if counters is None:
        return status
    return replace(
        status,
        packets_received=counters.received,
        packets_authentic=counters.authentic,
        packets_lost=counters.lost,
        packets_undecryptable=counters.undecryptable_kept,
        packets_rejected={str(why): n for why, n in counters.rejected.items() if n},
        rtcp_packets=counters.rtcp,
    )
