"""Names of people, devices and workgroups: one spelling, one key.

Guarantees: two names that differ only in case, width or Unicode form have the
same key, so neither a second account nor a fresh guessing budget comes of it.

Spec: Unicode NFKC (UAX 15) and full case folding, applied until they agree.
"""

import re
import unicodedata
from typing import Final

from vault.core.errors import InvalidInputError

MAX_NAME: Final = 64
"Characters."

_PUNCTUATION: Final = frozenset("._-@")
_BLANKS: Final = re.compile(r"\s+")
_OVERLOOKED: Final = "CMZ"
"Major categories: controls and formats, marks, separators."


def checked_name(text: str) -> str:
    """Return a person's or device's name as it is kept and shown.

    Raises:
        InvalidInputError: Not 1 to 64 letters, digits and ``. _ - @``.
    """
    name = unicodedata.normalize("NFKC", text)
    if not 1 <= len(name) <= MAX_NAME or not all(
        character in _PUNCTUATION or _is_letter_or_digit(character)
        for character in name
    ):
        raise InvalidInputError(
            f"a name has 1 to {MAX_NAME} letters, digits and . _ - @"
        )
    return name


def checked_title(text: str) -> str:
    """Return a workgroup's or token's name: inner blanks are allowed.

    Raises:
        InvalidInputError: Empty, longer than 64 characters, or unprintable.
    """
    title = _BLANKS.sub(" ", unicodedata.normalize("NFKC", text).strip())
    if not 1 <= len(title) <= MAX_NAME or not title.isprintable():
        raise InvalidInputError(f"a name has 1 to {MAX_NAME} printable characters")
    return title


def name_key(text: str) -> str:
    """Return what two spellings of the same name have in common.

    Text that no database can hold has the key "", which nobody has.
    """
    if not is_storable(text):
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding may undo NFKC (U+0345, for one): the pair is stable the second time.
    return unicodedata.normalize("NFKC", folded).casefold()


def guessing_key(text: str) -> str:
    """Return what all spellings have in common that any source takes for one name.

    Coarser than `name_key`: directories also overlook blanks, accents and invisible
    characters (RFC 4518, section 2), and a guesser must win no fresh budget by them.
    Two people who share a key share a budget, and nothing else.
    """
    bare = unicodedata.normalize("NFKD", name_key(text))
    return "".join(
        one for one in bare if unicodedata.category(one)[0] not in _OVERLOOKED
    )


def is_storable(text: str) -> bool:
    """Whether every database takes *text*: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _is_letter_or_digit(character: str) -> bool:
    return (character.isascii() and character.isdigit()) or character.isalpha()
