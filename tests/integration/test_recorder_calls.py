"""Calls from the offer to the store: real workers, real packets on loopback."""

import asyncio
import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from cryptography.cobblestone import Cobblestone256Decryptor

from tests.simulators.recorder import DEFAULT, LEGACY, OTHER, PBX, SALES, World
from tests.simulators.waiting import until
from vault.core.errors import (
    ConflictError,
    NoRecipientKeyError,
    NotFoundError,
    SpoolFullError,
    UnavailableError,
    UnsupportedOfferError,
)
from vault.core.flow import (
    CallFacts,
    HowEnded,
    RecordingState,
    SessionChange,
    SessionOrder,
)
from vault.core.ids import RecordingId
from vault.core.media import Protection, SrtpSuite
from vault.recorder.config import RecorderConfig
from vault.recorder.watch import BOTH_WAYS, KEY_SPENT, ONE_WAY, SILENT, Watch
from vault.sealing.chunks import context
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import unpad
from vault.sealing.reader import open_sealed
from vault.spool.ledger import read_status
from vault.tap.capture import Event, parse_records
from vault.tap.simulate import SimulatedCall, build_offer

KEY_30 = base64.b64encode(bytes(range(30))).decode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def shipped(world: World, recording_id: RecordingId) -> None:
    await until(lambda: not (world.spool.directory / recording_id).exists())


def order(offer: str, **facts: object) -> SessionOrder:
    return SessionOrder(
        device=PBX, offer=offer, call=CallFacts(**facts), origin="127.0.0.1"
    )


def silent_offer() -> str:
    section = ["m=audio 9 RTP/SAVP 0", crypto(KEY_30)]
    return build_offer([section], address="127.0.0.1")


def crypto(key: str) -> str:
    return f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"


def opened_by_pyca(world: World, recording_id: RecordingId, name: str) -> bytes:
    decryptor = Cobblestone256Decryptor(
        world.dek(recording_id).reveal(), context(recording_id, name)
    )
    return decryptor.update(world.sealed(recording_id, name)) + decryptor.finalize()


def metadata(world: World, recording_id: RecordingId, revision: int) -> SessionMetadata:
    name = f"session/{revision:04d}"
    return SessionMetadata.parse(
        unpad(
            open_sealed(
                world.sealed(recording_id, name),
                key=world.dek(recording_id),
                context=context(recording_id, name),
            )
        )
    )


async def _whole_call(world: World, suite: SrtpSuite) -> None:
    call = SimulatedCall(suite=suite, seconds=0.6)
    asked = order(call.build_offer(), caller="+4930123", workgroup="sales")
    async with world.tap() as tap:
        answer = await tap.desk.open(replace(asked, device=LEGACY))
        sent = await asyncio.to_thread(call.send, answer.sdp)
        await tap.desk.close(LEGACY, answer.recording_id)
        status = await tap.desk.status(LEGACY, answer.recording_id)
        await shipped(world, answer.recording_id)
        again = await tap.desk.status(LEGACY, answer.recording_id)

    recording_id = answer.recording_id
    manifest = world.manifest(recording_id)
    records = list(parse_records(opened_by_pyca(world, recording_id, "capture/0001")))
    row = world.recordings.row(recording_id)

    assert [s.packets for s in sent] == [s.authentic for s in manifest.streams]
    assert sum(s.packets for s in sent) == sum(r.kind == 0 for r in records)
    assert [("agent", suite), ("customer", suite)] == [
        (s.label, s.suite) for s in manifest.streams
    ]
    assert _protection(suite) == world.trail.of(recording_id)[0].detail.get(
        "protection"
    )
    assert (RecordingState.CAPTURED, SALES) == (row.state, row.workgroup_id)
    assert ("captured", None) == (status.state, status.reason)
    assert status == again
    assert [None, "+4930123"] == [
        metadata(world, recording_id, 1).ended,
        metadata(world, recording_id, 2).caller,
    ]
    assert metadata(world, recording_id, 2).ended is not None
    assert ["recording.started", "recording.captured"] == world.trail.actions(
        recording_id
    )


