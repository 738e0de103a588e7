"""The export of the trail over HTTP, proved to go on from the officer's last one.

Guarantees: only with the right to it, the leaf durable before the first entry leaves;
a checkpoint is kept for the next export only when the last block was taken.

Left to others: the export itself (`vault.audit.kinds`), the language of queries
(`vault.audit.language`).
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

from vault.access.permissions import Permission
from vault.access.policy import require
from vault.audit.entry import Action, Draft
from vault.audit.kinds import BUNDLE, JSONL, Order, export_trail
from vault.audit.query import TrailQuery
from vault.audit.statement import ExportSummary
from vault.core.clock import rfc3339
from vault.core.errors import UnavailableError
from vault.web.exporting import blocks_of
from vault.web.identity import Asker, insist, still_there
from vault.web.services import Services
from vault.web.streaming import CuttableResponse, asked_again
from vault.web.trail_names import TrailNames

_RIGHT: Final = Permission.AUDIT_TRAIL_EXPORT


class TrailExportDesk:
    """Exports the trail for one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def response(
        self, query: TrailQuery, *, kind: str = JSONL, goes_on: bool = True
    ) -> CuttableResponse:
        """Return the export as a file to keep.

        Args:
            query: Which entries.
            kind: One of `vault.audit.kinds.KINDS`.
            goes_on: Whether it must go on from the asker's last export.

        Raises:
            AccessDeniedError: The asker may not export the trail.
            AuditUnavailableError: The leaf is not durable: nothing is exported.
            TrailBrokenError: The log does not go on from the asker's last export.
            ConflictError: The asker's last export was of another log.
            UnavailableError: A bundle, and this process has no verifier key.
        """
        # 1. They hold the right to it.
        insist(self._services, self._asker, _RIGHT)
        order = self._order(query, kind, goes_on=goes_on)
        # 2. It is on the trail before the first entry leaves it.
        self._services.warden.append(
            Draft(
                action=Action.AUDIT_TRAIL_EXPORTED,
                caller=self._asker.caller,
                right=_RIGHT,
                detail={"format": kind, **query.detail()},
            )
        )
        # 3. The first block is pulled here, so that what it raises is the answer.
        return CuttableResponse(
            self._blocks(order),
            status_code=200,
            still_allowed=self.still_exports,
            headers={
                "Content-Type": order.media_type,
                "Content-Disposition": f'attachment; filename="{order.file_name}"',
                "Cache-Control": "private, no-store",
            },
        )

    def still_exports(self) -> None:
        """Insist that the asker may go on exporting.

        Raises:
            VaultError: Whatever ends the export.
        """
        require(still_there(self._services, self._asker).person, _RIGHT)

    def _order(self, query: TrailQuery, kind: str, *, goes_on: bool) -> Order:
        services, person = self._services, self._asker.session.person
        if kind == BUNDLE and not services.trail_key:
            raise UnavailableError("the verifier key of the log is not readable here")
        names = TrailNames(services, self._asker).labels() if kind == BUNDLE else {}
        return Order(
            kind=kind,
            query=query,
            previous=services.trail_exports.last(person.id) if goes_on else None,
            cosigned=services.cosigned() or None,
            made=rfc3339(services.clock()),
            by=str(self._asker.caller.actor),
            vkey=services.trail_key,
            names=names,
        )

    def _blocks(self, order: Order) -> Iterator[bytes]:
        written: list[ExportSummary] = []

        def write(out: BinaryIO) -> None:
            written.append(export_trail(self._services.trail, out, order))

        yield from asked_again(blocks_of(write), self.still_exports)
        # Whoever took the last block has the whole export.
        self._services.trail_exports.keep(
            self._asker.session.person.id, written[0].checkpoint
        )
