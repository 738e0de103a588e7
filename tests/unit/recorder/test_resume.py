import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import Allowance, CallFacts, Device, HowEnded
from vault.core.ids import DeviceId, KeyId, WorkgroupId, new_recording_id
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.recorder.resume import resumed, state_of
from vault.recorder.session import Session, begin_streams
from vault.sip.offer import read_offer
from vault.spool.config import SpoolConfig
from vault.spool.files import MANIFEST, SessionFolder
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
    return Session(
        order=order,
        device=DEVICE,
        dek=SecretBytes(bytes(range(32))),
        folder=folder,
        facts=CallFacts(caller="+4930123", attributes={"queue": "ü"}),
        workgroup_known=True,
        origin="192.0.2.9",
        address="127.0.0.1",
        started_ns=1_800_000_000_123_456_789,
        began_s=12.5,
        offer=offer,
        streams=begin_streams(offer.streams, ports),
        paused=True,
        announced=True,
        ending=HowEnded.BYE,
        version=7,
    )


def test_a_session_is_read_as_it_was_written(session: Session) -> None:
    found = resumed(state_of(session), session.folder)

    assert found is not None
    for name in (
        *("order", "device", "dek", "facts", "workgroup_known", "origin", "address"),
        *("started_ns", "began_s", "streams", "paused", "announced", "ending"),
        *("number", "version"),
    ):
        assert getattr(found, name) == getattr(session, name), name
    assert found.answer() == session.answer()
    assert [s.order() for s in found.streams.values()] == [
        s.order() for s in session.streams.values()
    ]


def test_the_disk_says_which_revision_of_the_metadata_is_the_newest(
    session: Session,
) -> None:
    state = state_of(session)
    session.folder.write_once("session/0001", b"sealed")
    session.folder.write_once("session/0002", b"sealed")
    found = resumed(state, session.folder)

    assert found is not None
    assert found.revision == 2


def test_a_session_with_a_manifest_is_over(session: Session) -> None:
    session.folder.write_once(MANIFEST, b"signed")

    assert resumed(state_of(session), session.folder) is None


def test_the_state_of_another_call_is_refused(session: Session) -> None:
    other = dataclasses.replace(session.order, recording_id=new_recording_id())
    state = state_of(dataclasses.replace(session, order=other))

    with pytest.raises(InvalidInputError):
        resumed(state, session.folder)


def test_a_session_without_a_folder_is_not_found(
    session: Session, tmp_path: Path
) -> None:
    folder = SessionFolder(tmp_path / "gone", session.recording_id)

    with pytest.raises(NotFoundError):
        resumed(state_of(session), folder)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{}",
        zlib.compress(b"[]"),
        zlib.compress(b"7"),
        zlib.compress(json.dumps({"v": 1}).encode()),
        zlib.compress(json.dumps({"v": 2}).encode()),
    ],
)
def test_anything_else_is_refused(session: Session, state: bytes) -> None:
    with pytest.raises(InvalidInputError):
        resumed(state, session.folder)


def test_a_state_of_many_long_lines_is_small(session: Session) -> None:
    assert len(state_of(session)) < 4096
