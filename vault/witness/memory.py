"""What a witness remembers: the newest checkpoint that it cosigned, of each log.

One file per log, in the form of the signer's high-water mark, named for the origin's
digest.  It is all that keeps the witness from signing two trees.

Guarantees:
    * `keep` returns when the new checkpoint is durable; a crash leaves the old or the
      new one, never a mixture.
    * One process at a time has a folder.
    * What was kept is believed only while it bears the signature of the log.

Does not guarantee: that nobody puts an older folder back.  Nothing in the folder could
tell: a witness that lost its memory is retired with its key.

Left to others: what is signed (`vault.witness.judging`).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vault.audit import mark, notes
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.submission import Submission
from vault.core.errors import TrailBrokenError

MAX_EVIDENCE: Final = 100
"Submissions of a kind kept for showing; later ones are logged and not kept."

_LOCKED: Final = "witness"


class Memory:
    """The folder of one witness."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            ConflictError: Another process has it.
            AuditUnavailableError: It cannot be written.
        """
        self._folder = folder
        self._lock = mark.WriterLock(folder / _LOCKED)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.release()

    def known(self, origin: str, keys: Sequence[Verifier]) -> Checkpoint | None:
        """Return what was cosigned last of *origin*; None where nothing was.

        Raises:
            TrailBrokenError: What is kept is not what a key of *keys* has signed.
            AuditUnavailableError: It cannot be read.
        """
        kept = mark.read(self._path(origin))
        if kept is None:
            return None
        checkpoint = opened(kept.note, keys)
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
            origin,
            kept.size,
            kept.root,
        ):
            raise TrailBrokenError("what the witness remembers contradicts itself")
        return checkpoint

    def keep(self, checkpoint: Checkpoint, note: str) -> None:
        """Remember *checkpoint*, signed as *note*, and return when that is durable.

        Raises:
            AuditUnavailableError: The disk failed; nothing may be signed.
        """
        mark.write(self._path(checkpoint.origin), mark.Mark.of(checkpoint, note))

    def keep_evidence(
        self, origin: str, submission: Submission, kind: str
    ) -> Path | None:
        """Keep a submission that was signed and refused, with what it contradicts.

        Two notes are kept once, whatever proof they came with: that is anybody's.
        Each *kind* has room of its own, for the same reason: who sends the log's own
        checkpoints with bad proofs takes no room from two trees of one size.

        Returns:
            The file: the submission, and below it the note that was cosigned last.
            None where there is no room.

        Raises:
            OSError: The disk failed.
        """
        kept = mark.read(self._path(origin))
        earlier = (kept.note if kept else "").encode()
        text = notes.Note.parse(submission.note).text.encode()
        name = hashlib.sha256(text + b"\n" + earlier).hexdigest()
        folder = self._folder / "evidence"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{kind}-{name}.txt"
        if not path.exists():
            if sum(1 for _ in folder.glob(f"{kind}-*")) >= MAX_EVIDENCE:
                return None
            path.write_bytes(bytes(submission) + b"\n" + earlier)
        return path

    def _path(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"


def opened(note: str, keys: Sequence[Verifier]) -> Checkpoint:
    """Return the checkpoint in *note*, signed by one of *keys*.

    Raises:
        TrailBrokenError: None of them has signed it.
    """
    for key in keys:
        try:
            return key.open_checkpoint(note)
        except TrailBrokenError:
            continue
    raise TrailBrokenError("no known key has signed this")
