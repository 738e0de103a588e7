"""The proof that one entry is in the log, as a file that stands by itself.

Guarantees: what is written names the index, the hashes up to the root, and the signed
checkpoint; whoever holds the entry's octets and the verifier key needs nothing else.

Left to others: finding them (`vault.audit.reading`), and the leaf that says so.

Spec: https://c2sp.org/tlog-proof
"""

import base64
from typing import Final

from vault.audit.source import StoredEntry

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"


def tlog_proof(stored: StoredEntry, checkpoint: str) -> str:
    """Return the proof of *stored* under *checkpoint*, a signed note, as text."""
    lines = [
        _FIRST_LINE,
        f"index {stored.index}",
        *(base64.b64encode(one).decode() for one in stored.proof),
    ]
    return "\n".join(lines) + "\n\n" + checkpoint
