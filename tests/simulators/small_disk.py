"""File systems of a test's own: small ones, and one that loses its disk.

Mounting needs root; where it is not to be had, tests skip and say why.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_SHUTDOWN: Final = 0x8004587D
"EXT4_IOC_SHUTDOWN, which is XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32)."
_NO_LOG_FLUSH: Final = 2


@contextlib.contextmanager
def small_disk(place: Path, *, size: str = "8m", options: str = "") -> Iterator[Path]:
    """Mount a file system of *size* in memory at *place*."""
    place.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700{options}", "none"]
    _mount([*words, str(place)])
    try:
        yield place
    finally:
        _unmount(place)


@contextlib.contextmanager
def image_disk(place: Path, *, size_bytes: int = 32 << 20) -> Iterator[Path]:
    """Mount an ext4 image at *place*; `pull_the_plug` works on it."""
    image = place.with_name(f"{place.name}.img")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    made = subprocess.run(
        ["mkfs.ext4", "-q", "-F", str(image)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("no mkfs.ext4 here")
    place.mkdir(exist_ok=True)
    _mount(["mount", "-o", "loop", str(image), str(place)])
    try:
        place.chmod(0o700)
        yield place
    finally:
        _unmount(place)


def pull_the_plug(place: Path) -> None:
    """Make the file system at *place* forget what was not synced, and fail."""
    at = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(at, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(at)


def _mount(words: list[str]) -> None:
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount(8) here")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=True)
