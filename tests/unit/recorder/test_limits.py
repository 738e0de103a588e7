from dataclasses import replace

import pytest

from vault.core.errors import UnavailableError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.recorder.limits import CallLimits
from vault.recorder.session import Session


def test_a_device_has_as_many_calls_as_it_may(session: Session) -> None:
    device = replace(session.device, max_calls=2)
    sessions = {RecordingId("1"): replace(session, ending=None)}
    limits = CallLimits(sessions)
    limits.check(device)
    sessions[RecordingId("2")] = replace(session, ending=None)

    with pytest.raises(UnavailableError, match="max-calls"):
        limits.check(device)


def test_calls_that_begin_count_and_those_that_end_do_not(session: Session) -> None:
    device = replace(session.device, max_calls=1)
    limits = CallLimits(
        {
            RecordingId("1"): replace(session, ending=HowEnded.BYE),
            # Still in the block below, and not counted twice for it.
            RecordingId("2"): replace(session, ending=None, announced=False),
        }
    )
    limits.check(device)
    with limits.beginning(device), pytest.raises(UnavailableError):
        limits.check(device)
    limits.check(device)


def test_devices_do_not_count_each_other_and_zero_is_no_limit(session: Session) -> None:
    limits = CallLimits({RecordingId("1"): replace(session, ending=None)})
    limits.check(replace(session.device, max_calls=0))
    other = replace(session.device, id=session.device.id + "x", max_calls=1)

    limits.check(other)
