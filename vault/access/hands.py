"""Whose hands an account went through: who could come in as somebody else.

    adam ──a whole code──> carl          carl may be somebody else, or adam again
    adam ──half a code──> olga <──the other half── anna      olga is nobody but olga

Whoever hands over a whole code could use it, and whoever says which name of a directory
an account is could name one of their own.  Such accounts and whoever made them so are
*in the same hands*: what one of them gains counts as gained by all, and none of them is
the second person for another.

Guarantees: it stays so until another code was used, and where a passkey or a token was
left behind until those are gone, too; a chain of hands is followed to its end.

Left to others: what is compared (`vault.access.gains`), when it is asked for
(`vault.access.second_person`, `vault.access.approvals`).

Spec: docs/adr/0017-rights-and-second-person.md
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, exists, insert, select

from vault.access.tables import KEEPER, PASSKEY, TOKEN
from vault.core.errors import SameHandsError
from vault.core.ids import UserId

NO_CODE: Final = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """An account into which somebody else was given the way, or chose it."""

    user_id: UserId
    code_sha256: bytes = NO_CODE
    "Of the first half of the code, where it was one."


def keep_hand(connection: Connection, handed: HandedOver, *, keeper: UserId) -> None:
    """Note that *keeper* alone could come in as somebody else."""
    mine = (KEEPER.c.user_id == handed.user_id) & (KEEPER.c.keeper_id == keeper)
    connection.execute(delete(KEEPER).where(mine))
    connection.execute(
        insert(KEEPER).values(
            user_id=handed.user_id, keeper_id=keeper, code_sha256=handed.code_sha256
        )
    )


def let_go(connection: Connection, user_id: UserId, *, code_sha256: bytes) -> None:
    """Note that a code was used: what other hands knew of the account is over."""
    # A passkey or a token that was made before opens it as it did.
    if connection.execute(
        select(
            exists().where(PASSKEY.c.user_id == user_id)
            | exists().where(TOKEN.c.user_id == user_id)
        )
    ).scalar_one():
        return
    connection.execute(
        delete(KEEPER).where(
            KEEPER.c.user_id == user_id, KEEPER.c.code_sha256 != code_sha256
        )
    )


def hands_of(connection: Connection, user_id: UserId) -> frozenset[UserId]:
    """Return who is in the same hands as *user_id*, themselves included."""
    beside: dict[str, set[str]] = {}
    for row in connection.execute(select(KEEPER.c.user_id, KEEPER.c.keeper_id)):
        beside.setdefault(row.user_id, set()).add(row.keeper_id)
        beside.setdefault(row.keeper_id, set()).add(row.user_id)
    found, waiting = {str(user_id)}, [str(user_id)]
    while waiting:
        fresh = beside.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return frozenset(map(UserId, found))


def insist_on_two(connection: Connection, asker: UserId, decider: UserId) -> None:
    """Insist that two accounts are surely of two people.

    Raises:
        SameHandsError: One of them could be the other.
    """
    if decider in hands_of(connection, asker):
        raise SameHandsError(
            "whoever asked could have come in as you: ask for a code of two halves, "
            "or of the operator (callvault user code), and use it first"
        )
