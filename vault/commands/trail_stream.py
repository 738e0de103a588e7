"""``audit stream``: how far the SIEM has the trail, and sending a part of it again."""

from typing import Annotated, Final

import typer

from vault import config
from vault.audit.entry import Action, Draft
from vault.auditor.duties import DutyStatus
from vault.auditor.streaming import Streaming
from vault.commands.output import AsJson, failures, note, say, show_json
from vault.core.canonical import JsonValue
from vault.core.clock import rfc3339
from vault.core.errors import ConfigurationError, ConflictError
from vault.serving.borrowed import borrowed_warden, operator
from vault.serving.standing import read_standing
from vault.serving.streaming import places_of
from vault.wiring import Installation

stream = typer.Typer(no_args_is_help=True, help="The trail, streamed to a SIEM.")

_ABSENT: Final = "no auditor is running: nothing is sent"


@stream.command("status")
def status(*, as_json: AsJson = False) -> None:
    """Say how far the receiver has the trail, and what is wrong."""
    with failures():
        installation = _streaming()
        place = places_of(installation).read()
        duty = _duty(installation)
    facts = {} if duty is None else duty.facts
    since_ns = facts.get("since_ns")
    found: dict[str, JsonValue] = {
        "url": str(installation.settings.audit_stream_url),
        "format": installation.settings.audit_stream_format,
        "origin": place.origin,
        "next": place.next,
        "running": duty is not None,
        "working_since": rfc3339(since_ns) if isinstance(since_ns, int) else None,
        "lag_entries": facts.get("lag_entries"),
        "lag_s": facts.get("lag_s"),
        "alarms": facts.get("alarms"),
        "last_reason": facts.get("last_reason") or None,
        "problem": _ABSENT if duty is None else duty.last_error or None,
    }
    if as_json:
        show_json(found)
        return
    for name, value in found.items():
        say(f"{name.replace('_', ' '):14} {_shown(value)}")


@stream.command("rewind")
def rewind(
    *,
    to: Annotated[
        int, typer.Option(min=0, help="Index of the first entry to send again.")
    ],
) -> None:
    """Send the trail again from an entry on; nothing is ever skipped."""
    with failures():
        installation = _streaming()
        places = places_of(installation)
        place = places.read()
        if to > place.next:
            raise ConflictError(
                f"the stream is at entry {place.next}: it goes back, never ahead"
            )
        # On the trail before anything is sent twice.
        with borrowed_warden(installation) as warden:
            warden.append(
                Draft(
                    action=Action.AUDIT_STREAM_REWOUND,
                    caller=operator(),
                    detail={"entry": to},
                )
            )
        places.ask_rewind(to)
    note(f"entries from {to} on are sent again; the stream was at {place.next}")


def _streaming() -> Installation:
    installation = Installation(config.load())
    installation.require_initialised()
    if installation.settings.audit_stream_url is None:
        raise ConfigurationError("nothing is streamed: set audit_stream_url")
    return installation


def _duty(installation: Installation) -> DutyStatus | None:
    standing = read_standing(installation.auditor_status_path)
    if standing is None or not standing.is_alive:
        return None
    found = (duty for duty in standing.duties if duty.name == Streaming.name)
    return next(found, None)


def _shown(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)
