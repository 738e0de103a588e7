r"""ArcSight Common Event Format, version 0: the one that every collector reads.

    CEF:0|Callvault|Callvault|VERSION|ACTION|NAME|SEVERITY|key=value key=value …

Guarantees: in the header ``\`` and ``|`` are escaped, in the extension ``\``, ``=``
and line ends; keys are those of the extension dictionary, never one from an entry.

Spec: ArcSight Common Event Format (implementation standard, revision 23 and later);
docs/reference/formats/audit-lines.md
"""

from ipaddress import IPv6Address, ip_address
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
    title_of,
)
from vault.audit.source import LoggedEntry

_HEADER: Final = {**BLANKS, **str.maketrans({"\\": "\\\\", "|": "\\|"})}
_VALUE: Final = {
    **BLANKS,
    **str.maketrans({"\\": "\\\\", "=": "\\=", "\r": "\\r", "\n": "\\n"}),
}


class Cef:
    """One event per entry."""

    name = "cef"
    media_type = "text/plain; charset=utf-8"
    suffix = ".cef"
    newline = "\n"

    def header(self) -> str | None:
        """See `LineFormat`."""
        return None

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """See `LineFormat`."""
        facts = Facts.of(entry)
        head = (
            VENDOR,
            PRODUCT,
            __version__,
            facts.action,
            title_of(facts.action),
            str(TENTHS[severity_of(facts.action, facts.result)]),
        )
        return (
            "CEF:0|"
            + "".join(one.translate(_HEADER) + "|" for one in head)
            + " ".join(
                f"{key}={value.translate(_VALUE)}"
                for key, value in _extension(facts, origin)
                if value
            )
        )


def _extension(facts: Facts, origin: str) -> list[tuple[str, str]]:
    pairs = [
        ("rt", str(epoch_ms(facts.time))),
        ("act", facts.action),
        ("outcome", facts.result),
        ("suid", facts.actor),
        *_address(facts.origin),
        ("externalId", facts.id),
        ("reason", facts.reason),
        ("sproc", facts.via),
        ("deviceFacility", origin),
        ("deviceExternalId", facts.source),
        ("cn1Label", "index"),
        ("cn1", str(facts.index)),
    ]
    if facts.seq:
        pairs += [("cn2Label", "seq"), ("cn2", facts.seq)]
    if facts.occurred:
        pairs.append(("start", str(epoch_ms(facts.occurred))))
    labelled = {
        "recording": facts.recording,
        "right": facts.right,
        "session": facts.session,
        "detail": facts.detail,
        "text": facts.text,
    }
    for number, (label, value) in enumerate(labelled.items(), 1):
        if value:
            pairs += [(f"cs{number}Label", label), (f"cs{number}", value)]
    return pairs


def _address(origin: str) -> list[tuple[str, str]]:
    try:
        address = ip_address(origin)
    except ValueError:
        # A path of a socket, a name: not what the key is for.
        return [("shost", origin)]
    if isinstance(address, IPv6Address):
        return [("c6a2Label", "Source IPv6 Address"), ("c6a2", str(address))]
    return [("src", str(address))]
