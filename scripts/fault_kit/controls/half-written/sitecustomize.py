"""A negative control: files of the spool are written in place, bit by bit."""

import os

from vault.spool import descriptors


def _in_place(at, name, octets, *, replace, sync):
    how = os.O_TRUNC if replace else os.O_EXCL
    file = os.open(name, os.O_WRONLY | os.O_CREAT | how, 0o600, dir_fd=at)
    try:
        half = len(octets) // 2
        os.write(file, octets[:half])
        os.write(file, octets[half:])
        if sync:
            os.fsync(file)
            os.fsync(at)
    finally:
        os.close(file)


descriptors.write_whole = _in_place
