"""What the recorder is handed, besides the media tap and the spool."""

from typing import Protocol

from vault.access.extensions import Extension
from vault.core.ids import UserId, WorkgroupId
from vault.sealing.envelope import Recipient


class RecipientKeys(Protocol):
    """Public keys that a data key is wrapped for."""

    def recipients(self, month: str) -> list[Recipient]:
        """Return everybody who may open a recording of *month* (``2026-11``).

        MUST NOT wait for a network: past the last month it knows it goes on with
        the newest.

        Raises:
            NoRecipientKeyError: There is none: the call must be refused.
        """
        ...


class People(Protocol):
    """Names that PBXes use, and the ids that rows are scoped by."""

    def workgroup(self, name: str) -> tuple[WorkgroupId, bool]:
        """Return the workgroup called *name* and whether it is known.

        An unknown name, or none, gives the id of ``default``: it never refuses
        a call.
        """
        ...

    def agent(self, name: str) -> UserId | None:
        """Return the user who is called *name*, if there is one."""
        ...

    def extension(self, address: str) -> Extension | None:
        """Return the entry of the table of extensions for *address*, if any."""
        ...


class Disk(Protocol):
    """Whether what is written becomes durable in time (`vault.tap`'s syncer)."""

    def check(self) -> None:
        """Raise `SpoolFullError` while syncs fail or take too long."""
        ...
