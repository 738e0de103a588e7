"""How far the stream has come: a small file that outlives every process.

    stream-siem.json           {"next": 1200, "origin": "…", "said": "started",
                                "said_at_ms": 1795…, "v": 1}
    stream-siem.rewind.json    {"to": 700, "v": 1}: asked for by a command

Guarantees:
    * `write` returns when the new place is durable; a crash leaves the old one or
      the new one, never a mixture and never one that is further than both.
    * A file that is no place raises: nothing is skipped because of it.

Left to others: when the place moves (`vault.auditor.streaming`).

Spec: docs/reference/formats/audit-stream.md
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault import durable
from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import InvalidInputError, UnavailableError

_VERSION: Final = 1
_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlace:
    """Where the stream is in the log."""

    origin: str = ""
    "Name of the log; empty before the first entry."
    next: int = 0
    "Index of the first entry that is not known to have arrived."
    said: str = ""
    "What the trail says of the stream last: ``started``, ``failed`` or nothing yet."
    said_at_ms: int = 0

    def members(self) -> JsonObject:
        """Return this as it is written down."""
        return {
            "next": self.next,
            "origin": self.origin,
            "said": self.said,
            "said_at_ms": self.said_at_ms,
            "v": _VERSION,
        }


class StreamPlaces:
    """The files of one stream."""

    def __init__(self, folder: Path, name: str) -> None:
        """Keep the place of stream *name* in *folder*; nothing is opened yet."""
        self._place = folder / f"stream-{name}.json"
        self._rewind = folder / f"stream-{name}.rewind.json"

    def read(self) -> StreamPlace:
        """Return the place; the beginning where there is none.

        Raises:
            UnavailableError: The file cannot be read, or is no place.
        """
        match _read(self._place):
            case None:
                return StreamPlace()
            case {
                "v": 1,
                "next": int(following),
                "origin": str(origin),
                "said": str(said),
                "said_at_ms": int(said_at_ms),
            } if following >= 0:
                return StreamPlace(
                    next=following, origin=origin, said=said, said_at_ms=said_at_ms
                )
        raise UnavailableError(f"{self._place.name} is not a place in the log")

    def write(self, place: StreamPlace) -> None:
        """Replace the place and return when that is durable.

        Raises:
            UnavailableError: The disk refused; the old place stands.
        """
        _write(self._place, place.members())

    def ask_rewind(self, to: int) -> None:
        """Leave word that the stream shall go on from index *to*.

        Raises:
            UnavailableError: The disk refused.
        """
        _write(self._rewind, {"to": to, "v": _VERSION})

    def asked_rewind(self) -> int | None:
        """Return where the stream shall go on, if somebody has asked.

        Raises:
            UnavailableError: The file cannot be read, or asks for nothing.
        """
        match _read(self._rewind):
            case None:
                return None
            case {"v": 1, "to": int(to)} if to >= 0:
                return int(to)
        raise UnavailableError(f"{self._rewind.name} asks for nothing")

    def forget_rewind(self) -> None:
        """Take the word back: it was done.

        Raises:
            UnavailableError: The disk refused.
        """
        try:
            self._rewind.unlink(missing_ok=True)
        except OSError as exc:
            raise _refused(self._rewind, exc) from None


def _read(path: Path) -> "JsonObject | None":
    try:
        with path.open("rb") as file:
            return canonical.parse(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return None
    except InvalidInputError:
        return {}
    except OSError as exc:
        raise _refused(path, exc) from None


def _write(path: Path, members: JsonObject) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.replace_file(path, canonical.dumps(members))
    except OSError as exc:
        raise _refused(path, exc) from None


def _refused(path: Path, exc: OSError) -> UnavailableError:
    return UnavailableError(f"{path.name}: {exc.strerror or type(exc).__name__}")
