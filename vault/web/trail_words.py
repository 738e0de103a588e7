"""The words of a query as things to press: added, taken away, and read aloud by name.

Guarantees: whatever is pressed gives a query that can be typed as well.

Left to others: what words mean (`vault.audit.language`), drawing (`vault.web.pages`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from vault.access.permissions import Permission
from vault.audit.language import CREATED, ME, Word, words_of
from vault.web.identity import Asker

TRAIL: Final = "/audit"
OWN: Final = Word(field="actor", values=(ME,), excludes=True)
_OF_ONE: Final = ("about", "object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One word of the query, and the way to the query without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The one that a history is of."""

    kind: str
    id: str
    name: str


def href_of(text: str, **more: str) -> str:
    """Return the address of the list that *text* selects."""
    members = ({"query": text} if text else {}) | more
    return f"{TRAIL}?{urlencode(members)}" if members else TRAIL


def history_href(typed_id: str, *, field: str = "about") -> str:
    """Return the address of the history of ``<kind>:<id>``."""
    return href_of(str(Word(field=field, values=(typed_id,))))


def history_of(asker: Asker, typed_id: str) -> str:
    """Return the address of a history, for who may read the trail; else nothing."""
    return history_href(typed_id) if asker.may(Permission.AUDIT_TRAIL_READ) else ""


def replaced(text: str, words: Sequence[Word]) -> str:
    """Return *text* with *words* in place of those that say something of their fields.

    Raises:
        InvalidInputError: *text* is no query.
    """
    fresh = {(one.field, one.excludes) for one in words}
    kept = [one for one in words_of(text) if (one.field, one.excludes) not in fresh]
    return " ".join(map(str, (*kept, *words)))


def added(text: str, fields: Mapping[str, str]) -> str:
    """Return *text* with what the filter fields say; empty fields say nothing.

    Raises:
        InvalidInputError: *text* is no query.
    """
    words = [
        Word(field=name, values=(fields[name],))
        for name in ("actor", "action", "result")
        if fields.get(name)
    ]
    since, until = fields.get("since", ""), fields.get("until", "")
    if since or until:
        span = f"{since or '*'}..{until or '*'}"
        words.append(Word(field=CREATED, values=(span,)))
    return replaced(text, words)


def own_toggled(text: str) -> tuple[bool, str]:
    """Return whether *text* leaves out the asker's own entries, and its opposite."""
    words = words_of(text)
    kept = [one for one in words if one != OWN]
    leaves_out = len(kept) < len(words)
    return leaves_out, " ".join(map(str, kept if leaves_out else (*kept, OWN)))


def chips_of(text: str, names: Mapping[str, str]) -> Sequence[Chip]:
    """Return the words of *text*, ids by name."""
    words = words_of(text)
    return [
        Chip(
            text=_aloud(word, names),
            without=href_of(" ".join(map(str, words[:at] + words[at + 1 :]))),
        )
        for at, word in enumerate(words)
    ]


def subject_of(text: str, names: Mapping[str, str]) -> Subject | None:
    """Return of whom or what *text* asks the whole history, if it does just that."""
    words = words_of(text)
    if len(words) != 1:
        return None
    word = words[0]
    if word.excludes or word.field not in _OF_ONE or len(word.values) != 1:
        return None
    kind, colon, own_id = word.values[0].partition(":")
    if not colon:
        return None
    return Subject(kind=kind, id=own_id, name=names.get(word.values[0], own_id))


def _aloud(word: Word, names: Mapping[str, str]) -> str:
    values = " or ".join(names.get(value, value) for value in word.values)
    sign = "not " if word.excludes else ""
    return f"{sign}{word.field}: {values}"
