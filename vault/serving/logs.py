"""Logs: one line per event, on standard error, without anybody's secrets.

Guarantees: a value under a name that smells of a secret is replaced; control
characters and line breaks cannot forge a second line; nothing is written to disk.

Left to others: the audit trail.  Logs may be lost; the trail may not.
"""

import io
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

NOT_HARDENED: Final = "process.not-hardened"

_SECRET: Final = re.compile(
    r"pass|secret|token|authori[sz]ation|cookie|inline|\bkey\b|dek|otp", re.IGNORECASE
)
_CONTROL: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def configure(process: str, *, quiet: bool = False) -> None:
    """Send this process's log lines to standard error, as JSON or for people.

    Args:
        process: Its name, on every line.
        quiet: Warnings and errors only: for commands, which speak for themselves.
    """
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _of(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_secrets,
            structlog.dev.ConsoleRenderer(colors=True)
            if person
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=structlog.WriteLoggerFactory(
            file=cast("TextIO", _Lossy(sys.stderr))
        ),
    )
    # Libraries that use the standard module speak only when something is wrong.
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format='{"level":"%(levelname)s","event":"library","logger":"%(name)s"}',
        force=True,
    )


class _Lossy(io.TextIOBase):
    """A stream that drops what cannot be written.

    Standard error may be a file on a full disk.  A log line that raises there would
    end threads whose work does not depend on it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write *text*, or lose it."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose what is buffered."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _of(process: str) -> Processor:
    # No context variable: threads that are started later would not have it.
    def add(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        return {"process": process, **event}

    return add


def _without_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    for name, value in event.items():
        if name != "event" and _SECRET.search(name):
            event[name] = "[hidden]"
        elif isinstance(value, str) and name != "exception":
            event[name] = _CONTROL.sub("�", value)
    return event


def say_gaps(gaps: Sequence[str]) -> None:
    """Log what of the hardening could not be had."""
    for gap in gaps:
        structlog.get_logger().warning(NOT_HARDENED, gap=gap)
