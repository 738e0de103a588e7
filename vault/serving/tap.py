"""The tap as a process: fork API, recorder, media workers, shipper.

Guarantees: it starts and records while database, warden and store are away; on
SIGTERM it refuses new calls, ends those in progress as ``cut``, and leaves what is
not in the store to the next start.
"""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

import structlog

from vault.access.devices import Devices
from vault.access.workgroups import Workgroups
from vault.catalog.recordings import Recordings
from vault.config import service_manager
from vault.forks.app import create_forks_app
from vault.recorder.clock_check import Witness
from vault.recorder.config import RecorderConfig
from vault.recorder.keys import load_manifest_key
from vault.recorder.rows import RecordingRows
from vault.recorder.service import RecorderService, Surroundings
from vault.recorder.snapshot import SnapshotKeeper, SnapshotSources
from vault.serving import http
from vault.serving.children import say_ready
from vault.serving.descriptors import (
    NoStore,
    Notifier,
    NotifyStore,
    receive_all,
    store_of,
)
from vault.serving.tap_status import StatusWriter
from vault.spool.config import SpoolConfig
from vault.tap.config import SyncConfig, TapConfig
from vault.tap.pool import MediaPool
from vault.tap.syncer import Syncer
from vault.trust.interfaces import Trail
from vault.wiring import Installation

NO_SIP: Final = "sip.not-in-this-version"

log = structlog.get_logger()


def serve_tap(
    installation: Installation,
    *,
    door_fd: int | None,
    ready_fd: int | None,
    store: str = "",
    kept_fd: int | None = None,
) -> None:
    """Be the tap until SIGTERM.

    Args:
        installation: Whose.
        door_fd: The way to the warden, under `serve`.
        ready_fd: Whom to tell that it serves, under `serve`.
        store: Where `serve` keeps descriptors; empty for the service manager's store.
        kept_fd: A socket with those that an earlier tap left at `serve`.

    Raises:
        ConfigurationError: No installation, a spool in use, or a port taken.
    """
    installation.require("tap/manifest.key", "keys/roster.json", "keys/roster.pub")
    settings = installation.settings
    if settings.sip_listen:
        log.warning(NO_SIP, sip_listen=settings.sip_listen)
    manager = service_manager()
    around = _Around(
        notifier=Notifier(manager.notify, watchdog_s=manager.watchdog_s),
        store=_store_at(store, kept_fd) if store else store_of(manager),
        ready_fd=ready_fd,
    )
    with installation.warden_client(door_fd) as warden:
        asyncio.run(_serve(installation, warden, around))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """Who started this process, and what it keeps for the next one."""

    notifier: Notifier
    store: NotifyStore | NoStore
    ready_fd: int | None

    @property
    def has_store(self) -> bool:
        """Whether something keeps descriptors beyond this process."""
        return isinstance(self.store, NotifyStore)

    def ready(self) -> None:
        """Tell whoever waits that the tap serves."""
        say_ready(self.ready_fd)
        self.notifier.ready()


def _store_at(path: str, kept_fd: int | None) -> NotifyStore:
    kept = receive_all(socket.socket(fileno=kept_fd)) if kept_fd is not None else {}
    return NotifyStore(path, handed_back=kept)


async def _beat(notifier: Notifier) -> None:
    """Show that the event loop runs, for as long as it does."""
    while notifier.beat_every_s is not None:
        notifier.beat()
        await asyncio.sleep(notifier.beat_every_s)


async def _serve(installation: Installation, trail: Trail, around: _Around) -> None:
    settings = installation.settings
    keeper = SnapshotKeeper(_sources(installation))
    await asyncio.to_thread(keeper.start)
    pool = MediaPool(_tap_config(installation), store=around.store)
    recorder = _recorder(installation, trail, pool=pool, keeper=keeper)
    preflight = recorder.desk.preflight
    status = StatusWriter(
        path=installation.tap_status_path,
        standing=pool.standing,
        trouble=preflight.trouble,
        refused=lambda: preflight.refused,
        alarms=lambda: recorder.watch.told,
        kept=lambda: around.store.kept if around.has_store else None,
    )
    beating = asyncio.create_task(_beat(around.notifier))
    await recorder.start()
    telling = asyncio.create_task(status.run())
    try:
        # SIGTERM ends this await (`vault.serving.http`): no new calls, then the
        # lines below.
        await http.serve(
            create_forks_app(
                recorder.desk,
                keeper,
                look_again=keeper.look_again,
                why_not=lambda: status.reason,
            ),
            settings,
            "forks",
            started=around.ready,
        )
    finally:
        around.notifier.stopping()
        await recorder.stop()
        beating.cancel()
        telling.cancel()
        await asyncio.to_thread(keeper.stop)


def _recorder(
    installation: Installation, trail: Trail, *, pool: MediaPool, keeper: SnapshotKeeper
) -> RecorderService:
    settings = installation.settings
    spool = SpoolConfig(
        directory=settings.spool_folder,
        quota_bytes=settings.spool_quota_bytes,
        reserve_bytes=settings.spool_reserve_bytes,
        emergency_bytes=settings.spool_emergency_bytes,
    )
    spool.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return RecorderService(
        Surroundings(
            media=pool,
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
            witnesses=_witnesses(keeper),
        ),
        config=RecorderConfig(
            tap_name=settings.tap_name,
            media_listen=settings.media_listen,
            media_advertise=settings.media_advertise or "",
            idle_timeout_s=settings.session_idle_s,
            max_duration_s=settings.session_max_s,
            clock_tolerance_s=settings.clock_tolerance_s,
            silence_alarm_s=settings.silence_alarm_s,
            one_way_alarm_s=settings.one_way_alarm_s,
        ),
        spool=spool,
    )


def _tap_config(installation: Installation) -> TapConfig:
    settings = installation.settings
    run_folder = installation.folder / "run" / "tap"
    run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return TapConfig(
        listen=settings.media_listen,
        ports=settings.media_port_range,
        workers=settings.media_workers,
        streams_per_worker=settings.media_streams_per_worker,
        tick_s=settings.sweep_ms / 1000,
        run_folder=str(run_folder),
    )


def _witnesses(keeper: SnapshotKeeper) -> tuple[Witness, ...]:
    def signed_ns() -> int:
        return keeper.roster.signed_ns if keeper.roster else 0

    return (
        Witness(name="the signature of the roster", newest_ns=signed_ns),
        Witness(name="the snapshot of devices", newest_ns=lambda: keeper.taken_ns),
    )


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
