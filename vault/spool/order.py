"""What the spool may know about a call in plaintext: ids, a day and a start.

It is all that recovery needs to account for a call whose process died, and
nothing of it says who spoke.

Guarantees: `SpoolOrder.parse(bytes(order)) == order`.

Spec: docs/reference/formats/spool.md
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from vault.core import canonical
from vault.core.errors import InvalidInputError
from vault.core.ids import DeviceId, KeyId, RecordingId, UserId, WorkgroupId

_VERSION: Final = 1
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolOrder:
    """One accepted session, by ids."""

    recording_id: RecordingId
    device_id: DeviceId
    workgroup_id: WorkgroupId
    agent_id: UserId | None
    kid: KeyId
    "First recipient's key: where an operator looks when a month is destroyed."
    tap: str
    started: str
    "RFC 3339, UTC."

    @property
    def day(self) -> str:
        """UTC day of the start."""
        return self.started[:10]

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": _VERSION,
                "recording_id": self.recording_id,
                "device_id": self.device_id,
                "workgroup_id": self.workgroup_id,
                "agent_id": self.agent_id,
                "kid": self.kid,
                "tap": self.tap,
                "started": self.started,
            }
        )

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read an order back.

        Raises:
            InvalidInputError: It is not one of ours.
        """
        members = canonical.parse(octets)
        agent = members.pop("agent_id", None)
        texts = {name: text for name, text in members.items() if isinstance(text, str)}
        try:
            if members["v"] != _VERSION or len(texts) + 1 != len(members):
                raise InvalidInputError("not a spool order of this version")
            if agent is not None and not isinstance(agent, str):
                raise InvalidInputError("not a spool order")
            order = cls(
                recording_id=RecordingId(texts.pop("recording_id")),
                device_id=DeviceId(texts.pop("device_id")),
                workgroup_id=WorkgroupId(texts.pop("workgroup_id")),
                agent_id=None if agent is None else UserId(agent),
                kid=KeyId(texts.pop("kid")),
                tap=texts.pop("tap"),
                started=texts.pop("started"),
            )
        except KeyError:
            raise InvalidInputError("not a spool order") from None
        if texts or not _DAY.fullmatch(order.day):
            raise InvalidInputError("not a spool order")
        return order
