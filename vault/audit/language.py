"""The language of the officer's search field: text to query, and back.

    actor:ada action:recording.* -result:ok object:recording:ID created:7d

Every word is a field, a colon and values; commas stand between values of which any
will do, quotes around what has blanks, and ``-`` before a word whose values must not
match.  All words must hold.

Guarantees:
    * `read(written(query)).query == query`.
    * What is wrong is said of the word that is wrong, with what comes closest.
    * A name that nobody has matches nothing: it neither fails nor widens the search.

Left to others: who has which name, and who may know that (`Names`, `vault.web`).

Spec: docs/reference/audit-query.md
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Protocol

from vault.audit.created import EXAMPLES, Span, span_of
from vault.audit.entry import Action, Result
from vault.audit.query import (
    EXCLUDES,
    FIELDS,
    OBJECT_MEMBERS,
    PREFIX,
    Terms,
    TrailQuery,
    matches_action,
)
from vault.core.errors import InvalidInputError

MAX_TEXT: Final = 2048
"Characters of a query as text."

CREATED: Final = "created"
ME: Final = "me"
"The name of whoever asks."
_NOBODY: Final = "-"
NOTHING: Final = f"user:{_NOBODY}"
"An id that nobody has: what a name that nobody has stands for."
UNKNOWN: Final = "unknown"
"The actor of what happened before anybody said who they are."

NAMED: Final = ("device", "user", "workgroup")
"Kinds of ids that have names."
ACTOR_KINDS: Final = ("device", "os", "process", "user")
OBJECT_KINDS: Final = tuple(sorted({*OBJECT_MEMBERS, "recording"}))
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "actor": ACTOR_KINDS,
    "object": OBJECT_KINDS,
    "about": tuple(sorted({*ACTOR_KINDS, *OBJECT_KINDS})),
}
_OLD: Final = {"recording": "object", "since": CREATED, "until": CREATED}
"Words of an earlier language that still read."
_WORDS: Final = (*FIELDS, CREATED)
_ACTIONS: Final = tuple(str(action) for action in Action)
_RESULTS: Final = tuple(str(result) for result in Result)
_NOT_IDS: Final = frozenset({"class", "entry", "kid", "os", "process", "role"})
"Kinds whose values are no UUIDs."

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_WORD: Final = re.compile(rf'(?:[^\s"]|{_QUOTED})+')
_WHOLE: Final = re.compile(rf'(?:[^"]|{_QUOTED})*')
_VALUE: Final = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PLAIN: Final = re.compile(r'[^\s",\\]+')
_VISIBLE: Final = re.compile(r"[!-~]{1,128}")


class Names(Protocol):
    """Knows who and what has which name."""

    def me(self) -> str:
        """Return whoever asks, as ``user:<id>``."""

    def ids(self, name: str, kinds: Collection[str]) -> Sequence[str]:
        """Return what of *kinds* has that *name*, as ``<kind>:<id>``."""


class NoNames:
    """For who knows ids only."""

    def me(self) -> str:
        """Return nobody."""
        return NOTHING

    def ids(self, name: str, kinds: Collection[str]) -> Sequence[str]:  # noqa: ARG002 - see `Names`
        """Return nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a query: a field with its values, as they are typed."""

    field: str
    values: tuple[str, ...]
    excludes: bool = False

    def __str__(self) -> str:
        sign = EXCLUDES if self.excludes else ""
        return f"{sign}{self.field}:{','.join(map(_quoted, self.values))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a text was read as."""

    query: TrailQuery
    text: str
    "The same in the same language, with ids for names; times stay as they are typed."
    unknown: tuple[str, ...] = ()
    "Names that nobody and nothing has."


def read(text: str, *, names: Names, now_ns: int) -> Reading:
    """Read a query.

    Args:
        text: What was typed.
        names: Who has which name.
        now_ns: What ``created:24h`` counts back from.

    Raises:
        InvalidInputError: It is none; the message says which word, and what would be.
    """
    reader = _Reader(names, now_ns)
    words = [reader.take(word) for word in words_of(text)]
    return Reading(
        query=TrailQuery(
            wanted=Terms(**{k: tuple(v) for k, v in reader.wanted.items()}),
            unwanted=Terms(**{k: tuple(v) for k, v in reader.unwanted.items()}),
            since=reader.span.since,
            until=reader.span.until,
        ),
        text=" ".join(map(str, words)),
        unknown=tuple(reader.unknown),
    )


def written(query: TrailQuery) -> str:
    """Return the text that reads as *query*."""
    words = [
        Word(field=name, values=values, excludes=excludes)
        for excludes, terms in ((False, query.wanted), (True, query.unwanted))
        for name, values in terms.values().items()
    ]
    if query.since:
        words.append(Word(field=CREATED, values=(f">={query.since}",)))
    if query.until:
        words.append(Word(field=CREATED, values=(f"<{query.until}",)))
    return " ".join(map(str, words))


def words_of(text: str) -> list[Word]:
    """Return the words of *text*, their fields checked and their values not.

    Raises:
        InvalidInputError: A word is none.
    """
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"a query has {MAX_TEXT} characters at most")
    return [_word(raw) for raw in _split(text)]


def _split(text: str) -> list[str]:
    if not _WHOLE.fullmatch(text):
        raise InvalidInputError("a quote is not closed: write it at both ends")
    return _WORD.findall(text)


