"""What the spool must be told; nothing here has to be secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

GIB: Final = 1 << 30
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig:
    """Where sealed octets wait, and how many may."""

    directory: Path
    "Local disk, never a network mount: `fsync` has to mean it."

    quota_bytes: int = 20 * GIB
    "Sealed octets to hold before new calls are refused (31 days of one G.711 leg)."

    reserve_bytes: int = 128 * MIB
    """Free space of the file system below which new calls are refused: what is
    left is for the calls that were already answered."""

    emergency_bytes: int = 0
    """Blocks to hold allocated, and to give up when a running call meets a full
    disk: in quarters, the last of them only for ending calls."""

    reserve_inodes: int = 1_000
    "The same in files, where the file system counts them."

    def __post_init__(self) -> None:
        if self.quota_bytes <= 0 or min(self.reserve_bytes, self.emergency_bytes) < 0:
            raise ValueError("a spool needs room")
