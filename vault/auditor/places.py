"""Where services are that the settings name: what may be asked, and how it is written.

Guarantees: no plain HTTP beyond this machine.

Left to others: asking (`vault.auditor.asking`).
"""

from dataclasses import dataclass
from typing import Final, Self

from vault.audit.cosignature import Cosigner
from vault.core.errors import InvalidInputError
from vault.core.origins import Origin

MAX_WITNESSES: Final = 16


def require_service(url: str) -> Origin:
    """Return the origin of a URL that may be asked.

    Raises:
        InvalidInputError: Not a URL, or plain HTTP beyond this machine.
    """
    origin = Origin.of_url(url)
    if origin.scheme != "https" and not origin.is_loopback:
        raise InvalidInputError("beyond this machine it has to be https")
    return origin


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPlace:
    """Where a witness is, and the key by which it is known."""

    url: str
    "Submission prefix: ``/add-checkpoint`` is put behind it."
    cosigner: Cosigner

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``URL VERIFIER-KEY``.

        Raises:
            InvalidInputError: Not both, or plain HTTP beyond this machine.
        """
        url, found, key = text.strip().partition(" ")
        if not found:
            raise InvalidInputError("write a witness as URL and verifier key")
        require_service(url)
        return cls(url=url.rstrip("/"), cosigner=Cosigner.parse(key))


def witnesses(texts: tuple[str, ...], *, quorum: int) -> tuple[WitnessPlace, ...]:
    """Read the witnesses of the settings.

    Args:
        texts: Each ``URL VERIFIER-KEY``.
        quorum: How many of them make a cosigned checkpoint.

    Raises:
        InvalidInputError: One does not parse, a key is there twice, there are too many,
            or fewer than the quorum.
    """
    places = tuple(map(WitnessPlace.parse, texts))
    if len({one.cosigner for one in places}) < len(places):
        raise InvalidInputError("the same witness twice")
    if len(places) > MAX_WITNESSES:
        raise InvalidInputError(f"at most {MAX_WITNESSES} witnesses")
    if 0 < len(places) < quorum:
        raise InvalidInputError(f"{len(places)} witnesses are no quorum of {quorum}")
    return places
