"""What a dead process left in the spool, accounted for before anything else.

A folder without a manifest is a call whose tap died.  Its data key died too, so
no part can be finished: each becomes a ``.cut`` part, and a manifest says so.

Guarantees: after `recover` every folder has a manifest, or was never answered
and is gone, or is named in the log and left alone.  Running it twice, or dying
in it, changes nothing.

Left to others: reading what is left of the media (`vault.renditions`).
"""

import os
import time
from typing import Final

import structlog

from vault.core.clock import NS_PER_S, rfc3339
from vault.core.errors import InvalidInputError, NotFoundError, VaultError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.recorder.finish import ManifestKey, commit
from vault.spool.files import CUT, ENVELOPE, MANIFEST, SessionFolder, Spool

RECOVERED: Final = "recorder.recording.recovered"
FORGOTTEN: Final = "recorder.order.forgotten"
UNREADABLE: Final = "recorder.folder.unreadable"
_log = structlog.get_logger()


def recover(spool: Spool, key: ManifestKey) -> list[RecordingId]:
    """Give every folder without a manifest one; return whose."""
    recovered = []
    for recording_id in spool.recordings():
        folder = spool.folder(recording_id)
        if folder.has(MANIFEST):
            continue
        try:
            if _recover(folder, key):
                recovered.append(recording_id)
        except (VaultError, OSError) as exc:
            _log.error(UNREADABLE, recording=recording_id, problem=type(exc).__name__)
    return recovered


def _recover(folder: SessionFolder, key: ManifestKey) -> bool:
    # 1. Order and envelope are durable before a session is answered: without
    #    them nobody was told that it is recorded.
    try:
        order = folder.order()
    except (NotFoundError, InvalidInputError):
        order = None
    if order is None or not folder.has(ENVELOPE):
        if folder.objects():
            raise InvalidInputError("sealed objects without an order")
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
    # 3. What there is, signed.
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


def _changed_s(descriptor: int) -> float:
    return os.fstat(descriptor).st_mtime
