"""JSON from outside: what two readers could understand in two ways is refused.

Guarantees: UTF-8 without a byte-order mark; no member twice in an object; integers
within ±(2**53 - 1), no NaN, no infinity, no number that overflows to one; no half of a
surrogate pair; at most 16 levels and 4,096 values.  The work grows with the length of
the text, which is bounded by whoever reads it, and stops at the first fault.

Left to others: which members there may be (the two edges); what is hashed or signed
(`vault.core.canonical`).

Spec: RFC 8259; RFC 7493 (I-JSON)
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from vault.core.errors import InvalidInputError

MAX_DEPTH: Final = 16
MAX_VALUES: Final = 4096
_MAX_INT: Final = 2**53 - 1
_MAX_DIGITS: Final = 17
# Strings, so that what is in them is not counted, and what opens, closes or parts.
# One without an end reaches to the end of the text: no place is looked at twice.
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]},]', re.DOTALL)


def parse(octets: bytes) -> object:
    """Read one JSON value.

    Raises:
        InvalidInputError: It is none, or one of those that are refused.
    """
    try:
        text = octets.decode("utf-8")
        _check_size(text)
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
        # A half is written as an escape: UTF-8 itself has none.
        if "\\u" in text:
            for one in _texts(value):
                one.encode()
    except (ValueError, RecursionError):
        raise InvalidInputError(
            "the body is not JSON, or not as it is taken here"
        ) from None
    return value


def _check_size(text: str) -> None:
    """Refuse what is too deep or has too much in it before anything is built."""
    depth = values = 0
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == ",":
            values += 1
        if depth > MAX_DEPTH or values > MAX_VALUES:
            raise ValueError("too deep, or too much")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or abs(int(digits)) > _MAX_INT:
        raise ValueError("an integer that readers would round")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number that is none")
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name}")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
