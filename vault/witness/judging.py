"""Whether a witness cosigns: the order of its questions, and what each answer means.

    1. Is this a log that it follows?                      no: UNKNOWN_LOG
    2. Has a key of that log signed the checkpoint?        no: NOT_SIGNED
    3. Is the old size no larger than the new one?         no: MALFORMED
    (from here on one submission of a log at a time)
    4. Is the old size that which it cosigned last?        no: OTHER_SIZE
    5. Of one size, is it the same tree?                   no: OTHER_TREE
    6. Does the proof lead from the old tree to the new?   no: NOT_CONSISTENT
    7. It remembers the checkpoint, durably; then it signs.

Guarantees:
    * Nothing is signed before it is remembered; so no two trees of one size are, and
      no smaller one after a larger, whenever the process is killed.
    * A signed checkpoint that was refused at 5 or 6 is kept: it may be evidence.

Left to others: requests (`vault.witness.app`), files (`vault.witness.memory`).

Spec: https://c2sp.org/tlog-witness, add-checkpoint
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

import structlog

from vault.audit import notes, tree
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.cosignature import CosignatureSigner
from vault.audit.submission import Submission
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import TrailBrokenError, VaultError
from vault.witness.memory import Memory, opened

COSIGNED: Final = "witness.cosigned"
CONTRADICTED: Final = "witness.contradicted"
MAX_SIZE: Final = 2**53 - 1
"Entries of a log: what is remembered is JSON, and numbers of it end there."

_SECOND_NS: Final = 1_000_000_000
_log = structlog.get_logger()


@unique
class Verdict(Enum):
    """What a witness says to a submission."""

    COSIGNED = auto()
    MALFORMED = auto()
    NOT_SIGNED = auto()
    UNKNOWN_LOG = auto()
    OTHER_SIZE = auto()
    OTHER_TREE = auto()
    NOT_CONSISTENT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A verdict, and what goes with it."""

    verdict: Verdict
    lines: str = ""
    "Cosignature lines, each with its newline."
    size: int = 0
    "What the witness cosigned last, where sizes or trees differ."


def by_origin(keys: Sequence[Verifier]) -> dict[str, tuple[Verifier, ...]]:
    """Return the keys of each log: a log's key bears the name of its origin."""
    found: dict[str, tuple[Verifier, ...]] = {}
    for key in keys:
        found[key.name] = (*found.get(key.name, ()), key)
    return found


class Witness:
    """Judges submissions; safe to share between threads."""

    def __init__(
        self,
        *,
        logs: Mapping[str, Sequence[Verifier]],
        signer: CosignatureSigner,
        memory: Memory,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Follow *logs*.

        Args:
            logs: Origin to keys, of which one has to have signed.
            signer: The witness's own key.
            memory: What it cosigned so far.
            clock: Nanoseconds since 1970.
        """
        self._logs = dict(logs)
        self._locks = {origin: threading.Lock() for origin in self._logs}
        self._signer = signer
        self._memory = memory
        self._clock = clock

    @property
    def key(self) -> str:
        """The verifier key of this witness."""
        return str(self._signer.cosigner)

    def judge(self, submission: Submission) -> Answer:
        """Cosign the checkpoint, or say why not.

        Raises:
            AuditUnavailableError: It cannot be remembered: nothing was signed.
            TrailBrokenError: What is remembered of this log cannot be believed.
        """
        try:
            said = Checkpoint.unverified(submission.note)
        except TrailBrokenError:
            return Answer(verdict=Verdict.MALFORMED)
        # 1. A log that it follows.
        keys = self._logs.get(said.origin)
        if keys is None:
            return Answer(verdict=Verdict.UNKNOWN_LOG)
        # 2. Signed by a key of that log.  From here on `said` is what the log says.
        try:
            opened(submission.note, keys)
        except TrailBrokenError:
            return Answer(verdict=Verdict.NOT_SIGNED)
        # 3. Logs do not shrink, not even on paper.
        if submission.old_size > said.size or said.size > MAX_SIZE:
            return Answer(verdict=Verdict.MALFORMED)
        # Asking and remembering are one step: of two submissions at a time the
        # smaller one could undo the larger.
        with self._locks[said.origin]:
            known = self._memory.known(said.origin, keys)
            answer = _refusal(submission, said, known)
            if answer is None:
                # 7. First it is remembered, then it is signed.
                self._memory.keep(said, submission.note)
                return self._cosigned(said, submission.note)
            self._contradicted(answer, said, submission)
        return answer

    def _cosigned(self, said: Checkpoint, note: str) -> Answer:
        # Extension lines are the log's: they are signed as they stand.
        line = self._signer.cosign(
            notes.Note.parse(note).text, time_s=self._clock() // _SECOND_NS
        )
        _log.info(COSIGNED, log=said.origin, size=said.size)
        return Answer(verdict=Verdict.COSIGNED, lines=line)

    def _contradicted(
        self, answer: Answer, said: Checkpoint, submission: Submission
    ) -> None:
        if answer.verdict not in {Verdict.OTHER_TREE, Verdict.NOT_CONSISTENT}:
            return
        try:
            kept = self._memory.keep_evidence(
                said.origin, submission, answer.verdict.name.lower().replace("_", "-")
            )
        except (OSError, VaultError):
            kept = None
        _log.error(
            CONTRADICTED,
            log=said.origin,
            size=said.size,
            known=answer.size,
            evidence=kept.name if kept else "",
        )


def _refusal(
    submission: Submission, said: Checkpoint, known: Checkpoint | None
) -> Answer | None:
    """Ask 4 to 6; None where nothing speaks against cosigning."""
    old_size = known.size if known else 0
    old_root = known.root if known else tree.EMPTY_ROOT
    # 4. The sender knows what the witness knows.
    if submission.old_size != old_size:
        return Answer(verdict=Verdict.OTHER_SIZE, size=old_size)
    # 5. One size, one tree; that of an empty log is known to everybody.
    if said.size == old_size and said.root != old_root:
        return Answer(verdict=Verdict.OTHER_TREE, size=old_size)
    # 6. The old tree is how the new one began; all begin with nothing, by no proof.
    refused = Answer(verdict=Verdict.NOT_CONSISTENT, size=old_size)
    if old_size == 0:
        return refused if submission.proof else None
    try:
        tree.verify_consistency(
            old_size=old_size,
            new_size=said.size,
            old_root=old_root,
            new_root=said.root,
            proof=submission.proof,
        )
    except TrailBrokenError:
        return refused
    return None
