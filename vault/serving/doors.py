"""Doors: how a child opens connections to the warden, whichever warden that is.

A door is a SEQPACKET socket pair that `serve` keeps.  Through it a child sends one
end of a fresh stream pair; the role of that connection is the door's (ADR 4).

Guarantees: a message waits in the door until a warden takes it; a warden that dies
takes no role with it and tears no frame of the next one.

Spec: unix(7), SCM_RIGHTS
"""

import socket
import threading
from typing import Final

from vault.warden.server import Warden

_KNOCK: Final = b"c"
_MOST_AT_ONCE: Final = 4


def answer(warden: Warden, role: str, door: socket.socket) -> None:
    """Attach every connection that comes through *door*, in the background."""
    threading.Thread(
        target=_answer, args=(warden, role, door), name=f"door-{role}", daemon=True
    ).start()


def _answer(warden: Warden, role: str, door: socket.socket) -> None:
    while True:
        try:
            said, descriptors, _, _ = socket.recv_fds(door, 8, _MOST_AT_ONCE)
        except OSError:
            return
        if not said:
            return
        for descriptor in descriptors:
            warden.attach(role, socket.socket(fileno=descriptor))
