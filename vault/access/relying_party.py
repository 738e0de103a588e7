"""Under which address a browser reaches us, as passkeys are bound to it.

Guarantees: only an address that the installation is said to have, spelled as browsers
spell it; never one that a request made up, and no numeric one, which nobody owns.

Spec: Web Authentication Level 3, section 5.1.2 (“rp.id”); RFC 6454
"""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from vault.core.errors import ConflictError


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """Who asks for a passkey."""

    origin: str
    "``https://vault.example:8443``"
    id: str
    "``vault.example``"


class RelyingParties:
    """The addresses of one installation."""

    def __init__(self, origins: Collection[str]) -> None:
        self._by_host = {
            urlsplit(origin).netloc: RelyingParty(
                origin=origin, id=urlsplit(origin).hostname or ""
            )
            for origin in origins
            if _has_a_name(origin)
        }

    def knows(self, host: str) -> bool:
        """Whether *host* is one of ours."""
        return host.lower() in self._by_host

    def of(self, host: str) -> RelyingParty:
        """Return who *host* is, as a request names it.

        Raises:
            ConflictError: None of ours; with the way out.
        """
        found = self._by_host.get(host.lower())
        if found is None:
            known = " or ".join(sorted(one.origin for one in self._by_host.values()))
            raise ConflictError(
                f"passkeys work under {known} alone"
                if known
                else "passkeys need the setting web_origin: the address of these pages"
            )
        return found


def _has_a_name(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return not host.rpartition(".")[2].isdigit() and ":" not in host
