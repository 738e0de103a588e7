"""Canonical JSON (RFC 8785) for what is hashed, signed or sealed.

Guarantees: equal values give equal octets; `parse` accepts only those octets,
so one value has one spelling.  Numbers are integers within ±(2**53 - 1):
floats have no business in evidence, durations are ``_ns`` or ``_ms``.

Spec: RFC 8785 (tested against the ``rfc8785`` package).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from vault.core.errors import InvalidInputError

JsonValue: TypeAlias = (
    "bool | int | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
)
JsonObject: TypeAlias = "dict[str, JsonValue]"

_MAX_INT: Final = 2**53 - 1
_MAX_DEPTH: Final = 32
_OCTETS: Final = (bytes, bytearray, memoryview)

# Made once: `json.dumps` would make one for each value.
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False
)


def dumps(value: JsonValue) -> bytes:
    """Return the one canonical spelling of *value*.

    Raises:
        ValueError: A float, a key that is no string, a lone surrogate, or
            nesting beyond 32 levels.
    """
    return _ENCODER.encode(_ordered(value, 0)).encode()


def parse(octets: bytes) -> JsonObject:
    """Read one canonical JSON object.

    Raises:
        InvalidInputError: Not JSON, not an object, or not its canonical spelling
            (which also catches duplicate keys).
    """
    try:
        value = json.loads(octets)
        if not isinstance(value, dict) or dumps(value) != octets:
            raise InvalidInputError("not a canonical JSON object")
    except (ValueError, RecursionError):
        raise InvalidInputError("not a canonical JSON object") from None
    return value


def _ordered(value: JsonValue, depth: int) -> JsonValue:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _MAX_INT:
            raise ValueError("an integer that JSON readers would round")
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key that is not text")
        # RFC 8785, section 3.2.3: sorted by UTF-16 code units, not code points.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _ordered(value[key], depth + 1) for key in keys}
    # Octets are a sequence of numbers to Python, and never meant as one here;
    # whatever else may come is what a type checker did not see.
    if isinstance(value, _OCTETS) or not isinstance(value, Sequence):
        raise ValueError(  # noqa: TRY004 - one error for all that has no spelling
            f"{type(value).__name__} has no canonical form"
        )
    return [_ordered(item, depth + 1) for item in value]
