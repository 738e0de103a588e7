"""Values of this room as JSON and back, by the types that their fields declare.

For frozen dataclasses made of text, numbers, octets, enumerations, other dataclasses
and collections of them: a field that somebody adds is carried without a word here.

Guarantees: `made(kind, plain(value)) == value`; what does not fit its type exactly is
refused, so that nothing is half read.

What callers must know: a secret is shown in what `plain` returns.  It goes to memory
that is locked, and nowhere else (`vault.recorder.resume`).
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast

from vault.core.errors import InvalidInputError
from vault.core.secrets import SecretBytes
from vault.sip.sdp import SessionDescription

T = TypeVar("T")


_writers: Final[dict[type, Callable[[Any], object]]] = {}
"By type, as each is looked up once: a call is written at each of its steps."

_frozen: Final[dict[type, bool]] = {}
"By type, whether it is a frozen dataclass."


def plain(value: object) -> object:
    """Return *value* as lists, objects, text and numbers."""
    kind = type(value)
    write = _writers.get(kind)
    if write is None:
        write = _writers[kind] = _writer(kind)
    return write(value)


def _writer(kind: type) -> Callable[[Any], object]:
    """Return how values of *kind* are written."""
    if dataclasses.is_dataclass(kind) and not issubclass(kind, SessionDescription):
        names = tuple(each.name for each in dataclasses.fields(kind))
        return lambda one: {name: plain(getattr(one, name)) for name in names}
    if issubclass(kind, Mapping):
        return lambda one: {key: plain(each) for key, each in one.items()}
    if issubclass(kind, (tuple, frozenset)):
        return lambda one: [plain(each) for each in one]
    for written, write, _ in _WRITTEN:
        if issubclass(kind, written):
            return write
    return lambda one: one


def is_frozen(value: object) -> bool:
    """Return whether *value* is one that never becomes another."""
    kind = type(value)
    found = _frozen.get(kind)
    if found is None:
        parameters = getattr(kind, "__dataclass_params__", None)
        found = _frozen[kind] = parameters is not None and parameters.frozen
    return found


def made(kind: type[T], said: object) -> T:
    """Return the value of the type *kind* that `plain` made *said* of.

    Raises:
        InvalidInputError: It is not.
    """
    return cast(T, _made(kind, said))


def _made(kind: Any, said: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
        return None if said is None else _made(kind, said)
    try:
        if origin is not None:
            return _collection(origin, typing.get_args(kind), said)
        return _single(kind, said)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidInputError(f"this is no {kind}") from None


def _collection(origin: Any, kinds: tuple[Any, ...], said: Any) -> Any:
    if issubclass(origin, Mapping):
        return {_made(kinds[0], k): _made(kinds[1], v) for k, v in said.items()}
    if not isinstance(said, list):
        raise TypeError
    if origin is tuple and kinds[-1] is not Ellipsis:
        return tuple(_made(k, one) for k, one in zip(kinds, said, strict=True))
    return origin(_made(kinds[0], one) for one in said)


def _single(kind: Any, said: Any) -> Any:
    for written, _, read in _WRITTEN:
        if issubclass(kind, written):
            return read(kind, said)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = [each.name for each in dataclasses.fields(kind)]
        make: Callable[..., object] = kind  # type: ignore[assignment] # a class
        return make(**{name: _made(hints[name], said[name]) for name in names})
    if type(said) is not kind:
        raise TypeError
    return said


_WRITTEN: Final[
    tuple[tuple[type, Callable[[Any], object], Callable[[Any, Any], object]], ...]
] = (
    (Enum, lambda one: one.value, lambda kind, said: kind(said)),
    (
        SecretBytes,
        lambda one: one.reveal().hex(),
        lambda kind, said: kind(bytes.fromhex(said)),
    ),
    (bytes, lambda one: one.hex(), lambda _, said: bytes.fromhex(said)),
    (SessionDescription, str, lambda kind, said: kind.parse(said)),
)
"How what JSON has no name for is written, and read back."
