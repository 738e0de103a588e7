"""``audit succeed``: going on after a restore, and saying for good what is lost.

Guarantees: the keys are opened only where no warden runs; what is lost is printed
before anything is written; the reason is sealed beside the log.

Left to others: what may be succeeded (`vault.audit.succession`).

Spec: docs/adr/0026-successor-logs.md
"""

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer

from vault import config, process
from vault.audit.checkpoint import Checkpoint
from vault.audit.succession import Loss
from vault.audit.verify import checkpoint_in
from vault.commands.output import AsJson, failures, note, say, show_json
from vault.commands.second_person import Reason, ReasonStdin, reason_of
from vault.core.clock import system_clock_ns
from vault.core.errors import InvalidInputError
from vault.serving.borrowed import operator
from vault.warden.leaves import LeafMaker, text_key
from vault.warden.main import WardenLock
from vault.wiring import Installation


def succeed(
    reason: Reason = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A newer checkpoint, or export, than the mark beside the keys."
        ),
    ] = None,
    *,
    reason_stdin: ReasonStdin = False,
    as_json: AsJson = False,
) -> None:
    """Begin a successor of a log whose database was restored from a backup."""
    with failures():
        said = _said(reason, reason_stdin=reason_stdin)
        anchored = None if checkpoint is None else _anchored(checkpoint)
        process.harden()
        installation = Installation(config.load())
        installation.require_initialised()
        # The warden's own lock: nobody else has the keys, or begins to.
        with WardenLock(installation.warden_lock):
            installation.databases.settle()
            keyring = installation.unlock(config.passphrase(installation.settings))
            keeping = installation.log_keeping(keyring)
            leaves = LeafMaker(
                text_key=text_key(keyring.index_key), clock=system_clock_ns
            )
            with keeping.succession(installation.audit, anchored) as found:
                _tell(found.loss)
                draft = found.loss.draft(operator(), said or _asked())
                leaf = leaves.leaf(draft, via="cli")
                begun = found.commit(leaf.entry, leaf.texts)
            keeping.publish(begun.origin)
    _show(found.loss, begun, installation.verifier_key(), as_json=as_json)


def _said(reason: str, *, reason_stdin: bool) -> str:
    """Return the reason that was given; empty where a person can be asked for it."""
    if not reason and not reason_stdin and sys.stdin.isatty():
        return ""
    return reason_of(reason, reason_stdin=reason_stdin)


def _asked() -> str:
    return reason_of(str(typer.prompt("Why", err=True)), reason_stdin=False)


def _anchored(path: Path) -> str:
    try:
        return checkpoint_in(path)
    except OSError as exc:
        raise InvalidInputError(f"{path}: {exc.strerror or exc}") from None


def _tell(loss: Loss) -> None:
    signed, restored = loss.signed, loss.restored
    note(
        f"{restored.origin}: the database has {restored.size} entries. "
        f"Signed were {signed.size}, as {signed.origin}."
    )
    if loss.lost:
        last = loss.lost.stop - 1
        note(f"Entries {loss.lost.start} to {last} were signed and are gone.")
    note(f"Their last checkpoint, kept beside the keys:\n{loss.note.rstrip()}")


def _show(loss: Loss, begun: Checkpoint, vkey: str, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "origin": begun.origin,
                "predecessor": loss.signed.origin,
                "restored_size": loss.restored.size,
                "root": base64.b64encode(begun.root).decode(),
                "signed_size": loss.signed.size,
                "size": begun.size,
                "verifier_key": vkey,
            }
        )
        return
    say(f"{begun.origin} goes on at {begun.size} entries. Its verifier key:")
    say(vkey)
    note("Give it to the officers, with the checkpoint above.")
