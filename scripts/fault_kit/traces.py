"""What a trace of strace says: which calls there were, and whether promises were early.

A promise is early when something that it is about was written and not synced since.
Files and names are followed by path: data waits for a sync of its file, a name for one
of its folder, and ``syncfs`` serves both for what was written before it began.

A sync is *retried* when one of the same file had failed in this process and the file
was not replaced since; of the same folder, when nothing in it was changed since.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TRACED = (
    *("openat", "mkdir", "mkdirat", "linkat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir", "write", "pwrite64", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "syncfs", "close"),
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PROMISE = re.compile(r'\{\\"(answered|ended|shipped)\\": \\"([0-9a-f-]{36})')
_DATABASE = re.compile(r"\.sqlite(-wal|-shm|-journal)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to the kernel."""

    thread: int
    name: str
    arguments: str
    result: int | None
    "None where the process did not live to see it."
    injected: bool
    nth: int
    "Of this name, in its thread, from 1."

    @property
    def folders(self) -> list[str]:
        """Paths of the descriptors among the arguments."""
        return _DESCRIPTOR.findall(self.arguments)

    @property
    def paths(self) -> list[str]:
        """Return what the call is about, absolute."""
        texts, at = _TEXT.findall(self.arguments), self.folders
        if self.name in {"write", "pwrite64"}:
            texts = []
        if not texts:
            return at[:1]
        at = at or [""]
        bases = at if len(at) == len(texts) else at[:1] * len(texts)
        return [posixpath.join(b, t) for b, t in zip(bases, texts, strict=True)]


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls of a trace, each when it ends."""
    counts: dict[tuple[int, str], int] = {}
    begun: dict[int, str] = {}
    for line in lines:
        text = line.rstrip("\n")
        if found := _UNFINISHED.match(text):
            begun[int(found[1])] = found[3]
            # The moment counts at which a sync begins.
            if found[2] == "syncfs":
                yield _call(counts, found[1], "syncfs-begins", found[3], None, "")
            continue
        if found := _RESUMED.match(text):
            arguments = begun.pop(int(found[1]), "")
            text = f"{found[1]} {found[2]}({arguments}{found[3]}"
        if found := _LINE.match(text):
            result = None if found[4] == "?" else int(found[4])
            if found[2] == "syncfs" and "resumed" not in line:
                yield _call(counts, found[1], "syncfs-begins", found[3], None, "")
            yield _call(counts, found[1], found[2], found[3], result, found[5])


def _call(
    counts: dict[tuple[int, str], int],
    thread: str,
    name: str,
    arguments: str,
    result: int | None,
    rest: str,
) -> Call:
    key = int(thread), name
    counts[key] = counts.get(key, 0) + 1
    return Call(
        thread=int(thread),
        name=name,
        arguments=arguments,
        result=result,
        injected="(INJECTED" in rest,
        nth=counts[key],
    )


@dataclass
class Audit:
    """Follows what is dirty, promise by promise."""

    place: str
    early: list[str] = field(default_factory=list)
    "Promises that were made over something that was not synced."
    retried: list[str] = field(default_factory=list)
    _data: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _syncing: set[str] = field(default_factory=set)
    _tainted: set[str] = field(default_factory=set)

    def follow(self, calls: Iterable[Call]) -> None:
        """Look at every call, in order."""
        for call in calls:
            if call.name == "sendto":
                self._promised(call)
            elif call.name in {"fsync", "fdatasync", "syncfs", "syncfs-begins"}:
                self._sync(call)
            elif call.result is not None and call.result >= 0:
                self._changed(call)

    def begin_anew(self) -> None:
        """Another process: what was written is as it was, what failed is forgotten."""
        self._tainted.clear()

    def _changed(self, call: Call) -> None:
        paths = call.paths
        if call.name in {"write", "pwrite64", "ftruncate", "fallocate"}:
            self._data.add(paths[0])
        elif call.name in {"mkdir", "mkdirat"} or "O_CREAT" in call.arguments:
            self._named(paths[0])
        elif call.name in {"linkat", "rename", "renameat", "renameat2"}:
            old, new = paths
            self._named(new)
            if old in self._data:
                self._data.add(new)
            else:
                self._data.discard(new)
            if call.name != "linkat":
                self._names.discard(old)
                self._data.discard(old)
        elif call.name in {"unlink", "unlinkat", "rmdir"}:
            self._names.discard(paths[0])
            self._data.discard(paths[0])
            self._tainted.discard(posixpath.dirname(paths[0]))

    def _named(self, path: str) -> None:
        self._names.add(path)
        self._tainted -= {path, posixpath.dirname(path)}

    def _sync(self, call: Call) -> None:
        path = call.paths[0] if call.paths else ""
        if call.name == "syncfs-begins":
            self._syncing = self._data | self._names
            return
        key = "the file system" if call.name == "syncfs" else path
        # What SQLite does after a failure is its own: it rolls back and writes anew.
        if key in self._tainted and not _DATABASE.search(path):
            self.retried.append(f"{call.name} of {key.removeprefix(self.place)}")
        if call.result != 0:
            self._tainted.add(key)
        elif call.name == "syncfs":
            self._data -= self._syncing
            self._names -= self._syncing
        else:
            self._data.discard(path)
            self._names -= {one for one in self._names if _in(one, path)}

    def _promised(self, call: Call) -> None:
        said = _PROMISE.search(call.arguments)
        if said is None:
            return
        kind, recording = said.groups()
        spool = f"{self.place}/spool"
        if kind == "answered":
            waiting = self._waiting(f"{spool}/{recording}", f"{spool}/.outbox")
            # Of a part only the name is promised, and what is in it by and by.
            waiting -= {one for one in self._data if "/capture-" in one}
        elif kind == "ended":
            waiting = self._waiting(f"{spool}/{recording}")
        else:
            waiting = self._waiting(
                f"{self.place}/media/{recording}",
                f"{self.place}/envelopes/{recording}",
                f"{self.place}/catalog.sqlite-wal",
            )
        if waiting:
            shown = sorted(one.removeprefix(self.place) for one in waiting)
            self.early.append(f"{kind} {recording}: {shown}")

    def _waiting(self, *under: str) -> set[str]:
        dirty = self._data | self._names
        return {one for one in dirty if one.startswith(under)}


def _in(path: str, folder: str) -> bool:
    return posixpath.dirname(path) == folder