def _protection(suite: SrtpSuite) -> str | None:
    return None if suite.protection is Protection.STRONG else str(suite.protection)


@pytest.mark.parametrize("suite", list(SrtpSuite))
def test_a_call_is_in_store_row_and_trail_and_opens_with_pyca(
    world: World, suite: SrtpSuite
) -> None:
    asyncio.run(_whole_call(world, suite))


def test_a_wrong_key_is_counted_kept_and_said(world: World) -> None:
    async def scene() -> None:
        call = SimulatedCall(seconds=0.3)
        offer = call.build_offer()
        used = offer.split("inline:")[1].split("\r\n")[0]
        async with world.tap() as tap:
            answer = await tap.desk.open(order(offer.replace(used, KEY_30)))
            await asyncio.to_thread(call.send, answer.sdp)
            await tap.desk.close(PBX, answer.recording_id)
            status = await tap.desk.status(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)

        agent, customer = world.manifest(answer.recording_id).streams
        assert (0, 15) == (agent.authentic, agent.undecryptable_kept)
        assert 15 == agent.rejected["unauthenticated"]
        assert 15 == customer.authentic
        assert [15, 0] == [s.packets_undecryptable for s in status.streams]

    asyncio.run(scene())


def test_a_call_without_media_still_ships_and_says_so(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            await tap.desk.close(PBX, answer.recording_id)
            status = await tap.desk.status(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)
            note = await tap.desk.status(PBX, answer.recording_id)

        row = world.recordings.row(answer.recording_id)
        assert ("failed", "no-media") == (status.state, status.reason)
        assert "failed" == note.state
        assert [0] == [s.packets_received for s in row.streams]
        assert DEFAULT == row.workgroup_id

    asyncio.run(scene())


def test_an_unknown_workgroup_lands_in_default_and_is_flagged(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer(), workgroup="nobody"))
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)

        assert not metadata(world, answer.recording_id, 1).workgroup_known
        assert DEFAULT == world.recordings.row(answer.recording_id).workgroup_id

    asyncio.run(scene())


def test_what_cannot_be_kept_is_refused_and_leaves_nothing(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            world.directory.has_keys = False
            with pytest.raises(NoRecipientKeyError):
                await tap.desk.open(order(silent_offer()))
            world.directory.has_keys = True
            with pytest.raises(UnsupportedOfferError):
                await tap.desk.open(order("v=0\r\nm=video 5 RTP/AVP 96\r\n"))
            assert [] == tap.spool.recordings()
            assert {} == tap.desk.sessions

    asyncio.run(scene())


def test_a_spool_at_its_quota_refuses_and_running_calls_go_on(tmp_path: Path) -> None:
    world = World(tmp_path, quota_bytes=1)

    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            await until(lambda: tap.spool.used_bytes() > 0)
            with pytest.raises(SpoolFullError):
                await tap.desk.open(order(silent_offer()))
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)

        assert HowEnded.BYE is world.manifest(answer.recording_id).how

    asyncio.run(scene())


def test_when_the_media_ports_are_used_up_a_call_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, ports=(41_210, 41_213))

    async def scene() -> None:
        async with world.tap() as tap:
            await tap.desk.open(order(silent_offer()))
            await tap.desk.open(order(silent_offer()))
            with pytest.raises(SpoolFullError):
                await tap.desk.open(order(silent_offer()))

    asyncio.run(scene())


