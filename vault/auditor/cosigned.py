"""The newest checkpoint that enough witnesses have cosigned, as a file.

    DATA_DIR/run/auditor/cosigned.note  the checkpoint, below it the signature of the
                                        log and the cosignatures

Guarantees: the file is replaced whole and durable; an older checkpoint never takes
the place of a newer one.

Left to others: who has cosigned (`vault.auditor.witnessing`), where it is published.
"""

import threading
from pathlib import Path
from typing import Final

from vault import durable
from vault.audit.checkpoint import Checkpoint
from vault.core.errors import TrailBrokenError, UnavailableError

FILE: Final = "cosigned.note"
_MOST_CHARS: Final = 65_536


class CosignedNote:
    """One file, for whoever publishes or exports."""

    def __init__(self, folder: Path) -> None:
        """Keep it in *folder*, where web may read."""
        self._path = folder / FILE
        self._lock = threading.Lock()

    def read(self) -> str | None:
        """Return the note; None where nothing was cosigned yet.

        Raises:
            UnavailableError: It cannot be read.
        """
        try:
            with self._path.open(encoding="utf-8") as file:
                return file.read(_MOST_CHARS) or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            raise UnavailableError(f"{FILE} cannot be read") from None

    def write(self, note: str) -> None:
        """Replace it by *note*, unless that is older and of the same log.

        Raises:
            UnavailableError: The disk failed; the old one stands.
        """
        with self._lock:
            said, before = Checkpoint.unverified(note), self._before()
            if before and before.origin == said.origin and before.size > said.size:
                return
            try:
                # It is public: whoever has an export has it.
                durable.replace_file(self._path, note.encode(), mode=0o644)
            except OSError as exc:
                raise UnavailableError(
                    f"{FILE} cannot be written ({exc.strerror})"
                ) from None

    def _before(self) -> Checkpoint | None:
        note = self.read()
        try:
            return Checkpoint.unverified(note) if note else None
        except TrailBrokenError:
            return None  # what cannot be read may be replaced
