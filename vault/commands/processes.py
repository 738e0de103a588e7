"""``serve``, ``warden``, ``tap``, ``worker``, ``web``, ``auditor``: the processes.

Each loads its own modules when it runs: the warden never has a media library or an
HTTP framework in its memory, and none of them waits for what it does not use.
"""

import signal
from typing import Annotated, Final

import typer

from vault import config, confine, process
from vault.commands.output import failures
from vault.serving import logs
from vault.wiring import Installation

# What strangers can ask for takes no longer: a search is not worth a database.
_ANSWER_S: Final = 5
# How `serve` hands things down; people never type these.
Descriptor = Annotated[int | None, typer.Option(hidden=True)]


def serve() -> None:
    """Run everything on this machine: tap, warden, worker, web and auditor."""
    with process.loading():
        from vault.serving.parent import Serve

    with failures():
        logs.configure("serve")
        settings = config.load()
        Installation(settings).require_initialised()
        parent = Serve(settings)
        parent.start()
        parent.run()


def warden(
    *,
    door: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    listener_fd: Descriptor = None,
    lock_fd: Descriptor = None,
    passphrase_fd: Descriptor = None,
    ready_fd: Descriptor = None,
    quiet: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the warden: it opens envelopes and signs the audit log."""
    with process.loading():
        from vault.serving.warden import serve_warden

    with failures():
        serve_warden(
            _begin("warden", child=ready_fd is not None, quiet=quiet),
            doors_by_role=door or [],
            listener_fd=listener_fd,
            lock_fd=lock_fd,
            passphrase_fd=passphrase_fd,
            ready_fd=ready_fd,
        )


def tap(
    *,
    door_fd: Descriptor = None,
    ready_fd: Descriptor = None,
    store: Annotated[str, typer.Option(hidden=True)] = "",
    kept_fd: Descriptor = None,
    end_at_once: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the tap: fork API, media, sealing, shipping."""
    confine.keep_one_thread()
    with process.loading():
        from vault.serving.tap import serve_tap

    # A parent that was killed is started again and wants the calls as they are.
    at_parents_death = signal.SIGKILL if end_at_once else signal.SIGTERM
    with failures():
        serve_tap(
            _begin(
                "tap", child=ready_fd is not None, at_parents_death=at_parents_death
            ),
            door_fd=door_fd,
            ready_fd=ready_fd,
            store=store,
            kept_fd=kept_fd,
        )


def worker(*, door_fd: Descriptor = None, ready_fd: Descriptor = None) -> None:
    """Run the worker: captures become playable media."""
    confine.keep_one_thread()
    with process.loading():
        from vault.serving.worker import serve_worker

    with failures():
        serve_worker(
            _begin("worker", child=ready_fd is not None),
            door_fd=door_fd,
            ready_fd=ready_fd,
        )


def web(*, door_fd: Descriptor = None, ready_fd: Descriptor = None) -> None:
    """Run pages, API and playback."""
    confine.keep_one_thread()
    with process.loading():
        from vault.serving.web import serve_web

    with failures():
        serve_web(
            _begin("web", child=ready_fd is not None, statement_s=_ANSWER_S),
            door_fd=door_fd,
            ready_fd=ready_fd,
        )


def auditor(*, door_fd: Descriptor = None, ready_fd: Descriptor = None) -> None:
    """Run the auditor: anchors the trail outside, and checks it all the time."""
    confine.keep_one_thread()
    with process.loading():
        from vault.serving.auditor import serve_auditor

    with failures():
        serve_auditor(
            _begin("auditor", child=ready_fd is not None),
            door_fd=door_fd,
            ready_fd=ready_fd,
        )


def _begin(
    name: str,
    *,
    child: bool,
    quiet: bool = False,
    at_parents_death: int = signal.SIGTERM,
    statement_s: float | None = None,
) -> Installation:
    logs.configure(name, quiet=quiet)
    if child:
        # A parent that was killed outright cannot stop its children in order.
        process.die_with_parent(at_parents_death)
    gaps = process.harden()
    logs.say_gaps(gaps)
    return Installation(config.load(), statement_s=statement_s)