def test_another_devices_session_is_no_session(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            for asked in (
                tap.desk.status(OTHER, answer.recording_id),
                tap.desk.close(OTHER, answer.recording_id),
                tap.desk.renew(OTHER, answer.recording_id, offer=silent_offer()),
                tap.desk.change(OTHER, answer.recording_id, SessionChange(paused=True)),
            ):
                with pytest.raises(NotFoundError):
                    await asked
            await tap.desk.close(PBX, answer.recording_id)
            for _ in range(2):
                with pytest.raises(NotFoundError):
                    await tap.desk.close(OTHER, answer.recording_id)
                with pytest.raises(NotFoundError):
                    await tap.desk.status(OTHER, answer.recording_id)
                await shipped(world, answer.recording_id)

    asyncio.run(scene())


def test_a_new_offer_keeps_ports_rekeys_and_adds_streams(world: World) -> None:
    async def scene() -> None:
        first, second = SimulatedCall(seconds=0.3), SimulatedCall(seconds=0.3)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(first.build_offer()))
            await asyncio.to_thread(first.send, answer.sdp)
            more = (
                second.build_offer() + f"m=audio 9 RTP/SAVP 8\r\n{crypto(KEY_30)}\r\n"
            )
            renewed = await tap.desk.renew(PBX, answer.recording_id, offer=more)
            assert ports(answer.sdp) == ports(renewed.sdp)[:2]
            assert 3 == len(ports(renewed.sdp))
            kept = renewed.sdp.partition("m=audio")[0]
            assert kept.splitlines()[1] != answer.sdp.splitlines()[1]
            two = renewed.sdp.rpartition("m=audio")[0]
            await asyncio.to_thread(second.send, two)
            held = more.replace("a=sendonly", "a=inactive")
            quiet = await tap.desk.renew(PBX, answer.recording_id, offer=held)
            assert 2 == quiet.sdp.count("a=inactive")
            with pytest.raises(UnsupportedOfferError):
                await tap.desk.renew(
                    PBX, answer.recording_id, offer=first.build_offer()
                )
            await tap.desk.close(PBX, answer.recording_id)
            with pytest.raises(ConflictError):
                await tap.desk.renew(PBX, answer.recording_id, offer=held)
            await shipped(world, answer.recording_id)

        streams = world.manifest(answer.recording_id).streams
        assert [30, 30, 0] == [stream.authentic for stream in streams]
        assert "stream3" == streams[2].label

    asyncio.run(scene())


def test_ports_of_a_new_offer_that_the_tap_refuses_are_given_back(
    world: World,
) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            media = tap.desk._parts.media
            # The tap has lost the call, and the desk does not know it yet.
            await media.close_call(answer.recording_id)
            more = silent_offer() + f"m=audio 9 RTP/SAVP 8\r\n{crypto(KEY_30)}\r\n"
            with pytest.raises(NotFoundError):
                await tap.desk.renew(PBX, answer.recording_id, offer=more)
            used = media._sockets.used
            await tap.desk.close(PBX, answer.recording_id)

            assert used == 0

    asyncio.run(scene())


def test_an_end_that_waits_keeps_no_other_one_waiting(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            for _ in range(3):
                await tap.desk.open(order(silent_offer()))
            first, *others = tap.desk.sessions.values()
            watch = Watch(tap.desk, RecorderConfig())
            over = [(one, HowEnded.TIMEOUT) for one in (first, *others)]
            async with first.lock:
                ends = asyncio.create_task(watch._end_all(over))
                await until(lambda: len(tap.desk.sessions) == 1)

                assert list(tap.desk.sessions.values()) == [first]
            await ends

            assert not tap.desk.sessions

    asyncio.run(scene())


def test_pause_and_facts_change_while_the_call_runs(world: World) -> None:
    async def scene() -> None:
        call = SimulatedCall(seconds=0.3)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(call.build_offer(), agent="a"))
            paused = await tap.desk.change(
                PBX,
                answer.recording_id,
                SessionChange(
                    paused=True, call={"agent": "b", "attributes": {"k": "v"}}
                ),
            )
            await asyncio.to_thread(call.send, answer.sdp)
            going = await tap.desk.change(
                PBX, answer.recording_id, SessionChange(paused=False)
            )
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)

        records = parse_records(
            opened_by_pyca(world, answer.recording_id, "capture/0001")
        )
        changed = metadata(world, answer.recording_id, 2)
        assert ["paused", "recording"] == [paused.state, going.state]
        assert 0 == sum(record.kind == 0 for record in records)
        assert [15, 15] == [
            s.authentic for s in world.manifest(answer.recording_id).streams
        ]
        assert ("b", {"k": "v"}) == (changed.agent, dict(changed.attributes))

    asyncio.run(scene())


