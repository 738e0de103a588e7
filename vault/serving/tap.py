"""The tap as a process: SIPREC, fork API, recorder, media workers, shipper.

Guarantees: it starts and records while database, warden and store are away; on
SIGTERM it refuses new calls, lets those in progress run out for as long as the
settings say (``drain_s``), ends the rest as ``cut``, and leaves what is not in the
store to the next start.
"""

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Final

import structlog
from limits import RateLimitItemPerSecond

from vault.access.address_rules import AddressRules
from vault.access.devices import Devices
from vault.access.extensions import Extensions
from vault.access.workgroups import Workgroups
from vault.catalog.recordings import Recordings
from vault.forks.app import create_forks_app
from vault.recorder.clock_check import Witness
from vault.recorder.config import RecorderConfig
from vault.recorder.keys import ManifestKey, load_manifest_key
from vault.recorder.rows import RecordingRows
from vault.recorder.service import RecorderService, Surroundings
from vault.recorder.snapshot import SnapshotKeeper, SnapshotSources
from vault.serving import http, logs
from vault.serving.children import say_ready
from vault.serving.descriptors import (
    NoStore,
    Notifier,
    NotifyStore,
    receive_all,
    store_of,
)
from vault.serving.domains import enter_domain
from vault.serving.lives import written_down
from vault.serving.service_manager import service_manager
from vault.serving.sip import SipService
from vault.serving.tap_door import answering, door_of
from vault.serving.tap_status import StatusWriter
from vault.spool.config import SpoolConfig
from vault.tap.config import SyncConfig, TapConfig
from vault.tap.pool import MediaPool
from vault.tap.syncer import Syncer
from vault.trust.interfaces import Trail
from vault.wiring import Installation

DRAINING: Final = "tap.draining"
DRAINED: Final = "tap.drained"
_ENDING_S: Final = 60.0
"What ending the rest may take, after the calls had their time."
_LOOK_S: Final = 0.2

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
    settings, manager = installation.settings, service_manager()
    around = _Around(
        notifier=Notifier(manager.notify, watchdog_s=manager.watchdog_s),
        store=_store_at(store, kept_fd) if store else store_of(manager),
        ready_fd=ready_fd,
    )
    # Opened before the process, and each media worker that it starts, gives up what
    # it does not need.
    signing = load_manifest_key(
        installation.folder / "tap" / "manifest.key", name=settings.tap_name
    )
    _ = installation.stores, installation.catalog_as_it_is
    logs.say_gaps(enter_domain("tap", installation))
    with (
        installation.warden_client(door_fd) as warden,
        written_down(warden, "tap", settings),
    ):
        asyncio.run(_serve(installation, warden, around, signing))


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


class _Draining:
    """Between the first signal and the end: calls run out, new ones are refused."""

    def __init__(self, within_s: int, around: _Around) -> None:
        self._within_s = within_s
        self._around = around
        self.began = False

    async def __call__(self, recorder: RecorderService, sip: SipService) -> None:
        """Refuse new calls; return when none is left, or the time is over."""
        self.began = True
        recorder.desk.refuse_new()
        sip.server.drain()
        left = len(recorder.desk.sessions)
        log.info(DRAINING, calls=left, within_s=self._within_s)
        self._around.notifier.stopping(within_s=self._within_s + _ENDING_S)
        deadline_s = time.monotonic() + self._within_s
        while recorder.desk.sessions and time.monotonic() < deadline_s:  # noqa: ASYNC110 - looking five times a second is all that it costs
            await asyncio.sleep(_LOOK_S)
        log.info(DRAINED, calls=left, cut=len(recorder.desk.sessions))


async def _serve(
    installation: Installation, trail: Trail, around: _Around, signing: ManifestKey
) -> None:
    settings = installation.settings
    keeper = SnapshotKeeper(_sources(installation))
    await asyncio.to_thread(keeper.start)
    pool = MediaPool(_tap_config(installation), store=around.store)
    recorder = _recorder(installation, trail, pool=pool, keeper=keeper, signing=signing)
    preflight = recorder.desk.preflight
    draining = _Draining(settings.drain_s, around)

    async def trouble() -> tuple[str, str]:
        if draining.began:
            return "draining", "it is going down: running calls run out"
        return await preflight.trouble()

    sip = SipService(settings, recorder.desk, keeper, why_not=lambda: status.reason)
    status = StatusWriter(
        path=installation.tap_status_path,
        standing=pool.standing,
        trouble=trouble,
        refused=lambda: preflight.refused,
        alarms=lambda: recorder.watch.told,
        kept=lambda: around.store.kept if around.has_store else None,
        sip=sip.members,
    )
    beating = asyncio.create_task(_beat(around.notifier))
    await recorder.start()
    telling = asyncio.create_task(status.run())
    try:
        await _answer(installation, recorder, sip, draining, around, keeper, status)
    finally:
        around.notifier.stopping()
        # Peers are answered while their calls are ended, and told of the end.
        sip.server.drain()
        await recorder.stop()
        await sip.stop()
        beating.cancel()
        telling.cancel()
        await asyncio.to_thread(keeper.stop)


async def _answer(
    installation: Installation,
    recorder: RecorderService,
    sip: SipService,
    draining: _Draining,
    around: _Around,
    keeper: SnapshotKeeper,
    status: StatusWriter,
) -> None:
    """Answer operators, SIP and the fork API until SIGTERM."""
    settings, calls = installation.settings, recorder.desk.integrations
    app = create_forks_app(
        recorder.desk,
        keeper,
        look_again=keeper.look_again,
        why_not=lambda: status.reason,
        rate=RateLimitItemPerSecond(settings.forks_device_rate),
        edge=http.edge_config(settings, "forks", max_body_bytes=None),
        rules=lambda: keeper.address_lists("forks"),
    )
    # Under `serve`, web and worker have our uid, and are no operators.
    whole = installation.keyring_path.is_file()
    proof = installation.warden_lock if whole else None
    async with answering(door_of(installation.folder), calls, proof=proof):
        await sip.start()
        # SIGTERM ends this await (`vault.serving.http`): no new calls, then what
        # `_serve` does at its end.
        await http.serve(
            app,
            settings,
            "forks",
            started=around.ready,
            drain=(lambda: draining(recorder, sip)) if settings.drain_s else None,
        )


def _recorder(
    installation: Installation,
    trail: Trail,
    *,
    pool: MediaPool,
    keeper: SnapshotKeeper,
    signing: ManifestKey,
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
            manifest_key=signing,
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
            pause_max_s=settings.pause_max_s,
            keep_dtmf_digits=settings.keep_dtmf_digits,
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
    files = installation.readable_roster
    return SnapshotSources(
        devices=Devices(engine).for_taps,
        people=Workgroups(engine).snapshot,
        extensions=Extensions(engine).list,
        address_rules=AddressRules(engine).list,
        note_uses=Devices(engine).note_uses,
        roster_path=files.roster,
        roster_key_path=files.verifier,
        keep_path=installation.folder / "tap" / "snapshot.json",
    )
