"""What a dead process left in the spool, accounted for before anything else.

A folder without a manifest is a call whose tap died.  Its data key died too, so
no part can be finished: each becomes a ``.cut`` part, and a manifest says so.

Guarantees: after `recover` every folder has a manifest, or belongs to a call that
goes on, or was never answered and is gone, or is named in the log and left alone.
Running it twice, or dying in it, changes nothing.

Left to others: reading what is left of the media (`vault.renditions`).
"""

import contextlib
import os
import time
from collections.abc import Collection
from typing import Final

import structlog

from vault.core.clock import NS_PER_S, rfc3339
from vault.core.errors import InvalidInputError, NotFoundError, VaultError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.recorder.finish import commit
from vault.recorder.keys import ManifestKey
from vault.sealing.chunks import HEADER_SIZE
from vault.spool.files import CUT, ENVELOPE, MANIFEST, ORDER, SessionFolder
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool

RECOVERED: Final = "recorder.recording.recovered"
FORGOTTEN: Final = "recorder.order.forgotten"
UNREADABLE: Final = "recorder.folder.unreadable"
_log = structlog.get_logger()


def recover(
    spool: Spool, key: ManifestKey, *, skip: Collection[RecordingId] = ()
) -> list[RecordingId]:
    """Give every folder without a manifest one; return whose.

    Args:
        spool: Open, and so nobody else's.
        key: What to sign with.
        skip: Recordings that go on: their calls were adopted.
    """
    recovered = []
    for recording_id in spool.recordings():
        if recording_id in skip:
            continue
        folder = spool.folder(recording_id)
        try:
            if not _written(folder, MANIFEST) and _recover(folder, key):
                recovered.append(recording_id)
        except (VaultError, OSError) as exc:
            _log.error(UNREADABLE, recording=recording_id, problem=type(exc).__name__)
    return recovered


def _recover(folder: SessionFolder, key: ManifestKey) -> bool:
    # 1. Order and envelope are durable before a session is answered: without
    #    them nobody was told that it is recorded.
    order = _order(folder)
    if order is None or not _written(folder, ENVELOPE):
        if _holds_media(folder):
            raise InvalidInputError("media without an order or an envelope")
        folder.remove()
        _log.info(FORGOTTEN, recording=folder.recording_id)
        return False
    # 2. No part can be known to be whole without the key.
    ended_s = 0.0
    for name in folder.objects():
        if name.startswith("capture/"):
            with folder.open(name) as file:
                ended_s = max(ended_s, _changed_s(file.fileno()))
            if not name.endswith(CUT):
                folder.mark_cut(int(name[-4:]))
    # 3. What there is, signed.  A name without its octets is what a power cut leaves
    #    of a manifest that was never acknowledged.
    if folder.has(MANIFEST):
        folder.discard(MANIFEST)
    ended = rfc3339(int(min(ended_s, time.time()) * NS_PER_S))
    commit(
        folder,
        order,
        key,
        ended=max(ended, order.started),
        how=HowEnded.CUT,
    )
    _log.warning(RECOVERED, recording=folder.recording_id)
    return True


def _order(folder: SessionFolder) -> SpoolOrder | None:
    """Return the order; None where it was never durable.

    Raises:
        InvalidInputError: Somebody else wrote it.
    """
    return folder.order() if _written(folder, ORDER) else None


def _written(folder: SessionFolder, name: str) -> bool:
    # A power cut leaves a file that was not synced yet empty, or full of zeros.
    with contextlib.suppress(NotFoundError):
        return bool(folder.read(name).strip(b"\0"))
    return False


def _holds_media(folder: SessionFolder) -> bool:
    """Return whether a packet can have arrived: then the session was answered."""
    for name in folder.objects():
        if name.startswith("capture/"):
            with folder.open(name) as file:
                if os.fstat(file.fileno()).st_size >= HEADER_SIZE:
                    return True
    return False


def _changed_s(descriptor: int) -> float:
    return os.fstat(descriptor).st_mtime
