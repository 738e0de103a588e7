"""Short notes to a session that the next page shows: what has just been done.

A form of ours is answered with a redirect; what it did is said on the page after that.
Kept in the memory of this process, and nowhere else: not in an address, where others
could write it, and not in a cookie.

Guarantees: a note is shown to the session that it was left for, and a note that nobody
fetched is dropped for a newer one; losing one loses nothing but the sentence.

Left to others: what is said (`vault.web.pages`).
"""

import threading
from collections import OrderedDict
from typing import Final

MOST: Final = 4096
"Sessions that a note is kept for; the oldest makes place."


class Notes:
    """One note for each session; safe to share between threads."""

    def __init__(self, most: int = MOST) -> None:
        """Begin without any; take for how many sessions one is kept."""
        self._most = most
        self._lock = threading.Lock()
        self._notes: OrderedDict[str, str] = OrderedDict()

    def leave(self, session_id: str, text: str) -> None:
        """Keep *text* for a session, in place of what was there."""
        with self._lock:
            self._notes.pop(session_id, None)
            self._notes[session_id] = text
            if len(self._notes) > self._most:
                self._notes.popitem(last=False)

    def read(self, session_id: str) -> str:
        """Return what was left for a session; empty for nothing."""
        with self._lock:
            return self._notes.get(session_id, "")

    def take(self, session_id: str) -> str:
        """Return it, and keep it no longer."""
        with self._lock:
            return self._notes.pop(session_id, "")
