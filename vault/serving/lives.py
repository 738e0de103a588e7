"""Start and stop of each process, on the trail.

A leaf needs the warden, and a process must not: so leaves about processes wait in a
queue of their own until the warden takes them, and say when it happened.

Guarantees:
    * Starting waits for nothing; stopping waits for the last leaves, some seconds.
    * What happened first is written first; beyond `MOST_WAITING` the oldest are lost.
    * A digest tells whether two starts had the same settings.  Settings hold no
      secret, only names of files with secrets.

Left to others: the warden's own two leaves (`vault.warden.server`), noticing that a
child died (`vault.serving.children`).

Spec: docs/reference/audit-events.md
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from vault.audit.entry import Action, Draft, Result
from vault.config import Settings
from vault.core import canonical
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import UnavailableError, VaultError
from vault.core.flow import Actor, ActorKind, Caller
from vault.trust.interfaces import Trail

UNWRITTEN: Final = "lives.unwritten"
MOST_WAITING: Final = 1000
LAST_WORDS_S: Final = 2.5
"How long a process that ends waits for its last leaf; the warden answers within 2 s."

_SOONEST_S, _LATEST_S = 0.2, 10.0
_MOST_FIELDS: Final = 200

_log = structlog.get_logger()


def _nothing() -> None:
    return None


class LateLeaves:
    """Leaves that wait for the warden, on a thread of their own."""

    def __init__(self, trail: Trail, *, clock: Clock = system_clock_ns) -> None:
        self._trail = trail
        self._clock = clock
        self._waiting: deque[tuple[Draft, Callable[[], None]]] = deque(
            maxlen=MOST_WAITING
        )
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(
            target=self._run, name="late-leaves", daemon=True
        )
        self._thread.start()

    def tell(
        self,
        action: Action,
        name: str,
        *,
        result: Result = Result.OK,
        reason: str = "",
        detail: Mapping[str, str | int] | None = None,
        then: Callable[[], None] = _nothing,
    ) -> None:
        """Have it written that something became of the process *name*.

        Args:
            action: What.
            name: Of which process.
            result: How it went.
            reason: Why not, as a slug.
            detail: More.
            then: Called when it is durable.
        """
        draft = Draft(
            action=action,
            caller=Caller(actor=Actor(kind=ActorKind.PROCESS, id=name)),
            result=result,
            reason=reason,
            detail={"process": name, **(detail or {})},
            occurred_ns=self._clock(),
        )
        with self._changed:
            self._waiting.append((draft, then))
            self._changed.notify()

    def close(self, *, within_s: float = LAST_WORDS_S) -> None:
        """Wait until everything is written, *within_s* seconds at most."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(within_s)
        if left := len(self._waiting):
            _log.warning(UNWRITTEN, count=left)

    def _run(self) -> None:
        pause_s = _SOONEST_S
        while (first := self._next()) is not None:
            draft, then = first
            try:
                self._trail.append(draft)
            except UnavailableError:
                with self._changed:
                    self._changed.wait(pause_s)
                pause_s = min(2 * pause_s, _LATEST_S)
                continue
            except VaultError as error:
                # The warden will not have it, now or later: the next one, then.
                _log.error(UNWRITTEN, count=1, problem=type(error).__name__)
            else:
                pause_s = _SOONEST_S
                then()
            with self._changed, suppress(ValueError):
                self._waiting.remove(first)

    def _next(self) -> tuple[Draft, Callable[[], None]] | None:
        with self._changed:
            while not self._waiting:
                if self._ending:
                    return None
                self._changed.wait()
            return self._waiting[0]


@contextmanager
def written_down(trail: Trail, name: str, settings: Settings) -> Iterator[None]:
    """Have start and stop of this process written; enter it when confined.

    Threads that begin before a Landlock domain is entered are not in it.
    """
    leaves = LateLeaves(trail)
    leaves.tell(
        Action.PROCESS_STARTED, name, detail={"settings_sha256": digest_of(settings)}
    )
    try:
        yield
    except BaseException:
        leaves.tell(Action.PROCESS_STOPPED, name, result=Result.FAILED, reason="error")
        raise
    else:
        leaves.tell(Action.PROCESS_STOPPED, name)
    finally:
        leaves.close()


def digest_of(settings: Settings) -> str:
    """Return the SHA-256 of all settings, in hex."""
    members = dict[str, canonical.JsonValue](_digests(settings))
    return hashlib.sha256(canonical.dumps(members)).hexdigest()


def tell_changes(leaves: LateLeaves, settings: Settings, path: Path) -> None:
    """Have it written which settings are others than at the last start.

    Args:
        leaves: Where to.
        settings: Those of now.
        path: Where their digests are kept; the first time there is none.
    """
    now, before = _digests(settings), _kept(path)
    changed = sorted(
        name for name in now.keys() | before.keys() if now.get(name) != before.get(name)
    )
    if not changed:
        return

    def keep() -> None:
        with suppress(OSError):
            path.write_text(json.dumps(now, sort_keys=True))

    if not before:
        keep()
        return
    leaves.tell(
        Action.PROCESS_RECONFIGURED,
        "serve",
        detail={
            "count": len(changed),
            "fields": _listed(changed),
            "settings_sha256": digest_of(settings),
        },
        then=keep,
    )


def _digests(settings: Settings) -> dict[str, str]:
    return {
        name: hashlib.sha256(_text(getattr(settings, name)).encode()).hexdigest()
        for name in type(settings).model_fields
    }


def _text(value: object) -> str:
    # A set has no order that two processes share.
    if isinstance(value, set | frozenset):
        return repr(sorted(map(repr, value)))
    return repr(value)


def _kept(path: Path) -> dict[str, str]:
    try:
        members = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return members if isinstance(members, dict) else {}


def _listed(names: list[str]) -> str:
    """Return names with slashes between them, as many as a detail holds."""
    # Slugs have no underscore.
    text = "/".join(name.replace("_", "-") for name in names)
    return text if len(text) <= _MOST_FIELDS else text[:_MOST_FIELDS].rpartition("/")[0]
