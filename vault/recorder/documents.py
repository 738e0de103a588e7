"""What the PBX sent beside the media, kept as it came: sealed, beside the metadata.

Guarantees: what leaves here for the spool is sealed under the call's key and padded.
A device that sends without end fills nobody's disk: what is beyond the bounds of one
call is dropped, and the log says once that it was.

Left to others: the format (`vault.sealing.signalling`), reading what is in a document
(`vault.siprec`).
"""

from collections.abc import Callable
from typing import Final

import structlog

from vault.core.clock import rfc3339
from vault.core.flow import Document
from vault.recorder.session import Session
from vault.sealing.chunks import context, seal
from vault.sealing.padding import pad
from vault.sealing.signalling import Signalling

DROPPED: Final = "recorder.documents.dropped"
MOST_MESSAGES: Final = 500
"Objects ``signalling/000n`` of one call."
MOST_OCTETS: Final = 8 * 1024 * 1024
"Of all documents of one call together, before they are sealed."
_log = structlog.get_logger()


def seal_documents(
    session: Session,
    documents: tuple[Document, ...],
    *,
    now_ns: int,
    write: Callable[[str, bytes], None] | None = None,
) -> None:
    """Seal what came with one message as the next ``signalling/000n``.

    Args:
        session: Whose documents.
        documents: Of one message; none writes nothing.
        now_ns: When it came.
        write: How to write it; durably where nothing else is said.

    Raises:
        SpoolFullError: No room.
        UnavailableError: The disk failed.
    """
    octets = sum(len(one.octets) for one in documents)
    if not documents or not _room(session, octets):
        return
    kept = Signalling(
        recording_id=session.recording_id,
        received=rfc3339(now_ns),
        documents=documents,
    )
    name = f"signalling/{session.messages + 1:04d}"
    sealed = seal(
        pad(bytes(kept)),
        key=session.dek,
        context=context(session.recording_id, name),
    )
    (write or session.folder.write_once)(name, sealed)
    session.messages += 1
    session.document_octets += octets


def _room(session: Session, octets: int) -> bool:
    if (
        session.messages < MOST_MESSAGES
        and session.document_octets + octets <= MOST_OCTETS
    ):
        return True
    if not session.documents_dropped:
        session.documents_dropped = True
        _log.warning(DROPPED, recording=session.recording_id)
    return False
