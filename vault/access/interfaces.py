"""What access must know of a recording to decide about it.

The catalog's rows fit; access never asks the catalog itself, so that whoever
decides has already been given the row through a scope.
"""

from typing import Protocol

from vault.core.flow import RecordingState
from vault.core.ids import RecordingId, UserId, WorkgroupId


class Subject(Protocol):
    """A recording, as far as the policy looks at it."""

    @property
    def id(self) -> RecordingId:
        """Which recording."""
        ...

    @property
    def workgroup_id(self) -> WorkgroupId | None:
        """Whose it is; None belongs to nobody yet."""
        ...

    @property
    def agent_id(self) -> UserId | None:
        """Who was the agent, if one of the people was."""
        ...

    @property
    def class_name(self) -> str | None:
        """Its class; None for that of its workgroup."""
        ...

    @property
    def state(self) -> RecordingState:
        """Where it stands."""
        ...
