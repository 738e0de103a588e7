"""The trail for officers: pages of entries, proofs, the checkpoint, and an export.

Guarantees: only with the right to it, and the leaf that somebody read or
exported is durable before the first entry leaves.

Left to others: what the trail is (`vault.audit`), following it (`vault.web.tail`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vault.access.permissions import Permission
from vault.access.policy import SessionKind, require
from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Action, Draft, Entry
from vault.audit.language import Reading, read
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import LoggedEntry, StoredEntry, TrailPage, require_leaf
from vault.audit.tiles import TileName
from vault.core.errors import AccessDeniedError, InvalidInputError, NotFoundError
from vault.web.identity import Asker, insist, log_refusal, still_there
from vault.web.services import Services
from vault.web.trail_names import TrailNames

READS_TEXTS: Final = Permission.AUDIT_TEXT_READ
_TAIL: Final = "tail"
_PROOF: Final = "proof"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEntry:
    """One entry with the proof that a signed checkpoint stands for it."""

    stored: StoredEntry
    entry: Entry
    checkpoint: str
    "The signed note."


class TrailDesk:
    """Serves the trail to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker
        self.names = TrailNames(services, asker)

    def read(self, text: str) -> Reading:
        """Read what the asker typed as a query.

        Raises:
            InvalidInputError: It is none; the message says what would be.
        """
        return read(text, names=self.names, now_ns=self._services.clock())

    def page(
        self, query: TrailQuery, *, cursor: str | None, limit: int = 50
    ) -> TrailPage:
        """Return one page, newest first.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        self._insist()
        page = self._services.trail.page(query, cursor=cursor, limit=limit)
        self._log_read(query, rows=len(page.items))
        return page

    def count(self, query: TrailQuery, size: int) -> int:
        """Return how many of the first *size* entries match.

        Raises:
            AccessDeniedError: The asker may not read the trail.
        """
        self._insist()
        if query == EVERYTHING:
            return size
        return self._services.trail.count(query, size=size)

    def size(self) -> int:
        """Return how many entries the log has now.

        Raises:
            AccessDeniedError: The asker may not read the trail.
        """
        self._insist()
        return self._services.trail.head().size

    def follow(self, query: TrailQuery) -> int:
        """Begin to follow the trail; return the first index that is new.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        self._insist()
        self._log_read(query, kind=_TAIL)
        return self._services.trail.head().size

    def still_reads(self) -> None:
        """Insist that the asker may go on reading.

        Raises:
            VaultError: Whatever ends it.
        """
        session = still_there(self._services, self._asker)
        require(session.person, Permission.AUDIT_TRAIL_READ)

    def since(self, query: TrailQuery, start: int) -> tuple[list[LoggedEntry], int]:
        """Return what was logged from *start* on, oldest first, and where to go on.

        Raises:
            VaultError: The asker may not follow any more, or the trail is broken.
        """
        self.still_reads()
        size = self._services.trail.head().size
        if size <= start:
            return [], start
        batch = self._services.trail.batch(start, size, query=query)
        found = [_sound(row) for row in batch.rows]
        following = size if batch.next is None else batch.next
        return [one for one in found if query.selects(one.entry.members)], following

    def proven(self, index: int) -> ProvenEntry:
        """Return one entry with the proof that it is in the log.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
            NotFoundError: No such entry.
            TrailBrokenError: The entry is not what was logged.
        """
        self._insist()
        trail = self._services.trail
        note = trail.checkpoint()
        size = Checkpoint.unverified(note).size
        if not 0 <= index < size:
            raise NotFoundError("no such entry")
        rows = trail.batch(index, index + 1, proofs_at=size).rows
        if not rows:
            raise NotFoundError("no such entry")
        entry = _sound(rows[0]).entry
        self._log_read(EVERYTHING, rows=1, kind=_PROOF)
        return ProvenEntry(stored=rows[0], entry=entry, checkpoint=note)

    def texts(self, index: int) -> Mapping[str, str]:
        """Return what people typed beside one entry; the warden writes the leaf.

        Raises:
            AccessDeniedError: The asker may not, or comes with a personal token.
            StepUpRequiredError: They may, and have to prove again who they are.
            NotFoundError: No such entry, or nothing beside it (any more).
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        # 1. They hold the right to it, and just proved who they are.
        insist(self._services, self._asker, READS_TEXTS, entry=index)
        # 2. They did: a token proves nothing again, and whoever has it is there at any
        #    hour, as often as they like.
        if self._asker.session.kind is SessionKind.TOKEN:
            log_refusal(
                self._services.warden,
                self._asker,
                right=READS_TEXTS,
                reason="token",
                detail={"entry": index},
            )
            raise AccessDeniedError("a personal token does not read what people typed")
        # 3. The warden writes who reads which entry, and opens it.
        return self._services.warden.texts(self._asker.caller, index, right=READS_TEXTS)

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint.

        Raises:
            AccessDeniedError: The asker may not read the trail.
        """
        self._insist()
        # No leaf: it shows no entry, and would make itself out of date.
        return self._services.trail.checkpoint()

    def tile(self, path: str) -> bytes:
        """Return one tile of the log by its path (``tile/0/000``).

        Raises:
            AccessDeniedError: The asker may not read the trail.
            NotFoundError: Not a tile, or the log has not grown that far.
        """
        self._insist()
        try:
            name = TileName.parse(path)
        except InvalidInputError:
            raise NotFoundError("no such tile") from None
        if name.level is None:
            # Entries leave here, so this is reading the trail like any other way.
            self._log_read(EVERYTHING, rows=len(name.span))
        return self._services.trail.tile(name)

    def _insist(self) -> None:
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)

    def _log_read(
        self, query: TrailQuery, *, rows: int | None = None, kind: str = ""
    ) -> None:
        detail = query.detail()
        if rows is not None:
            detail["rows"] = rows
        if kind:
            detail["kind"] = kind
        self._log(Action.AUDIT_TRAIL_READ, Permission.AUDIT_TRAIL_READ, detail)

    def _log(
        self, action: Action, right: Permission, detail: Mapping[str, str | int]
    ) -> None:
        self._services.warden.append(
            Draft(action=action, caller=self._asker.caller, right=right, detail=detail)
        )


def entry_members(logged: LoggedEntry) -> dict[str, object]:
    """Return one entry as the API shows it."""
    return {"index": logged.index, "entry": dict(logged.entry.members)}


def _sound(row: StoredEntry) -> LoggedEntry:
    """Return the entry of a row that is what was hashed.

    Raises:
        TrailBrokenError: It is not.
    """
    require_leaf(row)
    return LoggedEntry(index=row.index, entry=Entry.parse(row.octets))