def test_a_session_without_packets_times_out(tmp_path: Path) -> None:
    config = RecorderConfig(idle_timeout_s=0.2, watch_interval_s=0.05)
    world = World(tmp_path, config=config)

    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            await until(lambda: not tap.desk.sessions)
            await shipped(world, answer.recording_id)

        assert HowEnded.TIMEOUT is world.manifest(answer.recording_id).how

    asyncio.run(scene())


def test_a_tap_that_stops_ends_its_calls_as_cut_and_the_next_one_ships_them(
    world: World,
) -> None:
    async def scene() -> None:
        world.media.failures = 10**6
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
        (status,) = read_status(world.spool.directory)
        assert answer.recording_id == status.recording_id
        world.media.failures = 0
        async with world.tap():
            await shipped(world, answer.recording_id)

        assert HowEnded.CUT is world.manifest(answer.recording_id).how

    asyncio.run(scene())


def test_with_warden_and_stores_down_calls_are_recorded_and_shipped_later(
    world: World,
) -> None:
    async def scene() -> None:
        world.trail.down, world.media.failures = True, 10**6
        call = SimulatedCall(seconds=0.2)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(call.build_offer()))
            await asyncio.to_thread(call.send, answer.sdp)
            await tap.desk.close(PBX, answer.recording_id)
            await until(lambda: read_status(world.spool.directory)[0].last_error != "")
            world.media.failures, world.media.after = 3, True
            await until(lambda: world.media.failures == 0)
            world.trail.answers_lost, world.trail.down = 1, False
            await shipped(world, answer.recording_id)

        assert 20 == sum(
            s.authentic for s in world.manifest(answer.recording_id).streams
        )
        assert ["recording.started", "recording.captured"] == world.trail.actions(
            answer.recording_id
        )

    asyncio.run(scene())


def test_what_a_device_changes_mid_call_is_on_the_trail(world: World) -> None:
    async def scene() -> None:
        call = SimulatedCall(seconds=0.2)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(call.build_offer()))
            id = answer.recording_id
            await tap.desk.change(PBX, id, SessionChange(paused=True))
            await tap.desk.change(PBX, id, SessionChange(paused=True))
            await tap.desk.change(PBX, id, SessionChange(call={"agent": "eve"}))
            await tap.desk.change(PBX, id, SessionChange(paused=False))
            await tap.desk.renew(PBX, id, offer=call.build_offer())
            await tap.desk.close(PBX, id)
            await shipped(world, id)

            assert [
                "recording.started",
                "recording.paused",
                "recording.changed",
                "recording.resumed",
                "recording.changed",
                "recording.captured",
            ] == world.trail.actions(id)

    asyncio.run(scene())


def ports(sdp: str) -> list[int]:
    return [int(line.split()[1]) for line in sdp.splitlines() if line[:2] == "m="]


def test_a_manifest_that_cannot_be_written_is_tried_until_it_is(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, config=RecorderConfig(watch_interval_s=0.05))

    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            folder = world.spool.directory / answer.recording_id
            # In the way of the manifest's private name: the disk says no.
            obstacle = folder / f".manifest.{os.getpid()}.new"
            obstacle.mkdir()
            with pytest.raises(UnavailableError):
                await tap.desk.close(PBX, answer.recording_id)
            status = await tap.desk.status(PBX, answer.recording_id)
            with pytest.raises(ConflictError):
                await tap.desk.renew(PBX, answer.recording_id, offer=silent_offer())
            obstacle.rmdir()
            await until(lambda: not tap.desk.sessions)
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)

        assert "recording" == status.state
        assert HowEnded.BYE is world.manifest(answer.recording_id).how

    asyncio.run(scene())


