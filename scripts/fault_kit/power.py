"""Power cuts: a file system that stops in the middle, taking what was not synced.

``FS_IOC_SHUTDOWN`` on a loop-mounted ext4: nothing that lay in memory reaches the
image any more, as when the machine loses power.  It models the loss of what was not
synced, not disks that lie or tear sectors.  Needs root and a loop device.
"""

import contextlib
import fcntl
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from site_under_test import Call, Sender, fresh_place, site_at, until
from truth import PACKETS_PER_S, Spool

from vault.core.errors import VaultError
from vault.core.ids import RecordingId

_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_IMAGE_BYTES = 2 * 1024**3


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


def cut_power(calls: int, cuts: int, seed: int) -> dict[str, object]:
    """Cut power again and again under calls, and account for all of them."""
    chance = random.Random(seed)  # noqa: S311 - instants, no secrets
    lost_s: list[float] = []
    tally = {"calls_unaccounted": 0, "calls_unreadable": 0, "acked_manifests_lost": 0}
    with _disk() as (folder, disk), site_at(folder) as site:
        ended_before: set[RecordingId] = set()
        for _ in range(cuts):
            site.start()
            placed = site.begin(calls)
            sender = Sender(placed)
            time.sleep(chance.uniform(1.0, 3.0))
            over = placed[: chance.randrange(calls // 2)]
            site.end(over)
            ended_before |= {call.id for call in over}
            time.sleep(chance.uniform(0.0, 1.0))
            disk.cut()
            sent = sender.stop()
            site.kill_all()
            disk.unmount()
            disk.mount()
            site.start()
            spool = site.settled()
            _look(spool, placed, sent, ended_before, tally, lost_s)
            site.stop()
    seconds = sorted(lost_s) or [0.0]
    return {
        "family": "power",
        "cuts": cuts,
        "calls": calls * cuts,
        "manifests_acked": len(ended_before),
        **tally,
        "seconds_lost_per_leg_p50": statistics.median(seconds),
        "seconds_lost_per_leg_p99": seconds[int(0.99 * (len(seconds) - 1))],
        "seconds_lost_per_leg_max": seconds[-1],
    }


def _look(
    spool: Spool,
    placed: list[Call],
    sent: dict[RecordingId, tuple[int, ...]],
    ended_before: set[RecordingId],
    tally: dict[str, int],
    lost_s: list[float],
) -> None:
    there = spool.ended()
    for call in placed:
        if call.id not in there:
            tally["calls_unaccounted"] += 1
            continue
        try:
            kept = spool.kept(call.id)
        except VaultError as error:
            print(f"{call.id}: {error!r}", file=sys.stderr)
            tally["calls_unreadable"] += 1
            continue
        if call.id in ended_before:
            # Its DELETE was answered: the manifest had to be durable by then.
            tally["acked_manifests_lost"] += kept.how != "bye"
            continue
        lost_s += [
            kept.missing(leg, count) / PACKETS_PER_S
            for leg, count in enumerate(sent[call.id])
        ]


@contextlib.contextmanager
def _disk() -> Iterator[tuple[Path, Disk]]:
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
