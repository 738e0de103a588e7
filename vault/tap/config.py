"""What the tap must be told; nothing here is secret."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAX_WORKERS: Final = 16
"More than these fill any disk: let them be asked for."


@dataclass(frozen=True, slots=True, kw_only=True)
class TapConfig:
    """Settings of media ports, workers and the sweep."""

    listen: str = "127.0.0.1"
    "Local IPv4 or IPv6 address of every media socket."

    ports: tuple[int, int] = (40000, 49999)
    "Lowest and highest media port, inclusive."

    workers: int = 0
    "Media worker processes; 0 means one per core of this process, at most 16."

    streams_per_worker: int = 3500
    """Streams that one worker may have: 80 % of what a core does at 4.6 µs per packet
    and 50 packets/s (docs/performance.md)."""

    late_s: float = 1.0
    "A worker whose sweeps begin later than this gets no further call."

    tick_s: float = 0.2
    "Time between two sweeps: 200 ms is the knee of the cost curve."

    video_tick_s: float = 0.04
    "Time between two sweeps of video alone: a key frame fills a buffer at once."

    audio_batches: int = 4
    """Batches of 64 packets that one audio stream may bring per sweep, 1,280 packets/s;
    what is beyond that waits in the kernel, which drops and counts it."""

    video_batches: int = 16
    "The same for video: 25,600 packets/s at 40 ms, and three key frames at once."

    flush_age_s: float = 1.0
    "A chunk that has been open this long is filled with padding and written."

    straggle_s: float = 0.2
    "How long a call that ends still waits for packets on their way."

    overlap_s: float = 2.0
    "How long packets under the previous key are accepted after a re-key."

    cool_down_s: float = 5.0
    "How long a media port stays unused after a call."

    audio_buffer_bytes: int = 1024 * 1024
    """Receive buffer of an audio socket: at least 10 s of 100 packets/s, at 832
    octets of kernel memory each.  Linux grants at most ``rmem_max``, doubled."""

    video_buffer_bytes: int = 4 * 1024 * 1024
    "A default buffer loses the tail of a 110 KB key frame."

    kept_packets: int = 20_000
    "Packets that failed authentication to keep per stream (kind 2): 6 min at 50/s."

    kept_octets: int = 4 * 1024 * 1024
    "Octets of such packets to keep per stream."

    max_ssrcs: int = 8
    "Authenticated SSRCs at work in one stream; libsrtp searches them linearly."

    run_folder: str = ""
    """Private folder where workers that outlive their supervisor can be met; without
    one they end with it."""

    orphan_s: float = 60.0
    "How long workers go on without a supervisor."

    hung_s: float = 5.0
    """A worker that has said nothing for so long, has used no CPU time meanwhile and
    waits for no disk is killed and replaced; one that works gets six times as long."""

    def __post_init__(self) -> None:
        low, high = self.ports
        if not 1024 <= low < high <= 65535:  # noqa: PLR2004 - the range of unprivileged ports
            raise ValueError(f"not a range of media ports: {low}-{high}")
        if self.workers < 0 or self.tick_s <= 0 or self.streams_per_worker < 1:
            raise ValueError("workers, their streams and the tick must be positive")

    @property
    def worker_count(self) -> int:
        """Number of worker processes to run."""
        return self.workers or min(len(os.sched_getaffinity(0)), _MAX_WORKERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig:
    """Settings of the process that syncs the spool to disk."""

    folder: Path
    "Any folder on the file system of the spool."

    interval_s: float = 0.5
    "Longest a written chunk waits for ``syncfs``."

    alarm_s: float = 2.0
    "A run that takes longer means that the disk does not keep up."
