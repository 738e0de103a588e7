"""The auditor as a process: it looks after the trail, and holds no key (ADR 23).

Guarantees: it opens nothing, signs nothing and can write nothing but leaves about
what it found; it yields the processor to everybody else; nothing waits for it.

Left to others: what its duties are (`vault.auditor`).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from vault.auditor.duties import Duties, Duty
from vault.serving import logs
from vault.serving.anchoring import anchoring_duties
from vault.serving.children import say_ready
from vault.serving.domains import enter_domain
from vault.serving.lives import written_down
from vault.serving.standing import EVERY_S, write_standing
from vault.serving.stopping import StopRequest
from vault.serving.streaming import streaming_of
from vault.serving.witnessing import witnessing_of
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden
from vault.wiring import Installation

NOT_WRITTEN: Final = "auditor.status.not-written"
_NICENESS: Final = 15
_STOP_S: Final = 3.0

log = structlog.get_logger()


def serve_auditor(
    installation: Installation, *, door_fd: int | None, ready_fd: int | None
) -> None:
    """Look after the trail until SIGTERM.

    Raises:
        ConfigurationError: No installation, or a contradiction in settings.
    """
    installation.require("keys/log.vkey")
    with suppress(OSError):
        os.nice(_NICENESS)
    with installation.warden_client(door_fd) as warden:
        # Keys, certificates and credentials are read before the domain is entered.
        duties = Duties(duties_of_auditor(installation, warden))
        logs.say_gaps(enter_domain("auditor", installation))
        stop = StopRequest()
        with written_down(warden, "auditor", installation.settings):
            duties.start()
            say_ready(ready_fd)
            while True:
                _tell(installation.auditor_status_path, duties)
                if stop.wait(EVERY_S):
                    break
            duties.stop(within_s=_STOP_S)


def duties_of_auditor(
    installation: Installation, warden: WardenClient
) -> tuple[Duty, ...]:
    """Return what the settings ask the auditor to do; nothing is contacted here."""
    trail = TrailThroughWarden(warden)
    return (
        *anchoring_duties(installation, trail, warden),
        *witnessing_of(installation, trail),
        *streaming_of(installation, warden),
    )


def _tell(path: Path, duties: Duties) -> None:
    try:
        write_standing(path, duties.statuses())
    except OSError as error:
        log.warning(NOT_WRITTEN, problem=error.strerror or type(error).__name__)
