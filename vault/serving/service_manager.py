"""What systemd tells this process, or whoever acts like it.

Guarantees: it is read once and is gone from the environment then, so that no child
takes it for its own.

Left to others: settings (`vault.config`), what is done with the descriptors
(`vault.serving.descriptors`).

Spec: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)
"""

import os
from dataclasses import dataclass
from typing import Final

_FROM_SERVICE_MANAGER: Final = (
    "NOTIFY_SOCKET",
    "FDSTORE",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)
_FIRST_DESCRIPTOR: Final = 3
_MOST_DESCRIPTORS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """What systemd, or whoever acts like it, has told this process."""

    notify: str = ""
    "Where it listens: a path, or ``@`` and an abstract name; empty for nowhere."

    keeps: int = 0
    "Descriptors it would keep, as far as it says; systemd before 254 does not say."

    watchdog_s: float | None = None
    "It expects a sign of life within each such time."

    descriptors: tuple[int, ...] = ()
    "What it hands over, from 3 on; the receiver owns them."

    names: tuple[str, ...] = ()
    "One for each descriptor."


def service_manager() -> ServiceManager:
    """Return what the service manager says, and take it out of the environment.

    A second call returns nothing, and neither do children inherit it: what is meant
    for this process must not be taken for theirs.
    """
    told = {name: os.environ.pop(name, "") for name in _FROM_SERVICE_MANAGER}
    own = str(os.getpid())
    count, names = 0, list[str]()
    if told["LISTEN_PID"] == own:
        count = min(_number(told["LISTEN_FDS"]), _MOST_DESCRIPTORS)
        names = told["LISTEN_FDNAMES"].split(":")
    if len(names) != count:
        names = ["unknown"] * count
    watchdog_us = 0
    if told["WATCHDOG_PID"] in ("", own):
        watchdog_us = _number(told["WATCHDOG_USEC"])
    notify = told["NOTIFY_SOCKET"] if told["NOTIFY_SOCKET"][:1] in ("/", "@") else ""
    keeps = _number(told["FDSTORE"]) if told["FDSTORE"] else _MOST_DESCRIPTORS
    return ServiceManager(
        notify=notify,
        keeps=keeps if notify else 0,
        watchdog_s=watchdog_us / 1e6 if watchdog_us and notify else None,
        descriptors=tuple(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count)),
        names=tuple(names),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0  # noqa: PLR2004 - digits of 2**63
