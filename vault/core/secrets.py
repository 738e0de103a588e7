"""Secrets that do not slip out: no repr, no pickle, constant-time comparison.

Guarantees: formatting, logging, pickling and copying a `SecretBytes` never
shows its octets; ``==`` takes the same time whatever differs.

Does not guarantee: that the octets are wiped from memory.  CPython may copy
them; processes that hold keys are made undumpable instead (`vault.process`).
"""

import hmac
from typing import NoReturn


class SecretBytes:
    """Octets that must never be shown; ask for them with `reveal`."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    def reveal(self) -> bytes:
        """Return the octets: the caller now guards them."""
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretBytes):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        raise TypeError("a secret is not hashable")

    def __repr__(self) -> str:
        return f"<SecretBytes: {len(self._octets)} octets>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
