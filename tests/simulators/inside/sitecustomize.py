"""Lets a test run code INSIDE the processes of an installation.

Python loads a module of this name at start from `PYTHONPATH`.  SIGUSR2 makes the process
try what `intrusions` says, in its main thread, with whatever rights it has left by then.
"""

import contextlib
import importlib
import signal


def _obey(*_: object) -> None:
    importlib.import_module("intrusions").obey()


with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGUSR2, _obey)
