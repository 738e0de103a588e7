"""Who a peer on the socket's path is, beyond what the kernel says of its user.

Processes that `serve` has confined have its user, and so has an operator.  An operator
is whoever shows a file that confined processes may not open.

Guarantees: nothing that a peer sends is read before it is known who it is.

Left to others: which user has which role (`vault.warden.server`).

Spec: docs/adr/0016-processes-confined.md
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.core.errors import InvalidInputError
from vault.process import was_shown
from vault.warden.roles import Role

_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a peer may be."""

    user: Role | None
    "The role of its user; None: of nobody who proves nothing."
    proof: Path
    "The file that it may show to be able to open."
    proven: Role | None = None
    "The role of who shows it; None: showing it changes nothing."

    def role_of(self, sock: socket.socket) -> Role:
        """Wait for the peer's first octet, and tell what it is.

        Raises:
            InvalidInputError: It is nobody.
            OSError: The connection broke, or nothing came in time.
        """
        sock.settimeout(_WITHIN_S if self.user is None else None)
        shown = was_shown(sock, self.proof)
        sock.settimeout(None)
        role = self.proven if shown and self.proven else self.user
        if role is None:
            raise InvalidInputError("no proof that it is not a confined process")
        return role
