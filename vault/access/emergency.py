"""Breaking the glass: one person may hear everything, for a while, with an alarm.

Guarantees:
    * It ends by itself, and with it whatever plays by it.
    * What it gives are rights like others, marked: every play by one carries it.

Left to others: who may (`vault.access.permissions`: no role has it), the leaf, the
alarm (the caller's room).

Spec: docs/reference/permissions.md
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select

from vault.access.names import is_storable
from vault.access.permissions import Permission, ScopeKind
from vault.access.rights import HolderKind, NewRight, add_right
from vault.access.tables import GRANTED_RIGHT
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError, NotFoundError
from vault.core.flow import Actor
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

GIVES: Final = (
    Permission.RECORDING_MEDIA_PLAY,
    Permission.RECORDING_METADATA_READ,
    Permission.RECORDING_SCREEN_PLAY,
)
"To hear and to see; nothing leaves the vault by it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """One that is open."""

    user_id: UserId
    since_ns: int
    until_ns: int
    opened_by: str
    "An actor as the trail spells it."


Tell = Callable[[Emergency], object]
"Is told before it counts; what it raises undoes it."


class Emergencies:
    """Those that are open, in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        lasts_s: float = 3600,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Take how long one lasts, in seconds."""
        self._engine = engine
        self._lasts_ns = int(lasts_s * NS_PER_S)
        self._clock = clock

    def open(self, user_id: UserId, *, by: Actor, tell: Tell) -> Emergency:
        """Give *user_id* everything to hear, for a while.

        Raises:
            ConflictError: It is open for them already.
            NotFoundError: Nobody has that id.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            if _read(connection, now_ns, user_id):
                raise ConflictError("the glass is broken already")
            for permission in GIVES:
                new = NewRight(
                    holder_kind=HolderKind.USER,
                    holder=user_id,
                    permission=permission,
                    scope_kind=ScopeKind.ALL,
                    valid_until_ns=now_ns + self._lasts_ns,
                    is_emergency=True,
                )
                add_right(connection, new, by, now_ns=now_ns)
            (opened,) = _read(connection, now_ns, user_id)
            tell(opened)
        return opened

    def end(self, user_id: UserId, *, tell: Tell) -> Emergency:
        """End what is open for *user_id*, at once.

        Raises:
            NotFoundError: Nothing is.
        """
        with transaction(self._engine) as connection:
            found = _read(connection, self._clock(), user_id)
            if not found:
                raise NotFoundError("no such emergency")
            connection.execute(
                delete(GRANTED_RIGHT).where(
                    GRANTED_RIGHT.c.is_emergency,
                    GRANTED_RIGHT.c.holder_kind == str(HolderKind.USER),
                    GRANTED_RIGHT.c.holder == user_id,
                )
            )
            tell(found[0])
        return found[0]

    def list(self) -> tuple[Emergency, ...]:
        """Return those that are open, oldest first."""
        with reading(self._engine) as connection:
            return _read(connection, self._clock())


def _read(
    connection: Connection, now_ns: int, user_id: UserId | None = None
) -> tuple[Emergency, ...]:
    right = GRANTED_RIGHT.c
    query = (
        select(
            right.holder,
            func.min(right.valid_from_ns).label("since_ns"),
            func.max(right.valid_until_ns).label("until_ns"),
            func.min(right.granted_by).label("opened_by"),
        )
        .where(right.is_emergency, right.valid_until_ns > now_ns)
        .group_by(right.holder)
        .order_by("since_ns", right.holder)
    )
    if user_id is not None:
        if not is_storable(user_id):
            return ()
        query = query.where(right.holder == user_id)
    return tuple(
        Emergency(
            user_id=UserId(row.holder),
            since_ns=row.since_ns,
            until_ns=row.until_ns,
            opened_by=row.opened_by,
        )
        for row in connection.execute(query)
    )
