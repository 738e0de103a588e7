r"""IBM's Log Event Extended Format 2.0, with the tab between attributes.

    LEEF:2.0|Callvault|Callvault|VERSION|ACTION|x09|key=value<TAB>key=value …

LEEF has no way to escape.  What would end a line, an attribute or a header field is
therefore written with a backslash (``\t``, ``\r``, ``\n``, and ``\\`` for one), and
in the event's name as ``_``: readers show it as it is, and nothing is split where it
must not be.

Guarantees: keys are the ones below, never one from an entry.

Spec: IBM QRadar Log Event Extended Format, version 2;
docs/reference/formats/audit-lines.md
"""

import re
from ipaddress import ip_address
from typing import Final

from vault import __version__
from vault.audit.formats.line import (
    BLANKS,
    PRODUCT,
    TENTHS,
    VENDOR,
    Facts,
    epoch_ms,
    severity_of,
)
from vault.audit.source import LoggedEntry

_VALUE: Final = {
    **BLANKS,
    **str.maketrans({"\\": "\\\\", "\t": "\\t", "\r": "\\r", "\n": "\\n"}),
}
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_TAB: Final = "\t"


class Leef:
    """One event per entry."""

    name = "leef"
    media_type = "text/plain; charset=utf-8"
    suffix = ".leef"
    newline = "\n"

    def header(self) -> str | None:
        """See `LineFormat`."""
        return None

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """See `LineFormat`."""
        facts = Facts.of(entry)
        event = _NOT_IN_A_NAME.sub("_", facts.action)
        return f"LEEF:2.0|{VENDOR}|{PRODUCT}|{__version__}|{event}|x09|" + _TAB.join(
            f"{key}={value.translate(_VALUE)}"
            for key, value in _attributes(facts, origin).items()
            if value
        )


def _attributes(facts: Facts, origin: str) -> dict[str, str]:
    return {
        "devTime": str(epoch_ms(facts.time)),
        "cat": facts.action.partition(".")[0],
        "sev": str(TENTHS[severity_of(facts.action, facts.result)]),
        "usrName": facts.actor,
        _source_key(facts.origin): facts.origin,
        "action": facts.action,
        "result": facts.result,
        "recording": facts.recording,
        "right": facts.right,
        "reason": facts.reason,
        "session": facts.session,
        "via": facts.via,
        "detail": facts.detail,
        "text": facts.text,
        "trail": origin,
        "index": str(facts.index),
        "id": facts.id,
        "source": facts.source,
        "seq": facts.seq,
        "occurred": facts.occurred,
    }


def _source_key(origin: str) -> str:
    try:
        ip_address(origin)
    except ValueError:
        return "srcName"
    return "src"
