"""How a command comes by the installation: to look at it, or to change something.

Guarantees: what fails is one line and status 1; a change is signed for as the user of
the operating system who typed it.

Left to others: what is shown and changed (the commands), where the leaf goes
(`vault.warden`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from vault import config
from vault.audit.entry import Action, Detail, Draft
from vault.commands.output import failures
from vault.serving.borrowed import borrowed_warden, operator
from vault.trust.client import WardenClient
from vault.wiring import Installation


@contextmanager
def looking() -> Iterator[Installation]:
    """Yield the installation, to read what lies in the open."""
    with failures():
        installation = Installation(config.load())
        installation.require_initialised()
        yield installation


@contextmanager
def trusted() -> Iterator[tuple[Installation, WardenClient]]:
    """Yield the installation and a warden, which a change is told to."""
    with failures():
        installation = Installation(config.load())
        with borrowed_warden(installation) as warden:
            yield installation, warden


def draft(
    action: Action, text: Mapping[str, str] | None = None, /, **detail: str | int
) -> Draft:
    """Return what the trail is told: *detail* readable, *text* sealed beside it."""
    shown: Detail = detail
    return Draft(action=action, caller=operator(), detail=shown, text=text or {})
