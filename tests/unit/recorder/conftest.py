"""One call as the recorder keeps it, in the middle of its end."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.flow import Allowance, CallFacts, Device, HowEnded, Participant
from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.recorder.placing import Place
from vault.recorder.session import Session, begin_streams
from vault.sip.offer import read_offer
from vault.spool.config import SpoolConfig
from vault.spool.files import SessionFolder
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool
from vault.tap.orders import PortPair
from vault.tap.simulate import SimulatedCall

DEVICE = Device(
    id=DeviceId("22222222-2222-4222-8222-222222222222"),
    name="pbx",
    allowances=frozenset(Allowance),
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    order = SpoolOrder(
        recording_id=new_recording_id(),
        device_id=DEVICE.id,
        workgroup_id=WorkgroupId("11111111-1111-4111-8111-111111111111"),
        agent_id=None,
        kid=KeyId("k"),
        tap="tap",
        started="2026-11-23T10:00:00Z",
    )
    spool = Spool(
        SpoolConfig(directory=tmp_path / "spool", quota_bytes=1, reserve_bytes=0)
    )
    with spool:
        yield made_up(order, spool.create(order))


def made_up(order: SpoolOrder, folder: SessionFolder) -> Session:
    text = SimulatedCall(suite=SrtpSuite.AEAD_AES_256_GCM).build_offer()
    offer = read_offer(text)
    ports = [
        PortPair(address="127.0.0.1", rtp=rtp, rtcp=rtp + 1) for rtp in (40000, 40002)
    ]
    facts = CallFacts(
        caller="+4930123",
        attributes={"queue": "ü"},
        participants=(Participant(id="p1", aor="sip:1001@pbx", streams=("96", "97")),),
    )
    return Session(
        order=order,
        device=DEVICE,
        dek=SecretBytes(bytes(range(32))),
        folder=folder,
        facts=facts,
        place=Place(
            facts=dataclasses.replace(facts, agent="anna"),
            workgroup_id=order.workgroup_id,
            workgroup_known=False,
            agent_id=None,
        ),
        signalling=b"\0 dialog",
        document_octets=1234,
        origin="192.0.2.9",
        address="127.0.0.1",
        started_ns=1_800_000_000_123_456_789,
        began_s=12.5,
        offer=offer,
        streams=begin_streams(offer.streams, ports),
        paused=True,
        resume_at_s=612.5,
        announced=True,
        ending=HowEnded.BYE,
        version=7,
    )
