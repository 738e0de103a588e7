"""A source of people in memory, with the faults that real ones have."""

from dataclasses import dataclass, field, replace

from vault.access.authenticators import Verified
from vault.core.errors import NotAuthenticatedError, UnavailableError

PASSWORD = "a password of the source"


@dataclass
class PeopleSource:
    """Knows people by name; counts what it is asked."""

    name: str = "ldap"
    people: dict[str, Verified] = field(default_factory=dict)
    is_down: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, *groups: str, id: str = "") -> Verified:
        """Let somebody be known under *name*."""
        made = Verified(
            source=self.name,
            external_id=id or f"id-of-{name}",
            name=name,
            groups=frozenset(groups),
        )
        self.people[name] = made
        return made

    def rename(self, name: str, to: str) -> None:
        """Give somebody another name; their id stays."""
        self.people[to] = replace(self.people.pop(name), name=to)

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Check a password."""
        self.asked.append((name, password))
        if self.is_down:
            raise UnavailableError("down")
        found = self.people.get(name)
        if found is not None and password != PASSWORD:
            raise NotAuthenticatedError("wrong")
        return found

    def standing(self, external_ids: frozenset[str]) -> dict[str, Verified]:
        """Return who is still known."""
        if self.is_down:
            raise UnavailableError("down")
        return {
            one.external_id: one
            for one in self.people.values()
            if one.external_id in external_ids
        }
