"""An export that is written as a file, read as blocks: a bounded queue between.

Guarantees: at most a few blocks wait, however large the export; an export that
fails ends the stream without its end; a reader who leaves ends the export.

Left to others: the export itself (`vault.audit.export`).
"""

import io
import queue
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

_BLOCK_BYTES: Final = 64 * 1024
_BLOCKS_WAITING: Final = 8
_LOOK_EVERY_S: Final = 0.5

_Item = bytes | BaseException | None


class _LeftError(OSError):
    """The reader is gone; raised in the writer's thread to end it."""


class _Pipe(io.RawIOBase):
    """The writer's end."""

    def __init__(self) -> None:
        super().__init__()
        self.items: queue.Queue[_Item] = queue.Queue(_BLOCKS_WAITING)
        self.left = threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, octets: object) -> int:
        block = bytes(cast("bytes", octets))
        self.put(block)
        return len(block)

    def put(self, item: _Item) -> None:
        while not self.left.is_set():
            try:
                self.items.put(item, timeout=_LOOK_EVERY_S)
            except queue.Full:
                continue
            return
        raise _LeftError


def blocks_of(write: Callable[[BinaryIO], object]) -> Iterator[bytes]:
    """Yield in blocks what *write* writes, from a thread of its own.

    Whatever *write* raises is raised here, at the place where it happened.
    """
    pipe = _Pipe()

    def run() -> None:
        end: _Item = None
        try:
            buffered = io.BufferedWriter(pipe, _BLOCK_BYTES)
            write(cast("BinaryIO", buffered))
            buffered.flush()
        except BaseException as error:  # noqa: BLE001 - a thread ends; the reader gets it
            end = error
        try:
            pipe.put(end)
        except _LeftError:
            return

    threading.Thread(target=run, name="export", daemon=True).start()
    try:
        while True:
            item = pipe.items.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        pipe.left.set()
