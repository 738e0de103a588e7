"""Channels of a call whose streams have the labels of SIPREC, which say nothing."""

from dataclasses import replace

import numpy as np

from tests.simulators.calls import Phone, Vault, added, babble, capture, heard
from tests.unit.renditions.test_worker import decoded
from vault.core.clock import rfc3339
from vault.core.ids import new_recording_id
from vault.sealing.metadata import ParticipantMetadata, SessionMetadata


def test_the_agent_is_left_whatever_the_order_of_the_streams(vault: Vault) -> None:
    customer, agent = babble(2, seed=1), babble(2, seed=2)
    packets = Phone(stream=0, ssrc=1).say(customer)
    packets += Phone(stream=1, ssrc=2).say(agent)
    part = capture(packets, added(0, "96"), added(1, "97"))
    said = SessionMetadata(
        recording_id=new_recording_id(),
        started=rfc3339(0),
        participants=(
            ParticipantMetadata(id="1", streams=("96",)),
            ParticipantMetadata(id="2", streams=("97",), agent="anna"),
        ),
    )
    known, unknown = (
        vault.captured(part, metadata=each)
        for each in (said, replace(said, participants=()))
    )
    assert vault.worker().run_once()
    assert vault.worker().run_once()

    assert np.array_equal(heard(agent), decoded(vault, known)[0])
    assert np.array_equal(heard(customer), decoded(vault, known)[1])
    assert np.array_equal(heard(customer), decoded(vault, unknown)[0])
