"""What the verification of an export proved.

Guarantees: every member was proved by signatures and hashes, except that *query* says
only what each row agrees with, never that no other row does.

Left to others: proving it (`vault.audit.verify`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vault.audit.checkpoint import Checkpoint
from vault.audit.cosignature import Cosigned
from vault.core.canonical import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was proved."""

    origin: str
    size: int
    "Entries of the log that the checkpoint stands for."
    root: bytes
    rows: int
    whole: bool
    "Whether every entry of the log is in the export."
    query: Mapping[str, JsonValue]
    "Which entries were asked for; empty for all."
    marks: int
    "Checkpoints on the way whose trees were compared."
    first_time: str
    last_time: str
    previous_size: int | None
    "Size of the earlier checkpoint given that the log was proved to begin with."
    continues: Checkpoint | None
    "The earlier checkpoint named in the export that the log was proved to begin with."
    checkpoint: str
    witnessed: Mapping[str, Cosigned] = field(default_factory=dict)
    "Of each witness named, by verifier key, the largest checkpoint that it cosigned."