def test_a_call_that_is_heard_one_way_only_is_said_and_so_is_its_repair(
    tmp_path: Path,
) -> None:
    config = RecorderConfig(
        silence_alarm_s=0, one_way_alarm_s=0.4, watch_interval_s=0.05
    )
    world = World(tmp_path, config=config)

    async def scene() -> None:
        async with world.tap() as tap:
            call = SimulatedCall(seconds=1.5)
            answer = await tap.desk.open(order(call.build_offer()))
            agent_only = answer.sdp.splitlines(keepends=True)
            second = [n for n, line in enumerate(agent_only) if line.startswith("m=")][
                1
            ]
            agent_only[second] = agent_only[second].replace(
                agent_only[second].split()[1], "9"
            )
            with structlog.testing.capture_logs() as said:
                # The customer's packets go where nobody listens.
                await asyncio.to_thread(call.send, "".join(agent_only))
                await until(lambda: tap.watch.told["one-way"])
                again = SimulatedCall(seconds=0.5)
                renewed = await tap.desk.renew(
                    PBX, answer.recording_id, offer=again.build_offer()
                )
                await asyncio.to_thread(again.send, renewed.sdp)
                await until(lambda: not tap.watch.standing["one-way"])

        begins, *_, ends = [
            (line["event"], line["recording"], line["stream"])
            for line in said
            if line["event"] in {ONE_WAY, BOTH_WAYS}
        ]
        assert (ONE_WAY, answer.recording_id, 1) == begins
        assert BOTH_WAYS == ends[0]

    asyncio.run(scene())


def test_a_session_without_an_authentic_packet_is_said_once_in_the_log(
    tmp_path: Path,
) -> None:
    config = RecorderConfig(silence_alarm_s=0.1, watch_interval_s=0.05)
    world = World(tmp_path, config=config)

    async def scene() -> None:
        async with world.tap() as tap:
            answer = await tap.desk.open(order(silent_offer()))
            with structlog.testing.capture_logs() as said:
                await until(lambda: tap.watch.standing["silent"])
                await asyncio.sleep(0.3)

        assert [answer.recording_id] == [
            line["recording"] for line in said if line["event"] == SILENT
        ]
        assert {"silent": 1, "one-way": 0, "key-spent": 0} == tap.watch.told

    asyncio.run(scene())


def test_a_key_beyond_its_lifetime_is_said_once_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, config=RecorderConfig(watch_interval_s=0.05))

    async def scene() -> None:
        call = SimulatedCall(seconds=0.5)
        # Two streams of 25 packets: one may send 2^3, the other any number.
        limited, _, rest = call.build_offer().partition("inline:")
        key, end, rest = rest.partition("\r\n")
        offer = f"{limited}inline:{key.partition('|')[0]}|2^3{end}{rest}"
        with structlog.testing.capture_logs() as said:
            async with world.tap() as tap:
                answer = await tap.desk.open(order(offer))
                await asyncio.to_thread(call.send, answer.sdp)
                await until(lambda: 1 == tap.watch.told["key-spent"])
                await tap.desk.close(PBX, answer.recording_id)
                await shipped(world, answer.recording_id)

        capture = opened_by_pyca(world, answer.recording_id, "capture/0001")
        events = [r for r in parse_records(capture) if Event.KEY_SPENT in str(r.octets)]
        assert [0] == [record.stream for record in events]
        assert 1 == sum(one["event"] == KEY_SPENT for one in said)
        assert [25, 25] == [
            stream.authentic for stream in world.manifest(answer.recording_id).streams
        ]

    asyncio.run(scene())
