"""What a duty remembers over restarts: one small file, written whole or not at all.

Guarantees: `Memory.write` returns when the new content is durable; a file that is
not what was written reads as nothing remembered, and never as half of it.

Left to others: what is in it.
"""

from pathlib import Path
from typing import Final

import structlog

from vault import durable
from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import InvalidInputError, UnavailableError

DAMAGED: Final = "auditor.memory-damaged"

_MOST_BYTES: Final = 1 << 20
_log = structlog.get_logger()


class Memory:
    """One file of canonical JSON, private to its user."""

    def __init__(self, path: Path) -> None:
        """Remember in *path*; its folder is made at the first write."""
        self._path = path

    def read(self) -> JsonObject:
        """Return what was written last; empty where nothing was, or it is damaged.

        Whoever asks can do without: what is forgotten is looked at again.

        Raises:
            UnavailableError: The file cannot be read now.
        """
        try:
            with self._path.open("rb") as file:
                found = canonical.parse(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except InvalidInputError:
            _log.warning(DAMAGED, file=self._path.name)
            return {}
        except OSError as exc:
            raise UnavailableError(f"{self._path.name}: {exc.strerror}") from None
        return found

    def write(self, members: JsonObject) -> None:
        """Replace what is remembered, durably.

        Raises:
            UnavailableError: The disk failed; the old content stands.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace_file(self._path, canonical.dumps(members))
        except OSError as exc:
            raise UnavailableError(f"{self._path.name}: {exc.strerror}") from None
