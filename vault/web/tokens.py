"""Personal tokens: made, listed and revoked, each change with its leaf.

Guarantees:
    * A token whose leaf could not be made durable does not exist.
    * Making one takes a signed-in person and a recent proof; a token makes none.
    * A token can do no more than its owner could when it was made, nor more than they
      can when it is used.

Left to others: the tokens themselves (`vault.access.tokens`).
"""

from collections.abc import Collection

from vault.access.permissions import Permission
from vault.access.policy import Person, SessionKind
from vault.access.tokens import DEFAULT_TTL_S, TokenListed
from vault.audit.entry import Action, Draft
from vault.core.clock import rfc3339
from vault.core.errors import (
    AccessDeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from vault.web.identity import Asker, insist_on_proof
from vault.web.presence import EVERYBODY, people_asked_for
from vault.web.services import Services


class TokenDesk:
    """Serves tokens to one asker: their own, and others' to whoever ends those."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def add(
        self,
        *,
        name: str,
        ttl_s: float | None,
        permissions: Collection[str] | None = None,
    ) -> dict[str, object]:
        """Make a personal token and return its members, the secret among them.

        Args:
            name: What it is for.
            ttl_s: How long it lives, in seconds; None for 90 days.
            permissions: All that it may use; None for whatever the owner may.

        Raises:
            AccessDeniedError: A token asks for a token, and would outlive itself.
            StepUpRequiredError: The last proof is too old.
            InvalidInputError: An unknown permission, or one the asker lacks.
            AuditUnavailableError: The leaf is not durable: there is no token.
        """
        if self._asker.session.kind is SessionKind.TOKEN:
            raise AccessDeniedError("a token makes no tokens: sign in")
        insist_on_proof(self._services, self._asker)
        limits = None if permissions is None else checked_permissions(permissions)
        tokens = self._services.tokens
        added = tokens.add(
            self._asker.session.user_id,
            name,
            ttl_s=ttl_s or DEFAULT_TTL_S,
            permissions=limits,
        )
        draft = Draft(
            action=Action.ACCESS_TOKEN_ADDED,
            caller=self._asker.caller,
            detail={"token": added.listed.id, "user": added.listed.user_id},
            text={"after": str(added.listed)},
        )
        try:
            self._services.warden.append(draft)
        except UnavailableError:
            tokens.revoke(added.listed.id)
            raise
        owner = self._asker.session.person
        return token_members(added.listed, owner) | {"token": added.secret}

    def items(self, user: str = "") -> list[dict[str, object]]:
        """Return tokens without their secrets: one's own, *user*'s, or everybody's.

        Raises:
            AccessDeniedError: Another's, and the asker may not see those.
            NotFoundError: Nobody is called so, or has that id.
        """
        people = people_asked_for(self._services, self._asker, user)
        listed = self._services.tokens.list(
            None if user == EVERYBODY else next(iter(people))
        )
        return [
            token_members(one, people[one.user_id])
            for one in listed
            if one.user_id in people
        ]

    def revoke(self, token_id: str) -> None:
        """Revoke a token: one's own, or with the right to it anybody's.

        Raises:
            NotFoundError: There is none, or it is not for the asker to revoke.
            AuditUnavailableError: It is revoked, and there is no leaf.
        """
        all_ = self._asker.may(Permission.ACCESS_SESSION_END)
        owner = None if all_ else self._asker.session.user_id
        user_id = self._services.tokens.owner_of(token_id)
        if not self._services.tokens.revoke(token_id, user_id=owner):
            raise NotFoundError("no such token")
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_TOKEN_REVOKED,
                caller=self._asker.caller,
                detail={"token": token_id, "user": user_id or "unknown"},
            )
        )


def checked_permissions(names: Collection[str]) -> frozenset[Permission]:
    """Return *names* as permissions.

    Raises:
        InvalidInputError: None at all, or one that there is not.
    """
    if not names:
        raise InvalidInputError("a token without permissions is no use")
    try:
        return frozenset(Permission(name) for name in names)
    except ValueError:
        raise InvalidInputError("there is no such permission") from None


def token_members(listed: TokenListed, owner: Person) -> dict[str, object]:
    """Return one token as the API shows it."""
    return {
        "id": listed.id,
        "user": owner.name,
        "name": listed.name,
        "permissions": (
            None if listed.permissions is None else sorted(listed.permissions)
        ),
        "created": rfc3339(listed.created_ns),
        "expires": rfc3339(listed.expires_ns),
        "used": None if listed.used_ns is None else rfc3339(listed.used_ns),
        "used_from": listed.used_from or None,
    }
