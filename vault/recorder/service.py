"""The recorder of one tap: its parts, begun and ended in the right order.

Guarantees:
    * What an earlier process left goes on, or is accounted for, before the first new
      call.
    * `stop` ends running calls as ``cut``; what is not in the store yet waits in
      the spool for the next start.

Left to others: picking the parts (`vault.wiring`), HTTP (`vault.forks`).
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vault.core.clock import Clock, system_clock_ns
from vault.objects.interfaces import ObjectStore
from vault.recorder.clock_check import Witness
from vault.recorder.config import RecorderConfig
from vault.recorder.desk import RecorderDesk
from vault.recorder.interfaces import Disk, People, RecipientKeys
from vault.recorder.keys import ManifestKey
from vault.recorder.opener import Opener
from vault.recorder.parts import Desk
from vault.recorder.recovery import recover
from vault.recorder.watch import Watch
from vault.spool.config import SpoolConfig
from vault.spool.interfaces import CatalogIntake
from vault.spool.ledger import EndedNotes
from vault.spool.outbox import Outbox
from vault.spool.shipper import Destinations, Shipper
from vault.spool.spool import Spool
from vault.tap.interfaces import MediaTap
from vault.trust.interfaces import Trail


class RunningTap(MediaTap, Protocol):
    """A media tap with workers to start and to stop (`vault.tap.pool.MediaPool`)."""

    async def start(self) -> None:
        """Start the workers."""
        ...

    async def stop(self) -> None:
        """Stop them."""
        ...


class RunningDisk(Disk, Protocol):
    """A disk that is synced by a process of its own (`vault.tap.syncer.Syncer`)."""

    def tell(self, failed: Callable[[str], None]) -> None:
        """Call *failed* with the reason when a sync fails."""
        ...

    async def start(self) -> None:
        """Start to sync."""
        ...

    async def stop(self) -> None:
        """Stop it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that a recorder is handed."""

    media: RunningTap
    disk: RunningDisk
    media_store: ObjectStore
    envelope_store: ObjectStore
    catalog: CatalogIntake
    trail: Trail
    keys: RecipientKeys
    people: People
    manifest_key: ManifestKey
    witnesses: tuple[Witness, ...] = ()
    "Of times that have been (`vault.recorder.clock_check`)."


class RecorderService:
    """A desk and all that works behind it."""

    def __init__(
        self,
        around: Surroundings,
        *,
        config: RecorderConfig,
        spool: SpoolConfig,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Take the spool and account for what lies in it.

        Raises:
            ConfigurationError: The spool is another tap's, or not private.
        """
        self._around = around
        self.spool = Spool(spool).open()
        notes = EndedNotes(spool.directory)
        self.outbox = Outbox(
            spool.directory / ".outbox",
            source=config.tap_name,
            trail=around.trail,
            disk=self.spool.disk,
        )
        key = around.manifest_key
        self.shipper = Shipper(
            self.spool,
            Destinations(
                media=around.media_store,
                envelopes=around.envelope_store,
                catalog=around.catalog,
            ),
            outbox=self.outbox,
            notes=notes,
            taps={key.name: key.public},
        )
        self._opener = Opener(around.catalog)
        self.desk = RecorderDesk(
            Desk(
                media=around.media,
                spool=self.spool,
                notes=notes,
                outbox=self.outbox,
                shipper=self.shipper,
                opener=self._opener,
                keys=around.keys,
                people=around.people,
                disk=around.disk,
                manifest_key=key,
                witnesses=around.witnesses,
            ),
            config,
            clock=clock,
        )
        self.watch = Watch(self.desk, config)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over or recover, then begin to deliver, to ship and to take calls."""
        going_on = await self.desk.resume()
        self._around.disk.tell(self._disk_failed)
        await self._around.disk.start()
        # Before a long spool is read through: where the earlier workers are gone,
        # the kernel keeps five seconds of what a call that goes on receives.
        await self._around.media.start()
        key = self._around.manifest_key
        await asyncio.to_thread(recover, self.spool, key, skip=going_on)
        await asyncio.to_thread(self.desk.preflight.look_back, self.spool)
        self.outbox.start()
        self._opener.start(self.spool)
        self.shipper.start()
        self._watch = asyncio.create_task(self.watch.run())

    def _disk_failed(self, problem: str) -> None:
        # Not on the event loop: this writes to the disk that has just failed.
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self.spool.disk.fail, problem)

    async def stop(self) -> None:
        """End every call, then everything else; the spool keeps what is left."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self.desk.drain()
        await self._around.media.stop()
        await self._around.disk.stop()
        for stop in (self.shipper.stop, self._opener.stop, self.outbox.stop):
            await asyncio.to_thread(stop)
        self.spool.close()
