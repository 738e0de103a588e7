"""Blind index: exact-match search over text that the database never sees.

    key(field) = HKDF-SHA256(index key, no salt, info)
    info       = "callvault/v1" ‖ 00 ‖ "index" ‖ 00 ‖ field
    token      = HMAC-SHA256(key(field), month ‖ 00 ‖ normal form)[:8]

A change of any of it takes a new ``info``, and tokens are made again.

Guarantees: equal numbers give equal tokens only within one field and one month,
so the database shows neither who called whom back nor who calls every month.

Does not guarantee: secrecy against whoever holds the index key; 10^10 numbers
are tried in half an hour per core.  It therefore never leaves the warden.

Left to others: the leaf (`vault.warden.service`).

Spec: RFC 5869, RFC 2104; docs/reference/formats/sealed-row.md
"""

import hmac
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.core import canonical
from vault.core.addresses import address_key
from vault.core.errors import InvalidInputError
from vault.core.secrets import SecretBytes

TOKEN_SIZE: Final = 8
"Octets: 2^64 values, so that a month of a million calls has no false match."

_KEY_SIZE: Final = 32
_INFO: Final = b"callvault/v1\x00index\x00"
_DIGITS: Final = frozenset("0123456789")


def party_form(text: str) -> str:
    """Return the normal form of a telephone number or a SIP name.

    Digits stay, with the ``+`` that stands before the first of them; a text
    without digits is compared as a name.  National and international spelling
    are not made equal: only the PBX knows its dial plan.
    """
    stripped = unicodedata.normalize("NFKC", text).strip()
    digits = "".join(character for character in stripped if character in _DIGITS)
    if not digits:
        return stripped.casefold()
    before = stripped[: stripped.index(digits[0])]
    return f"+{digits}" if before.endswith("+") else digits


def name_form(text: str) -> str:
    """Return the normal form of an agent's name."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


FIELDS: Final = MappingProxyType(
    {"agent": name_form, "callee": party_form, "caller": party_form}
)
"Every field that can be searched, with its normal form."


MOST_PARTICIPANTS: Final = 24
"Whose numbers and names can be searched; everybody of them is in the metadata."


def searchable(metadata: canonical.JsonObject) -> Iterator[tuple[str, str]]:
    """Yield field and value of everything that a call can be found by.

    Whoever took part besides caller and callee is found as a callee is: they were
    in the call and did not place it.
    """
    for field in FIELDS:
        value = metadata.get(field)
        if isinstance(value, str):
            yield field, value
    participants = metadata.get("participants", ())
    if isinstance(participants, str) or not isinstance(participants, Sequence):
        return
    for each in participants[:MOST_PARTICIPANTS]:
        if isinstance(each, Mapping):
            user, _ = address_key(str(each.get("aor", "")))
            yield "callee", user
            yield "agent", str(each.get("agent", ""))


class BlindIndex:
    """Makes tokens under one index key."""

    def __init__(self, index_key: SecretBytes) -> None:
        """Derive a key per field from *index_key* (32 octets)."""
        self._keys: Mapping[str, SecretBytes] = {
            field: SecretBytes(
                HKDF(
                    algorithm=SHA256(),
                    length=_KEY_SIZE,
                    salt=None,
                    info=_INFO + field.encode(),
                ).derive(index_key.reveal())
            )
            for field in FIELDS
        }

    def token(self, *, field: str, value: str, month: str) -> bytes | None:
        """Return the token of *value*, or None where nothing of it can be found.

        Args:
            field: ``caller``, ``callee`` or ``agent``.
            value: As typed; normalised here.
            month: ``2026-11``.

        Raises:
            InvalidInputError: There is no such field.
        """
        if field not in FIELDS:
            raise InvalidInputError("no such field to search in")
        normal = FIELDS[field](value)
        if not normal:
            return None
        text = month.encode() + b"\x00" + normal.encode()
        return hmac.digest(self._keys[field].reveal(), text, "sha256")[:TOKEN_SIZE]
