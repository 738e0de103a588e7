r"""Syslog messages about the trail, octet by octet.

    frame   = MSG-LEN SP SYSLOG-MSG                  MSG-LEN: octets, decimal
    message = <PRI>1 TIMESTAMP HOSTNAME callvault - MSGID [SD] SP MSG

    PRI         13 (log audit) times 8, plus 6 for what went well, 4 for what was
                refused, 3 for what failed, 2 for a trail that contradicts itself
    TIMESTAMP   when it happened, in microseconds: the RFC has room for no more
    MSGID       the action: recording.played
    SD          [callvault@32473 index="7" id="…" origin="…" checkpoint="1200"]

Guarantees:
    * One message is one frame, whatever an entry holds: nothing in it can end the
      frame, the structured data or the header early.
    * MSG begins with a byte order mark exactly where it is not plain ASCII: then it
      is the RFC's MSG-UTF8, which MUST have one, else MSG-ANY, which must not.

Left to others: the line that is MSG (`vault.audit.formats`), sending
(`vault.auditor.syslog_connection`).

Spec: RFC 5424, section 6; RFC 5425, section 4.3.1; RFC 6587, section 3.4.1;
docs/reference/formats/audit-stream.md
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from vault.audit.formats.line import LineFormat
from vault.audit.source import LoggedEntry
from vault.core.canonical import JsonValue, dumps

ALARM_BROKEN: Final = "audit.entry.broken"
ALARM_MISSING: Final = "audit.entry.missing"
CHECKPOINT: Final = "audit.checkpoint"
"What messages that are no entries are called."

DOCUMENTATION_ENTERPRISE: Final = 32473
"The number that RFC 5612 keeps for examples: whoever has one of their own sets it."

_FACILITY: Final = 13
_NIL: Final = "-"
_APP_NAME: Final = "callvault"
_BOM: Final = b"\xef\xbb\xbf"
_MAX_HOSTNAME: Final = 255
_MAX_MSGID: Final = 32
_MAX_VALUE: Final = 1024
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED: Final = re.compile(r'["\\\]]')
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:(\.\d{1,6})\d{0,3})?Z", re.ASCII
)


@unique
class Severity(IntEnum):
    """How bad it is.

    Spec: RFC 5424, section 6.2.1, table 2
    """

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    INFORMATIONAL = 6


_SEVERITIES: Final[Mapping[str, Severity]] = {
    "ok": Severity.INFORMATIONAL,
    "refused": Severity.WARNING,
    "failed": Severity.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogConfig:
    """What is the same in every message of one stream."""

    format: LineFormat
    hostname: str = _NIL
    enterprise: int = DOCUMENTATION_ENTERPRISE
    "Behind the @ of the structured data's name: a private enterprise number."

    def __post_init__(self) -> None:
        shown = _NOT_PRINTABLE.sub("", self.hostname)[:_MAX_HOSTNAME]
        object.__setattr__(self, "hostname", shown or _NIL)


def own_hostname() -> str:
    """Return the name of this machine, without asking a name server for it."""
    return socket.gethostname()


def entry_frame(
    entry: LoggedEntry, *, origin: str, checkpoint: int, config: SyslogConfig
) -> bytes:
    """Return the frame about one entry.

    Args:
        entry: Which.
        origin: Name of the log.
        checkpoint: Size of a signed checkpoint that covers it.
        config: Of the stream.
    """
    members = entry.entry.members
    return _frame(
        severity=_SEVERITIES.get(str(members.get("result")), Severity.WARNING),
        time=str(members.get("time", "")),
        msgid=str(members.get("action", "")),
        params={
            "index": entry.index,
            "id": str(members.get("id", "")),
            "origin": origin,
            "checkpoint": checkpoint,
        },
        text=config.format.line(entry, origin=origin),
        config=config,
    )


def alarm_frame(
    msgid: str, first: int, last: int, *, time: str, origin: str, config: SyslogConfig
) -> bytes:
    """Return the frame that says: these entries are not what was logged, or gone.

    Args:
        msgid: `ALARM_BROKEN` or `ALARM_MISSING`.
        first: Index of the first of them.
        last: Index of the last of them.
        time: Of this message, RFC 3339.
        origin: Name of the log.
        config: Of the stream.
    """
    params: dict[str, str | int] = {"index": first, "last": last, "origin": origin}
    return _frame(
        severity=Severity.CRITICAL,
        time=time,
        msgid=msgid,
        params=params,
        text=_json({"event": msgid, **params}),
        config=config,
    )


def checkpoint_frame(
    note: str, *, size: int, time: str, origin: str, config: SyslogConfig
) -> bytes:
    """Return the frame that carries a signed checkpoint (*note*)."""
    return _frame(
        severity=Severity.INFORMATIONAL,
        time=time,
        msgid=CHECKPOINT,
        params={"origin": origin, "checkpoint": size},
        text=_json({"event": CHECKPOINT, "note": note, "origin": origin, "size": size}),
        config=config,
    )


def timestamp(time: str) -> str:
    """Return the TIMESTAMP for an RFC 3339 *time*; the nil value where it is none.

    Spec: RFC 5424, section 6.2.3: at most six digits of a second's fraction
    """
    match = _TIME.fullmatch(time)
    return _NIL if match is None else f"{match[1]}{match[2] or ''}Z"


def param_value(value: str) -> str:
    """Return *value* as it stands between the quotes of a PARAM-VALUE.

    Spec: RFC 5424, section 6.3.3
    """
    # Controls are allowed, and break receivers that split by lines.
    clean = _CONTROLS.sub(" ", value[:_MAX_VALUE])
    return _ESCAPED.sub(r"\\\g<0>", clean)


def _frame(
    *,
    severity: Severity,
    time: str,
    msgid: str,
    params: Mapping[str, str | int],
    text: str,
    config: SyslogConfig,
) -> bytes:
    named = _NOT_PRINTABLE.sub("", msgid)[:_MAX_MSGID] or _NIL
    shown = "".join(
        f' {name}="{param_value(str(value))}"' for name, value in params.items()
    )
    head = (
        f"<{_FACILITY * 8 + severity}>1 {timestamp(time)} {config.hostname} "
        f"{_APP_NAME} {_NIL} {named} [{_APP_NAME}@{config.enterprise}{shown}] "
    )
    octets = text.encode("utf-8", "replace")
    mark = b"" if text.isascii() else _BOM
    message = head.encode("utf-8", "replace") + mark + octets
    return b"%d %b" % (len(message), message)


def _json(members: Mapping[str, JsonValue]) -> str:
    return dumps(members).decode()
