"""How many calls a device has at a time, and how many it may have.

Guarantees: a call counts from the moment that its order is looked at until it begins
to end, whichever way it came; orders that arrive together count each other.

Left to others: the number itself (`vault.access.devices`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from vault.core.errors import UnavailableError
from vault.core.flow import Device
from vault.core.ids import DeviceId, RecordingId
from vault.recorder.session import Session

_RETRY_AFTER_S: Final = 5


class CallLimits:
    """Counts calls by device."""

    def __init__(self, sessions: Mapping[RecordingId, Session]) -> None:
        """Count among *sessions*, which the desk goes on to change."""
        self._sessions = sessions
        self._beginning: Counter[DeviceId] = Counter()

    def check(self, device: Device) -> None:
        """Return if *device* may have another call.

        Raises:
            UnavailableError: It has as many as it may have.
        """
        if device.max_calls and self._calls(device.id) >= device.max_calls:
            raise UnavailableError(
                f"the device has its {device.max_calls} calls already: "
                "callvault device set NAME --max-calls N allows more",
                retry_after_s=_RETRY_AFTER_S,
            )

    @contextmanager
    def beginning(self, device: Device) -> Iterator[None]:
        """Count a call that begins inside, until it is announced or refused."""
        self._beginning[device.id] += 1
        try:
            yield
        finally:
            self._beginning[device.id] -= 1
            if not self._beginning[device.id]:
                del self._beginning[device.id]

    def _calls(self, device_id: DeviceId) -> int:
        # Until it is announced a session counts as one that begins.
        return self._beginning[device_id] + sum(
            session.device.id == device_id
            and session.announced
            and session.ending is None
            for session in self._sessions.values()
        )
