"""Power cuts: a file system that stops in the middle, taking what was not synced.

``FS_IOC_SHUTDOWN`` on a loop-mounted ext4: nothing that lay in memory reaches the
image any more, as when the machine loses power.  It models the loss of what was not
synced, not disks that lie or tear sectors.  Needs root and a loop device.

Calls begin and end at the moment of each cut.  Whatever was answered before the
processes died, even after the cut, is a promise.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from site_under_test import Call, Sender, Settings, Site, fresh_place, site_at, until
from truth import PACKETS_PER_S, Spool

from vault.core.errors import VaultError
from vault.core.ids import RecordingId

_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_NEW_MOUNTS = 0x20000
_IMAGE_BYTES = 2 * 1024**3
_THREADS = 4


class Disk:
    """One image, mounted."""

    def __init__(self, image: Path, mounted: Path) -> None:
        self._image, self._mounted = image, mounted
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(image))

    def mount(self) -> None:
        """Mount the image; the journal is replayed."""
        _run("mount", "-o", "loop", str(self._image), str(self._mounted))
        (self._mounted / "mounted").write_bytes(b"")

    def cut(self) -> None:
        """Stop the file system now."""
        at = os.open(self._mounted, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(at, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(at)

    def unmount(self) -> None:
        """Unmount as soon as nobody holds it."""
        until(self._is_unmounted, "the image is unmounted")

    def _is_unmounted(self) -> bool:
        done = subprocess.run(
            ["umount", str(self._mounted)], capture_output=True, check=False
        )
        return done.returncode == 0


def possible() -> str:
    """Return why power can't be cut here; empty if it can."""
    if os.geteuid() != 0:
        return "mounting an image needs root"
    with contextlib.suppress(OSError, RuntimeError), fresh_place() as folder:
        image = folder.parent / "try"
        with image.open("wb") as file:
            file.truncate(16 * 1024**2)
        _run("mkfs.ext4", "-q", "-F", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
        _run("umount", str(folder))
        return ""
    return "no loop device, or no ext4"


@dataclass(kw_only=True)
class _Promises:
    """What devices were told."""

    answered: list[Call] = field(default_factory=list)
    asked_to_end: set[RecordingId] = field(default_factory=set)
    ended: set[RecordingId] = field(default_factory=set)


class _Traffic:
    """Calls that begin and end until everything dies."""

    def __init__(self, site: Site, to_end: Sequence[Call]) -> None:
        self.promises = _Promises()
        self._site = site
        self._to_end = list(to_end)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(_THREADS)]
        for one in self._threads:
            one.start()

    def stop(self) -> _Promises:
        self._over.set()
        for one in self._threads:
            one.join()
        return self.promises

    def _go_on(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(IndexError):
                self._end(self._to_end.pop())
            begun = self._site.try_begin()
            if begun is None:
                continue
            self.promises.answered.append(begun)
            # Every other one goes on and is cut.
            if len(self.promises.answered) % 2:
                self._end(begun)

    def _end(self, call: Call) -> None:
        self.promises.asked_to_end.add(call.id)
        if self._site.try_end(call):
            self.promises.ended.add(call.id)


@dataclass(kw_only=True)
class _Tally:
    """What cuts have cost."""

    answered: int = 0
    ended: int = 0
    calls_unaccounted: int = 0
    calls_unreadable: int = 0
    leaves_lost: int = 0
    acked_manifests_lost: int = 0
    lost_s: list[float] = field(default_factory=list)


def cut_power(
    calls: int, cuts: int, seed: int, settings: Settings | None = None
) -> dict[str, object]:
    """Cut power again and again under calls, and account for all of them."""
    chance = random.Random(seed)  # noqa: S311 - instants, no secrets
    tally = _Tally()
    with _disk() as (folder, disk), site_at(folder, settings) as site:
        for _ in range(cuts):
            site.start()
            placed = site.begin(calls)
            sender = Sender(placed)
            time.sleep(chance.uniform(1.0, 3.0))
            traffic = _Traffic(site, placed[: chance.randrange(calls // 2)])
            time.sleep(chance.uniform(0.0, 1.0))
            disk.cut()
            sent = sender.stop()
            time.sleep(chance.uniform(0.0, 0.3))
            site.kill_all()
            promises = traffic.stop()
            disk.unmount()
            disk.mount()
            site.start()
            spool = site.settled()
            _look(spool, [*placed, *promises.answered], promises, sent, tally)
            site.stop()
    seconds = sorted(tally.lost_s) or [0.0]
    return {
        "family": "power",
        "cuts": cuts,
        "calls": tally.answered,
        "manifests_acked": tally.ended,
        "calls_unaccounted": tally.calls_unaccounted,
        "calls_unreadable": tally.calls_unreadable,
        "leaves_lost": tally.leaves_lost,
        "acked_manifests_lost": tally.acked_manifests_lost,
        "seconds_lost_per_leg_p50": statistics.median(seconds),
        "seconds_lost_per_leg_p99": seconds[int(0.99 * (len(seconds) - 1))],
        "seconds_lost_per_leg_max": seconds[-1],
    }


def _look(
    spool: Spool,
    answered: list[Call],
    promises: _Promises,
    sent: dict[RecordingId, tuple[int, ...]],
    tally: _Tally,
) -> None:
    there, announced = spool.ended(), spool.announced()
    tally.answered += len(answered)
    tally.ended += len(promises.ended)
    for call in answered:
        tally.leaves_lost += call.id not in announced
        if call.id not in there:
            print(f"{call.id}: unaccounted", file=sys.stderr)
            tally.calls_unaccounted += 1
            tally.acked_manifests_lost += call.id in promises.ended
            continue
        try:
            kept = spool.kept(call.id)
        except VaultError as error:
            print(f"{call.id}: {error!r}", file=sys.stderr)
            tally.calls_unreadable += 1
            continue
        if call.id in promises.ended:
            # Its DELETE was answered: the manifest had to be durable by then.
            tally.acked_manifests_lost += kept.how != "bye"
        elif call.id in sent and call.id not in promises.asked_to_end:
            tally.lost_s += [
                kept.missing(leg, count) / PACKETS_PER_S
                for leg, count in enumerate(sent[call.id])
            ]


@contextlib.contextmanager
def _disk() -> Iterator[tuple[Path, Disk]]:
    # Mounts of our own: a sandbox that somebody starts meanwhile would take a copy
    # along, and keep a file system alive that was cut.
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount", "--make-rprivate", "/")
    with fresh_place() as folder:
        disk = Disk(folder.parent / "image", folder)
        disk.mount()
        try:
            yield folder, disk
        finally:
            disk.unmount()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
