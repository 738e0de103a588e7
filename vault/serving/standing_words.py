"""How the auditor stands, in words: for readiness, ``doctor`` and the trail's page.

Guarantees: the worst comes first; a store that does not lock is named as one.

Left to others: the figures (`vault.serving.auditor_metrics`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vault.auditor.duties import DutyStatus
from vault.core.canonical import JsonValue
from vault.serving.standing import AuditorStanding, read_standing
from vault.web.anchors import AnchorLine, Tone


def word_of(path: Path) -> str:
    """Return how the auditor at *path* stands: ``ok``, or what is wrong."""
    standing = read_standing(path)
    if standing is None or not standing.is_alive:
        return "not running"
    return "; ".join(standing.problems) or "ok"


def lines_of(path: Path) -> tuple[AnchorLine, ...]:
    """Return what is known of the trail's anchors, the worst first."""
    standing = read_standing(path)
    if standing is None or not standing.is_alive:
        text = "No auditor runs: nothing is published, and nobody looks."
        return (AnchorLine(tone=Tone.WARN, text=text),)
    order = (Tone.BAD, Tone.WARN, Tone.OK)
    return tuple(sorted(_lines(standing), key=lambda one: order.index(one.tone)))


def _lines(standing: AuditorStanding) -> Iterator[AnchorLine]:
    for duty in standing.duties:
        if duty.last_error:
            tone = Tone.BAD if duty.contradicted else Tone.WARN
            yield AnchorLine(tone=tone, text=f"{_title(duty)}: {duty.last_error}")
        if isinstance(warning := duty.facts.get("warning"), str) and warning:
            yield AnchorLine(tone=Tone.WARN, text=f"{warning[0].upper()}{warning[1:]}.")
        if said := _said(duty):
            yield AnchorLine(tone=Tone.OK, text=said)


def _title(duty: DutyStatus) -> str:
    return duty.name.capitalize()


def _said(duty: DutyStatus) -> str:
    when = _when(duty.last_success_ns)
    if not when:
        return ""
    match duty.name, duty.facts:
        case "publishing", {"size": int(size), "locks": bool(locks)}:
            days = _count(duty.facts.get("lock_days"))
            how = f", locked for {days} days" if locks else ""
            return f"{size:,} entries are published in the object store{how} ({when})."
        case "monitoring", {"seen": int(seen)}:
            return f"{seen:,} entries were checked ({when})."
        case "stamping", {"stamped_size": int(size)} if size:
            return f"The checkpoint of {size:,} entries bears a time stamp ({when})."
        case "witnessing", {"cosigned_size": int(size)} if size:
            return f"Witnesses cosigned {size:,} entries ({when})."
    return ""


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _when(time_ns: int | None) -> str:
    if time_ns is None:
        return ""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
