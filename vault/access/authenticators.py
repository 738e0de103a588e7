"""Who can say that a password is right: the interface of every source of people.

A source is this vault's own table (``local``), a directory (``ldap``) or a plug-in
(``plugin:<name>``).  `vault.access.signin` asks them; they know nothing of each other.

Guarantees: what an authenticator says is checked before it counts: its source is its
own, its name is the one that was typed.

Left to others: the order (`vault.access.signin`), accounts and roles
(`vault.access.provisioning`), people who come without a password
(`SignIn.verified`).

Rule for changing it: a new member with a default keeps `INTERFACE_VERSION`; anything
else raises it, and a plug-in made for another version is refused at start.
"""

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

INTERFACE_VERSION: Final = 1

NAMES_PROVE_NOTHING: Final = frozenset({"oidc"})
"""Sources in which people may call themselves what they like: there no account is
found by a name, and none loses its name to a newcomer."""

MAX_GROUPS: Final = 1000
"Groups that one person may be said to be in; with more, nobody is let in."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Somebody whose proof a source has checked just now."""

    source: str
    "``local``, ``ldap``, ``oidc`` or ``plugin:<name>``."
    external_id: str
    """What never changes and is never given to another: an ``entryUUID``, an
    ``objectGUID``, a ``sub``; 1 to 255 characters."""
    name: str
    "What the person signs in with, as the source spells it."
    groups: frozenset[str] = frozenset()
    "As the source names them: distinguished names, or words."
    methods: tuple[str, ...] = ("pwd",)
    "How they proved it (RFC 8176): ``pwd``, ``otp``, ``hwk``, …"


class Authenticator(Protocol):
    """Checks names and passwords against one source.

    It is called by many threads at once, answers within 3 s or raises, and does the
    same work for a name that it does not know as for one that it does.  Neither name
    nor password MUST reach a log, an exception or another host than the source.
    """

    @property
    def name(self) -> str:
        """The source: ``local``, ``ldap`` or ``plugin:<name>``."""
        ...

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Check *password* of the person called *name*.

        Args:
            name: As typed; at most 256 characters.
            password: As typed; may be empty, which is nobody's password.
            origin: Address of the peer, without port.

        Returns:
            Who it is; None where this source knows nobody of that name.

        Raises:
            NotAuthenticatedError: It knows the name, and the password is wrong or
                the account is shut.  Nobody else is asked.
            UnavailableError: The source can't be asked now.
            ThrottledError: Too many are asking; the password was not looked at.
        """
        ...


@runtime_checkable
class Standing(Protocol):
    """A source that can be asked about somebody without their password."""

    def standing(self, external_ids: frozenset[str]) -> dict[str, Verified]:
        """Return those of *external_ids* who may still come in, as they are now.

        Who is missing from the answer is out: gone, or disabled.

        Raises:
            UnavailableError: The source can't be asked now: nothing is known.
        """
        ...
