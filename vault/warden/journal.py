"""The warden's log lines, which may be lost and never stop anything.

A log on a disk that is full raises when it is written to.  The audit trail is
what must not be lost; a line about its failure must not kill the thread that is
to tell everybody.

Guarantees: `say` does not raise for what the log's file does.
"""

from contextlib import suppress
from typing import Final, Literal

import structlog

_logger: Final = structlog.get_logger()

Level = Literal["info", "warning", "error"]


def say(level: Level, event: str, **facts: str | int) -> None:
    """Write one line: ids, sizes and class names; never a message from outside."""
    with suppress(OSError):
        getattr(_logger, level)(event, **facts)
