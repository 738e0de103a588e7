import os
from collections.abc import Iterator

import pytest

from vault.core.errors import InvalidInputError
from vault.core.flow import HowEnded
from vault.core.ids import new_recording_id
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import control
from vault.tap.open_call import OpenCall, restated
from vault.tap.orders import (
    CallOrder,
    IceCredentials,
    MkiKey,
    PartReport,
    PortPair,
    SsrcSpan,
    StreamOrder,
)
from vault.tap.page import MAX_STATE, CallPage, PageWriter

STREAM = StreamOrder(
    index=3,
    label="agent",
    media="audio",
    suite=SrtpSuite.AEAD_AES_128_GCM,
    key=SecretBytes(bytes(range(28))),
    mkis=(MkiKey(mki=b"\x01", key=SecretBytes(bytes(range(28)))),),
    ice=IceCredentials(ufrag="abcd", password=SecretBytes(b"p" * 22)),
    payloads=(STATIC_PAYLOADS[0],),
    ports=PortPair(address="127.0.0.1", rtp=40000, rtcp=40001),
    remote=("192.0.2.1", 5004),
)


def no_part(_: int) -> int:
    raise OSError


@pytest.fixture
def call() -> Iterator[OpenCall]:
    order = CallOrder(
        recording_id=new_recording_id(),
        dek=SecretBytes(bytes(range(32))),
        streams=(STREAM,),
        open_part=no_part,
        state=b"\x00the recorder's\xff",
    )
    one = OpenCall.begin(order)
    yield one
    one.page.close()


def again(call: OpenCall) -> OpenCall:
    """Return the call as the next supervisor finds it."""
    return OpenCall.of_page(call.page, lambda _: no_part)


def test_a_call_is_found_again_as_it_was_kept(call: OpenCall) -> None:
    call.part = 4
    call.paused = True
    call.note_part(PartReport(part=3, final=False, failure="ENOSPC"))
    call.keep()
    found = again(call)

    assert (found.id, found.dek, found.part) == (call.id, call.dek, 4)
    assert (found.paused, found.how, found.state) == (True, None, call.state)
    assert found.streams == {3: STREAM}
    assert found.done == call.done


def test_a_call_that_ended_says_how_and_what_was_dropped(call: OpenCall) -> None:
    whole = PartReport(part=1, final=True, size_bytes=72, sha256=bytes(32))
    call.note_end(HowEnded.BYE, whole, {3: 7})
    found = again(call)

    assert (found.how, found.drops, found.done) == (HowEnded.BYE, {3: 7}, [whole])
    assert found.report(()).complete


def test_a_part_is_reported_once(call: OpenCall) -> None:
    call.note_part(PartReport(part=1, final=False, failure="EIO"))
    call.note_part(PartReport(part=1, final=False, failure="media-worker-died"))

    assert [report.failure for report in call.done] == ["EIO"]


def test_what_a_dead_worker_counted_is_on_the_page(call: OpenCall) -> None:
    writer = PageWriter(os.dup(call.page.fd))
    writer.note(3, 99, 70_000, 4_000, 66_000, 70_000)
    writer.note(3, 98, 12, 2, 11, 12)
    writer.close()
    found = call.counted(3)

    assert (found.label, found.authentic, found.received) == ("agent", 4_002, 4_002)
    assert found.ssrcs == (
        SsrcSpan(ssrc=99, first=66_000, last=70_000, packets=4_000),
        SsrcSpan(ssrc=98, first=11, last=12, packets=2),
    )


def test_a_state_that_does_not_fit_leaves_none_and_no_older_one(
    call: OpenCall,
) -> None:
    call.keep()
    call.state = bytes(MAX_STATE)
    call.keep()

    with pytest.raises(InvalidInputError):
        again(call)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        control.pack({"v": control.PROTOCOL}),
        control.pack({"v": control.PROTOCOL + 1, "call": "x"}),
        control.pack({"v": control.PROTOCOL, "call": "not an id"}),
    ],
)
def test_a_page_with_anything_else_is_no_call(state: bytes) -> None:
    page = CallPage.create()
    page.write_state(state)

    with pytest.raises(InvalidInputError):
        OpenCall.of_page(page, lambda _: no_part)
    page.close()


def test_a_stream_restated_says_all_that_can_change() -> None:
    change = restated(STREAM)

    assert (change.index, change.key, change.mkis) == (3, STREAM.key, STREAM.mkis)
    assert (change.ice, change.remote) == (STREAM.ice, STREAM.remote)
    assert change.held is False
