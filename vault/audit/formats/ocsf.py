"""Open Cybersecurity Schema Framework, pinned to version 1.5.0: one JSON object a line.

Which class an action is of stands in `vault.audit.formats.ocsf_classes`.  What OCSF has
no attribute for goes into ``unmapped``; no profile and no extension is used.

Guarantees: class, category, activity and type agree; every attribute that the class
requires is there, whatever the entry lacks.

Spec: OCSF 1.5.0; docs/reference/formats/audit-lines.md
"""

from ipaddress import ip_address
from typing import Final

from vault import __version__
from vault.audit.formats.line import (
    PRODUCT,
    VENDOR,
    Facts,
    epoch_ms,
    severity_of,
    title_of,
)
from vault.audit.formats.ocsf_classes import (
    ACCOUNT,
    API,
    AUTHENTICATION,
    DATASTORE,
    ENTITY,
    LIFECYCLE,
    OTHER,
    PRIVILEGES,
    activity_of,
    class_of,
)
from vault.audit.source import LoggedEntry
from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue

OCSF_VERSION: Final = "1.5.0"

_STATUS: Final = {
    "ok": (1, "Success"),
    "refused": (2, "Failure"),
    "failed": (2, "Failure"),
}
_PRODUCT: Final[JsonObject] = {
    "name": PRODUCT,
    "vendor_name": VENDOR,
    "version": __version__,
}
_USER, _SYSTEM, _OTHER_TYPE = 1, 3, 99
_UNMAPPED: Final = ("action", "reason", "recording", "result", "right", "seq", "source")


class Ocsf:
    """One event per entry."""

    name = "ocsf"
    media_type = "application/jsonl"
    suffix = ".ocsf.jsonl"
    newline = "\n"

    def header(self) -> str | None:
        """See `LineFormat`."""
        return None

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """See `LineFormat`."""
        facts = Facts.of(entry)
        members = entry.entry.members
        detail = members.get("detail")
        said = dict(detail) if isinstance(detail, dict) else {}
        kind = class_of(facts.action, said)
        activity = activity_of(kind, facts.action)
        severity = severity_of(facts.action, facts.result)
        status_id, status = _STATUS.get(facts.result, (0, "Unknown"))
        event: JsonObject = {
            "activity_id": activity,
            "category_uid": kind // 1000,
            "class_uid": kind,
            "message": title_of(facts.action),
            "metadata": _metadata(facts, origin),
            "severity": severity.name.capitalize(),
            "severity_id": int(severity),
            "status": status,
            "status_id": status_id,
            "time": epoch_ms(facts.time),
            "type_uid": kind * 100 + activity,
            "unmapped": _unmapped(facts, members.get("text"), said),
            **_of_class(kind, facts, said),
        }
        if activity == OTHER:
            event["activity_name"] = title_of(facts.action)
        if facts.reason:
            event["status_detail"] = facts.reason
        return canonical.dumps(event).decode()


def _metadata(facts: Facts, origin: str) -> JsonObject:
    return {
        "event_code": facts.action,
        "log_name": origin,
        "original_time": facts.time,
        "product": _PRODUCT,
        "sequence": facts.index,
        "uid": facts.id,
        "version": OCSF_VERSION,
    }


def _unmapped(facts: Facts, text: JsonValue, said: JsonObject) -> JsonObject:
    found: JsonObject = {
        name: value for name in _UNMAPPED if (value := getattr(facts, name))
    }
    if facts.occurred:
        found["occurred"] = facts.occurred
    if said:
        found["detail"] = said
    if text is not None:
        found["text"] = text
    return found


def _of_class(kind: int, facts: Facts, said: JsonObject) -> JsonObject:
    if kind == LIFECYCLE:
        name = str(said.get("process") or facts.actor or PRODUCT)
        return {"app": {**_PRODUCT, "name": name}}
    found: JsonObject = {"actor": _actor(facts), "src_endpoint": _endpoint(facts)}
    if kind == AUTHENTICATION:
        found["user"] = _user(_whose(facts, said))
        found["service"] = {"name": PRODUCT}
    elif kind == ACCOUNT:
        found["user"] = _user(_whose(facts, said))
    elif kind == PRIVILEGES:
        found["user"] = _user(str(said.get("holder")))
        found["privileges"] = [str(said.get("permission") or "unknown")]
    elif kind == ENTITY:
        found["entity"] = _entity(facts.action, said)
    elif kind == API:
        found["api"] = {"operation": facts.right or facts.action}
    elif kind == DATASTORE:
        found["databucket"] = {
            "name": facts.recording or facts.action.partition(".")[0] or PRODUCT,
            "type": "Callvault",
            "type_id": 99,
        }
    return found


def _actor(facts: Facts) -> JsonObject:
    found: JsonObject = {"app_name": facts.via or PRODUCT, "user": _user(facts.actor)}
    if facts.session:
        found["session"] = {"uid": facts.session}
    return found


def _whose(facts: Facts, said: JsonObject) -> str:
    user = said.get("user")
    return f"user:{user}" if isinstance(user, str) else facts.actor


def _user(actor: str) -> JsonObject:
    kind = actor.partition(":")[0]
    type_id = {"user": _USER, "os": _SYSTEM, "process": _SYSTEM}.get(kind, _OTHER_TYPE)
    found: JsonObject = {"type_id": type_id, "uid": actor or "unknown"}
    if type_id == _OTHER_TYPE:
        found["type"] = kind or "unknown"
    return found


def _endpoint(facts: Facts) -> JsonObject:
    try:
        return {"ip": str(ip_address(facts.origin))}
    except ValueError:
        # Something inside the vault: known by its process, not by an address.
        return {"name": facts.origin or facts.via or "unknown"}


def _entity(action: str, said: JsonObject) -> JsonObject:
    """Return what an action changed: ``access.device.added`` → the device."""
    room, _, rest = action.partition(".")
    kind = rest.rpartition(".")[0] or room
    name = {"right": "given", "kek": "kid", "emergency": "user"}.get(kind, kind)
    uid = said.get(name)
    found: JsonObject = {"name": kind or "unknown", "type": kind or "unknown"}
    if isinstance(uid, str | int):
        found["uid"] = str(uid)
    return found
