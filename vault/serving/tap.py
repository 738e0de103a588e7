"""The tap as a process: fork API, recorder, media workers, shipper.

Guarantees: it starts and records while database, warden and store are away; on
SIGTERM it refuses new calls, ends those in progress as ``cut``, and leaves what is
not in the store to the next start.
"""

import asyncio
from typing import Final

import structlog

from vault.access.devices import Devices
from vault.access.workgroups import Workgroups
from vault.catalog.recordings import Recordings
from vault.forks.app import create_forks_app
from vault.recorder.config import RecorderConfig
from vault.recorder.keys import load_manifest_key
from vault.recorder.rows import RecordingRows
from vault.recorder.service import RecorderService, Surroundings
from vault.recorder.snapshot import SnapshotKeeper, SnapshotSources
from vault.serving import http
from vault.serving.children import say_ready
from vault.spool.config import SpoolConfig
from vault.tap.config import SyncConfig, TapConfig
from vault.tap.pool import MediaPool
from vault.tap.syncer import Syncer
from vault.trust.interfaces import Trail
from vault.wiring import Installation

NO_SIP: Final = "sip.not-in-this-version"

log = structlog.get_logger()


def serve_tap(
    installation: Installation, *, door_fd: int | None, ready_fd: int | None
) -> None:
    """Be the tap until SIGTERM.

    Raises:
        ConfigurationError: No installation, a spool in use, or a port taken.
    """
    installation.require("tap/manifest.key", "keys/roster.json", "keys/roster.pub")
    settings = installation.settings
    if settings.sip_listen:
        log.warning(NO_SIP, sip_listen=settings.sip_listen)
    with installation.warden_client(door_fd) as warden:
        asyncio.run(_serve(installation, warden, ready_fd))


async def _serve(
    installation: Installation, trail: Trail, ready_fd: int | None
) -> None:
    settings = installation.settings
    keeper = SnapshotKeeper(_sources(installation))
    await asyncio.to_thread(keeper.start)
    spool = SpoolConfig(
        directory=settings.spool_folder,
        quota_bytes=settings.spool_quota_bytes,
        reserve_bytes=settings.spool_reserve_bytes,
    )
    spool.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    recorder = RecorderService(
        Surroundings(
            media=MediaPool(
                TapConfig(
                    listen=settings.media_listen,
                    ports=settings.media_port_range,
                    workers=settings.media_workers,
                    tick_s=settings.sweep_ms / 1000,
                )
            ),
            disk=Syncer(SyncConfig(folder=spool.directory)),
            media_store=installation.stores.media,
            envelope_store=installation.stores.envelopes,
            catalog=RecordingRows(Recordings(installation.catalog_as_it_is)),
            trail=trail,
            keys=keeper,
            people=keeper,
            manifest_key=load_manifest_key(
                installation.folder / "tap" / "manifest.key", name=settings.tap_name
            ),
        ),
        config=RecorderConfig(
            tap_name=settings.tap_name,
            media_listen=settings.media_listen,
            media_advertise=settings.media_advertise or "",
            idle_timeout_s=settings.session_idle_s,
            max_duration_s=settings.session_max_s,
        ),
        spool=spool,
    )
    await recorder.start()
    try:
        # SIGTERM ends this await (`vault.serving.http`): no new calls, then the
        # lines below.
        await http.serve(
            create_forks_app(recorder.desk, keeper, look_again=keeper.look_again),
            settings,
            "forks",
            started=lambda: say_ready(ready_fd),
        )
    finally:
        await recorder.stop()
        await asyncio.to_thread(keeper.stop)


def _sources(installation: Installation) -> SnapshotSources:
    engine = installation.catalog_as_it_is
    files = installation.roster_files
    return SnapshotSources(
        devices=Devices(engine).list,
        people=Workgroups(engine).snapshot,
        roster_path=files.roster,
        roster_key_path=files.verifier,
        keep_path=installation.folder / "tap" / "snapshot.json",
    )
