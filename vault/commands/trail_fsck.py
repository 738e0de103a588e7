"""``audit fsck``: the whole log made anew from its rows, and compared with everything.

Guarantees: nothing is written, and no key is opened; the first thing that is wrong is
named, with what it means; exit status 1 if there is any.

Left to others: the walk (`vault.audit.fsck`), the store (`vault.auditor.anchor_check`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.progress import Progress

from vault import config
from vault.audit import mark as marks
from vault.audit.checkpoint import Verifier
from vault.audit.findings import Finding, Watcher
from vault.audit.fsck import Fsck
from vault.audit.mark_check import MarkCheck
from vault.auditor.anchor_check import AnchorCheck
from vault.commands.output import ERR, AsJson, failures, note, say, show_json
from vault.core.errors import AuditUnavailableError, TrailBrokenError
from vault.serving.anchoring import stamp_check
from vault.wiring import Installation

_WRONG: Final = 1


def fsck(
    *,
    store: Annotated[
        bool, typer.Option(help="Compare with what was published, too.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Re-derive the whole log: rows, tree, signatures, mark, and what was published."""
    with failures():
        installation = Installation(config.load())
        verifier = Verifier.parse(installation.verifier_key())
        found: list[Finding] = []
        mark, unread = _mark(installation, found)
        anchors = _anchors(installation, verifier, found) if store else None
        watchers = [one for one in (mark, anchors) if one is not None]
        walk = _walk(installation, verifier, watchers)
        found += walk.findings
        if not any(one.what in {"missing", "entry", "root"} for one in found):
            found += [] if mark is None else mark.end(walk.size)
            found += [] if anchors is None else anchors.end(walk.size)
    figures = {
        "checkpoints": walk.checkpoints,
        "entries": walk.size,
        "erased_texts": walk.erased,
        "kept_checkpoints": anchors.checkpoints if anchors else 0,
        "published_entries": anchors.published if anchors else 0,
        "tiles": anchors.tiles if anchors else 0,
    }
    _show(found, figures, walk.gaps, unread=unread, as_json=as_json)
    if found:
        raise typer.Exit(_WRONG)


class _Walked:
    """What the walk has found, and its figures."""

    def __init__(self, walk: Fsck, findings: list[Finding]) -> None:
        self.findings = findings
        self.size, self.checkpoints, self.erased = (
            walk.size,
            walk.checkpoints,
            walk.erased,
        )
        self.gaps = walk.gaps()


def _walk(
    installation: Installation, verifier: Verifier, watchers: Sequence[Watcher]
) -> _Walked:
    with Progress(console=ERR, transient=True) as bar:
        task = bar.add_task("Checking", total=None)
        walk = Fsck(
            installation.databases.open("audit", read_only=True),
            verifier,
            watchers=watchers,
            progress=lambda done, whole: bar.update(task, completed=done, total=whole),
        )
        return _Walked(walk, walk.run())


def _mark(
    installation: Installation, found: list[Finding]
) -> tuple[MarkCheck | None, str]:
    try:
        mark = marks.read(installation.folder / "keys" / "log-mark.json")
    except TrailBrokenError as exc:
        found.append(Finding(what="mark", text=str(exc)))
        return None, ""
    except AuditUnavailableError as exc:
        return None, str(exc)
    if mark is None:
        return None, "there is no high-water mark here"
    return MarkCheck(mark), ""


def _anchors(
    installation: Installation, verifier: Verifier, found: list[Finding]
) -> AnchorCheck:
    check = AnchorCheck(
        installation.stores.trail, verifier, stamps=stamp_check(installation)
    )
    if (first := check.begin()) is not None:
        found.append(first)
    return check


def _show(
    found: Sequence[Finding],
    figures: Mapping[str, int],
    gaps: Mapping[str, int],
    *,
    unread: str,
    as_json: bool,
) -> None:
    if as_json:
        show_json(
            {
                **figures,
                "findings": [
                    {"entry": one.entry, "text": one.text, "what": one.what}
                    for one in found
                ],
                "gaps": dict(gaps),
                "result": "broken" if found else "ok",
            }
        )
        return
    for line in _lines(found, figures):
        say(line)
    if unread:
        note(f"the high-water mark was not compared: {unread}")
    for source, missing in sorted(gaps.items()):
        note(f"{missing} entries of {source} are not here (yet): look at its outbox")


def _lines(found: Sequence[Finding], figures: Mapping[str, int]) -> Iterator[str]:
    counted = f"{figures['entries']} entries, {figures['checkpoints']} checkpoints"
    if figures["published_entries"]:
        counted += (
            f"; {figures['tiles']} tiles and {figures['kept_checkpoints']} checkpoints "
            f"in the store, up to {figures['published_entries']} entries"
        )
    if not found:
        yield f"OK: {counted}"
        return
    yield f"BROKEN: {found[0].text}"
    for one in found[1:]:
        yield f"also: {one.text}"
    yield f"Looked at: {counted}"