def _word(raw: str) -> Word:
    name, colon, rest = raw.partition(":")
    excludes = name.startswith(EXCLUDES)
    name = name.removeprefix(EXCLUDES)
    if not colon or '"' in name:
        raise InvalidInputError(
            f"{_shown(raw)} names no field; write about:{raw[:40].strip(EXCLUDES)}, "
            f"or one of {_listed(_WORDS)}"
        )
    if name not in _WORDS and name not in _OLD:
        close = get_close_matches(name.lower(), _WORDS, n=1)
        meant = f"did you mean {close[0]}:?" if close else f"use {_listed(_WORDS)}"
        raise InvalidInputError(f"{_shown(name)} is no field; {meant}")
    values = tuple(_unquoted(match[0]) for match in _VALUE.finditer(rest))
    if not any(values):
        raise InvalidInputError(f"{name}: has no value behind it")
    return _modern(name, tuple(value for value in values if value), excludes)


def _modern(name: str, values: tuple[str, ...], excludes: bool) -> Word:  # noqa: FBT001 - as `Word` has it
    """Return the word, a field of the earlier language under its name of today."""
    if name == "recording":
        values = tuple(f"recording:{value}" for value in values)
    elif name == "since":
        values = tuple(f">={value}" for value in values)
    elif name == "until":
        values = tuple(f"<{value}" for value in values)
    return Word(field=_OLD.get(name, name), values=values, excludes=excludes)


@dataclass(slots=True)
class _Reader:
    """Collects what words say."""

    names: Names
    now_ns: int
    span: Span = field(default_factory=Span)
    wanted: dict[str, list[str]] = field(default_factory=dict)
    unwanted: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def take(self, word: Word) -> Word:
        """Take the next word; return it with ids for names."""
        if word.field == CREATED:
            self._take_time(word)
            return word
        into = self.unwanted if word.excludes else self.wanted
        if word.field in into and not word.excludes:
            raise InvalidInputError(
                f"{word.field}: stands twice; write {word.field}:a,b for either"
            )
        values = [one for value in word.values for one in self._meant(word, value)]
        into.setdefault(word.field, []).extend(values)
        return Word(
            field=word.field,
            values=tuple(dict.fromkeys(values)),
            excludes=word.excludes,
        )

    def _take_time(self, word: Word) -> None:
        if word.excludes or len(word.values) > 1:
            raise InvalidInputError(
                f"created: has one time and no - before it: {EXAMPLES}"
            )
        self.span = self.span.within(span_of(word.values[0], now_ns=self.now_ns))

    def _meant(self, word: Word, value: str) -> Sequence[str]:
        if word.field == "action":
            return (_action(value),)
        if word.field == "result":
            return (_one_of(_RESULTS, value, "result"),)
        if value.endswith(("…", "...")):
            raise InvalidInputError(f"{_shown(value)} is shortened: copy the whole id")
        return self._ids(word.field, value)

    def _ids(self, name: str, value: str) -> Sequence[str]:
        kinds = KINDS[name]
        if value == ME:
            return (self.names.me(),)
        if value == UNKNOWN and name != "object":
            return (UNKNOWN,)
        if _UUID.fullmatch(value):
            own = [kind for kind in kinds if kind not in _NOT_IDS]
            return [f"{kind}:{value.lower()}" for kind in own]
        kind, colon, rest = value.partition(":")
        if colon:
            _require_kind(kind, name)
            return self._of_kind(kind, rest)
        return self._named(value, [one for one in NAMED if one in kinds], NOTHING)

    def _of_kind(self, kind: str, rest: str) -> Sequence[str]:
        if _UUID.fullmatch(rest):
            return (f"{kind}:{rest.lower()}",)
        literal = f"{kind}:{rest}"
        literal = literal if _VISIBLE.fullmatch(literal) else NOTHING
        if kind in NAMED and rest != _NOBODY:
            return self._named(rest, [kind], literal)
        return (literal,)

    def _named(self, name: str, kinds: Sequence[str], otherwise: str) -> Sequence[str]:
        found = self.names.ids(name, kinds)
        if not found:
            self.unknown.append(name)
        return found or (otherwise,)


def _require_kind(kind: str, name: str) -> None:
    if kind in KINDS[name]:
        return
    if kind in KINDS["about"]:
        raise InvalidInputError(f"{kind}: is no {name}; write about:{kind}: and its id")
    close = get_close_matches(kind.lower(), KINDS[name], n=1)
    meant = f"did you mean {close[0]}:?" if close else f"use {_listed(KINDS[name])}"
    raise InvalidInputError(f"{_shown(kind)} is nothing that has ids; {meant}")


def _action(value: str) -> str:
    if any(matches_action(value, action) for action in _ACTIONS):
        return value
    if "*" in value and not value.endswith(PREFIX):
        raise InvalidInputError(
            f"{_shown(value)}: a wildcard ends an action, behind a dot: recording.*"
        )
    wider = f"{value.removesuffix('.')}{PREFIX}"
    if any(matches_action(wider, action) for action in _ACTIONS):
        raise InvalidInputError(f"{_shown(value)} is no action; write action:{wider}")
    return _one_of(_ACTIONS, value, "action")


def _one_of(known: Sequence[str], value: str, what: str) -> str:
    if value in known:
        return value
    close = get_close_matches(value.lower(), known, n=1, cutoff=0.5) or [
        one for one in known if one.endswith(f".{value.lower()}")
    ]
    meant = f"did you mean {close[0]}?" if close else f"like {_listed(known[:3])}"
    raise InvalidInputError(f"{_shown(value)} is no {what}; {meant}")


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: str) -> str:
    return re.sub(_QUOTED, lambda found: re.sub(r"\\(.)", r"\1", found[0][1:-1]), value)


def _shown(text: str) -> str:
    most = 40
    return repr(text if len(text) <= most else text[:most] + "…")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
