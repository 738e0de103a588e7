"""Sources of people that others wrote: entry points ``callvault.authenticators``.

    [project.entry-points."callvault.authenticators"]
    htpasswd = "callvault_htpasswd:create"        # factory(settings) -> authenticator

A plug-in runs in the web process with all that this process may do: installing one is
as much trust as installing Callvault.  What is guarded against here is its faults.

Guarantees:
    * Nothing is loaded that ``sign_in_order`` does not name; what it names and can't be
      loaded, or is made for another interface, stops the process at start.
    * Whatever a plug-in raises, answers or fails to answer lets nobody in, and its
      words reach no log and no answer: they may quote a password.

Left to others: the order (`vault.access.signin`).

Spec: docs/howto/write-an-authenticator.md
"""

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeVar, cast

from vault.access.authenticators import (
    INTERFACE_VERSION,
    MAX_GROUPS,
    Authenticator,
    Standing,
    Verified,
)
from vault.access.limited import LimitedCalls
from vault.core.errors import (
    ConfigurationError,
    NotAuthenticatedError,
    ThrottledError,
    UnavailableError,
)

GROUP: Final = "callvault.authenticators"
"Entry points that are looked at."

PLUGIN: Final = "plugin:"
"What the name of such a source begins with."

LIMIT_S: Final = 3.0
_STANDING_LIMIT_S: Final = 10.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_METHOD: Final = re.compile(r"[a-z0-9]{2,12}")
_MAX_TEXT: Final = 255
_MAX_GROUP: Final = 2048
_MAX_METHODS: Final = 4

_T = TypeVar("_T")


def is_plugin_name(name: str) -> bool:
    """Tell whether a plug-in can be called *name*."""
    return _NAME.fullmatch(name) is not None


def load_plugin(
    name: str, settings: Mapping[str, object], *, limit_s: float = LIMIT_S
) -> Authenticator:
    """Return the plug-in called *name*, ready to be asked.

    Args:
        name: As ``sign_in_order`` has it, without ``plugin:``.
        settings: Of ``[plugins.NAME]``.
        limit_s: Seconds for one answer.

    Raises:
        ConfigurationError: None or several are installed under that name, it does not
            load, or it is made for another version of the interface.
    """
    found = _entry_point(name)
    try:
        made = found.load()(dict(settings))
    except Exception as exc:  # noqa: BLE001 - whatever others wrote may raise
        raise ConfigurationError(
            f"the plug-in {name} does not start ({type(exc).__name__})"
        ) from None
    version = getattr(made, "interface_version", None)
    if version != INTERFACE_VERSION:
        raise ConfigurationError(
            f"the plug-in {name} is made for version {version!r} of the interface, "
            f"this is {INTERFACE_VERSION}"
        )
    if not callable(getattr(made, "authenticate", None)):
        raise ConfigurationError(f"the plug-in {name} has no authenticate")
    source = _Guarded(PLUGIN + name, cast("Authenticator", made), limit_s)
    if isinstance(made, Standing):
        return _GuardedStanding(PLUGIN + name, cast("Authenticator", made), limit_s)
    return source


def _entry_point(name: str) -> EntryPoint:
    found = tuple(entry_points(group=GROUP, name=name))
    if len(found) != 1:
        raise ConfigurationError(
            f"{len(found) or 'no'} plug-ins are called {name}: install one with the "
            f"entry point {name} in {GROUP}"
        )
    return found[0]


class _Guarded:
    """A plug-in behind what it may not do: last long, raise, or lie about itself."""

    def __init__(self, name: str, inner: Authenticator, limit_s: float) -> None:
        self._name = name
        self._inner = inner
        self._calls = LimitedCalls(name, limit_s=limit_s)

    @property
    def name(self) -> str:
        """The source."""
        return self._name

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Check *password*; see `vault.access.authenticators.Authenticator`."""
        if not password:
            # Nobody's, whatever a plug-in would make of it; not a reason to be faster.
            self._asked(secrets.token_hex(8), "-", origin)
            raise NotAuthenticatedError("no password")
        return self._asked(name, password, origin)

    def _asked(self, name: str, password: str, origin: str) -> Verified | None:
        def ask() -> Verified | None:
            return self._inner.authenticate(name, password, origin)

        found = _translated(self._name, self._calls, ask)
        return None if found is None else self._checked(found)

    def _checked(self, found: object) -> Verified:
        """Return what a plug-in answered, once it has the shape that it must have.

        Raises:
            UnavailableError: It has not: the plug-in is out of order.
        """
        if not isinstance(found, Verified) or not _is_sound(found):
            raise UnavailableError(f"{self._name} answers nonsense")
        return Verified(
            source=self._name,
            external_id=found.external_id,
            name=found.name,
            groups=frozenset(found.groups),
            methods=tuple(found.methods),
        )


class _GuardedStanding(_Guarded):
    """A plug-in that can be asked again."""

    def standing(self, external_ids: frozenset[str]) -> dict[str, Verified]:
        """Return who may still come in; see `vault.access.authenticators.Standing`."""
        inner = cast("Standing", self._inner)

        def ask() -> dict[str, Verified]:
            return dict(inner.standing(external_ids))

        found = _translated(self._name, self._calls, ask, limit_s=_STANDING_LIMIT_S)
        checked = {key: self._checked(one) for key, one in found.items()}
        if any(one.external_id != key for key, one in checked.items()):
            raise UnavailableError(f"{self._name} answers nonsense")
        return {key: checked[key] for key in checked.keys() & external_ids}


def _translated(
    name: str,
    calls: LimitedCalls,
    ask: Callable[[], _T],
    *,
    limit_s: float | None = None,
) -> _T:
    try:
        return calls.run(ask, limit_s=limit_s)
    except NotAuthenticatedError:
        raise NotAuthenticatedError(f"{name} says no") from None
    except ThrottledError as exc:
        raise ThrottledError(
            f"{name} is busy", retry_after_s=exc.retry_after_s
        ) from None
    except Exception as exc:  # noqa: BLE001 - whatever others wrote may raise
        raise UnavailableError(f"{name} failed ({type(exc).__name__})") from None


def _is_sound(found: Verified) -> bool:
    """Tell whether every member has its type and a length."""
    # It comes from others: what the types promise is looked at.
    texts: tuple[object, ...] = (found.external_id, found.name)
    groups: Collection[object] = found.groups
    methods: Collection[object] = found.methods
    return (
        all(isinstance(one, str) and 1 <= len(one) <= _MAX_TEXT for one in texts)
        and len(groups) <= MAX_GROUPS
        and all(isinstance(one, str) and len(one) <= _MAX_GROUP for one in groups)
        and 1 <= len(methods) <= _MAX_METHODS
        and all(isinstance(one, str) and _METHOD.fullmatch(one) for one in methods)
    )
