"""How people prove who they are, by the names of RFC 8176: ``pwd``, ``otp``, …."""

from collections.abc import Collection
from typing import Final

SECOND_FACTORS: Final = frozenset({"otp", "hwk", "swk", "mfa"})
"Methods that prove more than a password does."

_LENGTH: Final = 64
"Characters that a session keeps of them, blanks between."


def joined_methods(
    before: Collection[str], methods: Collection[str]
) -> tuple[str, ...]:
    """Return the methods of both, in order, each once, as far as a session keeps them.

    What proves more than a password is kept before what does not.
    """
    all_of_them = dict.fromkeys((*before, *methods))
    ranked = sorted(all_of_them, key=lambda one: one not in SECOND_FACTORS)
    kept: set[str] = set()
    for one in ranked:
        if len(" ".join((*kept, one))) <= _LENGTH:
            kept.add(one)
    return tuple(one for one in all_of_them if one in kept)
