"""What a sweep has touched, and has to look after before its tick ends.

Guarantees: none; it is a set of lists.

Left to others: filling them (`vault.tap.intake`), emptying them (`vault.tap.sweep`).
"""

from vault.tap.calls import Call, Stream
from vault.tap.consent import Relayed
from vault.tap.source_lock import Port


class Touched:
    """Lists of calls, streams and ports."""

    # Plain attributes: one is written per batch.
    __slots__ = ("dirty", "doubting", "marked", "moved", "relayed")

    def __init__(self) -> None:
        self.dirty: list[Call] = []
        "Calls with something to seal."
        self.marked: list[Stream] = []
        "Streams with counters to write to their page."
        self.doubting: list[Stream] = []
        "Streams with packets in doubt."
        self.relayed: list[Relayed] = []
        "Datagrams of DTLS, for the supervisor."
        self.moved: list[Port] = []
        "Ports whose lock moved."

    def touch(self, call: Call) -> None:
        """Remember that a call has something to seal."""
        if not call.is_dirty:
            call.is_dirty = True
            self.dirty.append(call)

    def forget(self, call: Call) -> None:
        """Look after nothing of *call* any more."""
        self.dirty = [one for one in self.dirty if one is not call]
        self.marked = [one for one in self.marked if one.call is not call]
        self.doubting = [one for one in self.doubting if one.call is not call]
        self.moved = [one for one in self.moved if one.stream.call is not call]

    def mark(self, stream: Stream) -> None:
        """Remember that counters of a stream changed."""
        if not stream.is_marked:
            stream.is_marked = True
            self.marked.append(stream)
