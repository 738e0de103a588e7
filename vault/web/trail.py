"""The trail for officers: pages of entries, the checkpoint, and an export.

Guarantees: only with the right to it, and the leaf that somebody read or
exported is durable before the first entry leaves.

Left to others: what the trail is (`vault.audit`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from vault.access.policy import Permission
from vault.audit.entry import Action, Draft
from vault.audit.export import export_jsonl
from vault.audit.query import TrailQuery
from vault.audit.reading import LoggedEntry, TrailPage
from vault.audit.tiles import TileName
from vault.core.errors import InvalidInputError, NotFoundError
from vault.web.exporting import blocks_of
from vault.web.identity import Asker, insist
from vault.web.services import Services

QUERY_MEMBERS: Final = ("actor", "action", "recording", "result", "since", "until")
_USER: Final = "user:"
_NOBODY: Final = "user:-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """What an officer asks for; empty members ask for everything."""

    actor: str = ""
    "A name, or ``user:<id>`` as entries spell it."
    action: str = ""
    recording: str = ""
    result: str = ""
    since: str = ""
    until: str = ""

    def members(self) -> dict[str, str]:
        """Return the members that ask for anything."""
        named = {name: getattr(self, name) for name in QUERY_MEMBERS}
        return {name: value for name, value in named.items() if value}


class TrailDesk:
    """Serves the trail to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def page(
        self, wanted: TrailFilter, *, cursor: str | None, limit: int = 50
    ) -> TrailPage:
        """Return one page, newest first.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)
        page = self._services.trail.search(
            **self._resolved(wanted), cursor=cursor, limit=limit
        )
        self._log(Action.AUDIT_TRAIL_READ, wanted, rows=len(page.items))
        return page

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint.

        Raises:
            AccessDeniedError: The asker may not read the trail.
        """
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)
        # No leaf: it shows no entry, and would make itself out of date.
        return self._services.trail.checkpoint()

    def export(self, wanted: TrailFilter) -> Iterator[bytes]:
        """Return the export in blocks.

        Raises:
            AccessDeniedError: The asker may not export the trail.
            AuditUnavailableError: The leaf is not durable: nothing is exported.
        """
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_EXPORT)
        query = TrailQuery(**self._resolved(wanted))
        self._log(Action.AUDIT_TRAIL_EXPORTED, wanted, format="jsonl")

        def write(out: BinaryIO) -> None:
            export_jsonl(self._services.trail, out, query=query)

        return blocks_of(write)

    def tile(self, path: str) -> bytes:
        """Return one tile of the log by its path (``tile/0/000``).

        Raises:
            AccessDeniedError: The asker may not read the trail.
            NotFoundError: Not a tile, or the log has not grown that far.
        """
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)
        try:
            name = TileName.parse(path)
        except InvalidInputError:
            raise NotFoundError("no such tile") from None
        if name.level is None:
            # Entries leave here, so this is reading the trail like any other way.
            self._log(Action.AUDIT_TRAIL_READ, TrailFilter(), rows=len(name.span))
        return self._services.trail.tile(name)

    def names(self) -> Mapping[str, str]:
        """Return the names of actors as entries spell them: ``user:<id>`` → name."""
        people = {
            _USER + str(person.id): person.name
            for person in self._services.people.list()
        }
        devices = {
            f"device:{listed.device.id}": listed.device.name
            for listed in self._services.devices.list()
        }
        return people | devices

    def _resolved(self, wanted: TrailFilter) -> dict[str, str]:
        members = wanted.members()
        actor = members.get("actor", "")
        if actor and ":" not in actor and actor != "unknown":
            try:
                members["actor"] = _USER + str(self._services.people.by_name(actor).id)
            except NotFoundError:
                members["actor"] = _NOBODY  # matches no entry
        return members

    def _log(
        self,
        action: Action,
        wanted: TrailFilter,
        *,
        rows: int | None = None,
        format: str = "",
    ) -> None:
        detail: dict[str, str | int] = {}
        if rows is not None:
            detail["rows"] = rows
        if format:
            detail["format"] = format
        if fields := "/".join(wanted.members()):
            detail["fields"] = fields
        permission = (
            Permission.AUDIT_TRAIL_EXPORT if format else Permission.AUDIT_TRAIL_READ
        )
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                right=permission,
                detail=detail,
            )
        )


def parse_query(text: str) -> TrailFilter:
    """Read ``actor:ada action:recording.played since:2026-11-01``.

    Raises:
        InvalidInputError: A word that names no member, or one member twice.
    """
    members: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not (colon and value) or name not in QUERY_MEMBERS or name in members:
            raise InvalidInputError(
                "a query is made of words like actor:ada, each member once: "
                + ", ".join(QUERY_MEMBERS)
            )
        members[name] = value
    return TrailFilter(**members)


def entry_members(logged: LoggedEntry) -> dict[str, object]:
    """Return one entry as the API shows it."""
    return {"index": logged.index, "entry": dict(logged.entry.members)}
