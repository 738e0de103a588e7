"""People of a file: an authenticator for Callvault, in one module.

    name:id:group group group:$argon2id$v=19$m=65536,t=3,p=4$…

One line is one person.  The id never changes and is never given to another; the hash
is what ``python -c "import argon2; print(argon2.PasswordHasher().hash('…'))"`` prints.
The file is read at every sign-in, so that an edit counts at once.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from vault.access.authenticators import Verified
from vault.core.errors import NotAuthenticatedError

_MAX_OCTETS = 1 << 20
_FIELDS = 4


class HtpasswdAuthenticator:
    """Checks names and passwords against a file."""

    interface_version = 1
    name = "htpasswd"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._hasher = PasswordHasher()
        # Of a password that nobody has: unknown names cost the same work.
        self._nobody = self._hasher.hash(secrets.token_bytes(16))
        self._people()

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Return who it is; None for a name that is not in the file."""
        del origin
        entry = self._people().get(name)
        stored = entry[1] if entry else self._nobody
        try:
            self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            if entry:
                raise NotAuthenticatedError("wrong password") from None
            return None
        return entry[0] if entry else None

    def standing(self, external_ids: frozenset[str]) -> dict[str, Verified]:
        """Return who is still in the file: whoever is struck out is out."""
        people = (person for person, _ in self._people().values())
        return {
            one.external_id: one for one in people if one.external_id in external_ids
        }

    def _people(self) -> dict[str, tuple[Verified, str]]:
        with self._file.open(encoding="utf-8") as opened:
            text = opened.read(_MAX_OCTETS)
        people: dict[str, tuple[Verified, str]] = {}
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(":", _FIELDS - 1)
            if len(fields) != _FIELDS or fields[0] in people:
                # Half a file is no file: nobody comes in until it is mended.
                raise ValueError("a line is no person, or a name is there twice")
            name, external_id, groups, stored = fields
            people[name] = (
                Verified(
                    source=self.name,
                    external_id=external_id,
                    name=name,
                    groups=frozenset(groups.split()),
                ),
                stored,
            )
        return people


def create(settings: Mapping[str, object]) -> HtpasswdAuthenticator:
    """Make the authenticator of ``[plugins.htpasswd]``."""
    unknown = settings.keys() - {"file"}
    if unknown or not isinstance(settings.get("file"), str):
        raise ValueError("[plugins.htpasswd] needs file, and takes nothing else")
    return HtpasswdAuthenticator(Path(str(settings["file"])))
