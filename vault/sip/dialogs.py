"""The dialogs that there are: which one a request is in, and whose timer is due.

Usage, for every NEW request of a peer that has a dialog (`Dialogs.find`):
    1. `Dialog.take` says whether it is its turn, or how it is refused;
    2. the application answers;
    3. `Dialog.settle` applies the answer and completes it; send what it returns.
An INVITE outside of a dialog is refused where `too_brief` says so, and makes one by
`Dialog.of` and `Dialog.settle`.

Guarantees:
    * A request is in a dialog only with both tags; or without a To tag, if it comes
      from where that dialog's last request came from and there is only one.
    * A session that expires does so once; one that we have to refresh is asked for
      its refresh once, and again only when somebody says so (`retry`).

Left to others: one dialog (`vault.sip.dialog`), what becomes of one that is over
(`vault.sip.user_agent`), how many there may be (`RecordingDesk.check`).

Spec: RFC 3261, section 12.2.2; RFC 4028, section 10.
"""

from collections.abc import Iterator
from enum import StrEnum, unique

from vault.sip.deadlines import Deadlines
from vault.sip.dialog import Dialog, Outcome, Refusal, Then, too_brief
from vault.sip.matching import DialogId, names
from vault.sip.messages import Request
from vault.sip.peers import Peer

__all__ = [
    "Dialog",
    "DialogId",
    "Dialogs",
    "Due",
    "Outcome",
    "Refusal",
    "Then",
    "too_brief",
]


@unique
class Due(StrEnum):
    """What the session timer of a dialog asks for."""

    REFRESH = "refresh"
    "Send `Dialog.refresh`."
    EXPIRED = "expired"
    "Nobody refreshed it: it is over; send BYE."


class Dialogs:
    """The dialogs that there are, and their session timers."""

    def __init__(self) -> None:
        self._dialogs: dict[DialogId, Dialog] = {}
        self._callers: dict[tuple[str, str], list[Dialog]] = {}
        self._deadlines: Deadlines[DialogId] = Deadlines()

    def add(self, dialog: Dialog) -> None:
        """Know *dialog* from now on.

        Raises:
            ValueError: One of that name is known: our tags are not random.
        """
        if dialog.id in self._dialogs:
            raise ValueError("two dialogs of one name")
        self._dialogs[dialog.id] = dialog
        caller = (dialog.call_id, dialog.remote_tag)
        self._callers.setdefault(caller, []).append(dialog)
        self.changed(dialog)

    def resume(self, dialog: Dialog, now_s: float) -> None:
        """Know a dialog of an earlier process; its timer starts anew.

        Nobody may be blamed for a refresh that came while no process listened.
        """
        dialog.refreshed_s = now_s
        self.add(dialog)

    def changed(self, dialog: Dialog) -> None:
        """Look at the session timer of *dialog* again (after `settle`, `answered`)."""
        if dialog.id not in self._dialogs:
            return
        due_s = dialog.due_s
        if due_s is None:
            self._deadlines.drop(dialog.id)
        else:
            self._deadlines.set(dialog.id, due_s)

    def retry(self, dialog: Dialog, at_s: float) -> None:
        """Ask for a refresh of *dialog* again at *at_s*, if it still stands then."""
        if dialog.id in self._dialogs and dialog.timer is not None:
            expires_s = dialog.timer.expires_s(dialog.refreshed_s)
            self._deadlines.set(dialog.id, min(at_s, expires_s))

    def remove(self, dialog: Dialog) -> bool:
        """Forget *dialog*; whether it was known."""
        if self._dialogs.pop(dialog.id, None) is None:
            return False
        caller = (dialog.call_id, dialog.remote_tag)
        listed = [one for one in self._callers[caller] if one is not dialog]
        if listed:
            self._callers[caller] = listed
        else:
            del self._callers[caller]
        self._deadlines.drop(dialog.id)
        return True

    def get(self, id: DialogId) -> Dialog | None:
        """Return the dialog of that name."""
        return self._dialogs.get(id)

    def find(self, request: Request, peer: Peer) -> Dialog | None:
        """Return the dialog that *request* of a peer is in.

        One without a To tag is in the only dialog of that Call-ID and From tag, if
        it comes from the address of that dialog: BroadWorks and CUBE forget the tag.

        Raises:
            MalformedSignallingError: Call-ID, From or To is absent or malformed.
        """
        call_id, from_tag, to_tag = names(request)
        if to_tag:
            return self._dialogs.get(DialogId(call_id, to_tag, from_tag))
        # Whoever lacks our tag has not proved to have seen our answer; its address
        # and, after this, its device have to speak for it (`Application.admit`).
        found = self._callers.get((call_id, from_tag), ())
        if len(found) == 1 and found[0].peer.place == peer.place:
            return found[0]
        return None

    def due(self, now_s: float) -> tuple[tuple[tuple[Dialog, Due], ...], float | None]:
        """Return whose timer asks for what, once each, and when to ask again."""
        found: list[tuple[Dialog, Due]] = []
        while (id := self._deadlines.take(now_s)) is not None:
            dialog = self._dialogs[id]
            if dialog.timer is None:
                continue
            expires_s = dialog.timer.expires_s(dialog.refreshed_s)
            if now_s >= expires_s:
                found.append((dialog, Due.EXPIRED))
            else:
                found.append((dialog, Due.REFRESH))
                self._deadlines.set(id, expires_s)
        return tuple(found), self.next_due_s

    @property
    def next_due_s(self) -> float | None:
        """When `due` has something to do."""
        return self._deadlines.next_s

    def __len__(self) -> int:
        return len(self._dialogs)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(tuple(self._dialogs.values()))
