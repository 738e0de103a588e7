"""A negative control: nothing is ever synced, and everybody is told that it was."""

import ctypes
import os

os.fsync = os.fdatasync = lambda _: None
_found = ctypes.CDLL.__getattr__


def _but_syncfs(library, name):
    return (lambda _: 0) if name == "syncfs" else _found(library, name)


ctypes.CDLL.__getattr__ = _but_syncfs
