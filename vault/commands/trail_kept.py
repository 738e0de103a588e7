"""The checkpoint of each operator's last export, kept to prove the next one against.

Guarantees: one file per operator in ``DATA_DIR/exports`` (0700), replaced as a whole
and durable; it is a signed note, as ``callvault audit verify --previous`` reads it.

Left to others: the proof (`vault.audit.continuity`).  Whoever can write this folder can
take the memory away, not forge a checkpoint: a copy kept elsewhere is better.
"""

import os
from pathlib import Path
from typing import Final

from vault.audit.verify import checkpoint_in
from vault.commands.files import whole_file
from vault.core.errors import InvalidInputError

_FOLDER: Final = "exports"
_WAY_OUT: Final = "name an earlier export with --previous, or say --no-previous"


class KeptCheckpoint:
    """What the operator of the system's user exported last."""

    def __init__(self, data_dir: Path, user_id: int) -> None:
        """Remember for the system's user *user_id* in *data_dir*."""
        self._file = data_dir / _FOLDER / f"os-{user_id}.checkpoint"

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self._file

    def prepare(self) -> None:
        """Make the folder, before anything is exported.

        Raises:
            InvalidInputError: It cannot be made, or not be written to.
        """
        folder = self._file.parent
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise InvalidInputError(f"{folder}: {exc.strerror or exc}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InvalidInputError(f"{folder}: what is exported is remembered there")

    def note(self) -> str | None:
        """Return the signed note; None before the first export.

        Raises:
            InvalidInputError: What is kept there is none, or cannot be read.
        """
        try:
            return checkpoint_in(self._file)
        except FileNotFoundError:
            return None
        except (OSError, InvalidInputError) as exc:
            raise InvalidInputError(f"{self._file}: {exc}; {_WAY_OUT}") from None

    def keep(self, note: str) -> None:
        """Remember *note* instead.

        Raises:
            InvalidInputError: It cannot be written.
        """
        with whole_file(self._file, overwrite=True) as file:
            file.write(note.encode())
