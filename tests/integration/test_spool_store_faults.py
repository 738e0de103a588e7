"""The shipper and a store that fails in every way that stores do: nothing is lost."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.simulators.lying_s3 import Lie, LyingS3, lying_s3
from tests.simulators.recorder import KEY, PBX, World
from tests.simulators.waiting import until
from vault.core.flow import CallFacts, SessionOrder
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.objects.s3 import S3Config, S3Store, client
from vault.sealing.manifest import verify_manifest
from vault.spool.backoff import Backoff
from vault.spool.ledger import SpoolState, read_status, read_totals
from vault.tap.simulate import SimulatedCall

pytestmark = pytest.mark.network


def stored_in(world: World, store: LyingS3) -> World:
    """Put *world*'s objects into *store*."""
    shared = client(
        S3Config(
            endpoint=store.endpoint,
            access_key=SecretBytes(b"access"),
            secret_key=SecretBytes(b"secret-key"),
            secure=False,
            connect_timeout_s=1,
            read_timeout_s=0.5,
            retries=0,
        )
    )
    world.media = S3Store(shared, "vault")  # type: ignore[assignment] # a store all the same
    world.envelopes = S3Store(shared, "vault-envelopes", forgets=True)  # type: ignore[assignment]
    return world


def assert_whole(store: LyingS3, recording_id: RecordingId) -> None:
    document = store.objects[f"vault/{recording_id}/manifest"]
    manifest = verify_manifest(document, {KEY.name: KEY.public})
    for one in manifest.objects:
        octets = store.objects[f"vault/{recording_id}/{one.name}"]
        assert one.sha256 == hashlib.sha256(octets).digest()
    assert f"vault-envelopes/{recording_id}/envelope" in store.objects


def order() -> SessionOrder:
    return SessionOrder(
        device=PBX,
        offer=SimulatedCall(seconds=0.2).build_offer(),
        call=CallFacts(),
        origin="127.0.0.1",
    )


def test_whatever_the_store_does_each_recording_is_there_once_and_whole(
    tmp_path: Path,
) -> None:
    async def scene(store: LyingS3) -> None:
        world = stored_in(World(tmp_path), store)
        async with world.tap() as tap:
            tap.shipper._pace = lambda: Backoff(first_s=0.01, longest_s=0.02)
            for lie in Lie:
                answer = await tap.desk.open(order())
                store.lie(lie, times=2)
                await tap.desk.close(PBX, answer.recording_id)
                folder = world.spool.directory / answer.recording_id
                await until(lambda f=folder: not f.exists(), lie)  # type: ignore[misc] # a default binds it

                assert 0 == store.lies_left, lie
                assert_whole(store, answer.recording_id)
                row = world.recordings.row(answer.recording_id)
                assert "captured" == row.state, lie

    with lying_s3() as store:
        asyncio.run(scene(store))


def test_a_store_that_takes_nothing_is_told_by_status_and_holds_up_no_call(
    tmp_path: Path,
) -> None:
    async def scene(store: LyingS3) -> None:
        world = stored_in(World(tmp_path), store)
        directory = world.spool.directory
        store.lie(Lie.SLOW_DOWN, times=10**6)
        async with world.tap() as tap:
            for _ in range(2):
                answer = await tap.desk.open(order())
                await tap.desk.close(PBX, answer.recording_id)

            def failing() -> bool:
                return all(
                    one.state is SpoolState.FAILING and one.next_try_s
                    for one in read_status(directory)
                )

            await until(failing, "both are failing")
            statuses = read_status(directory)
            totals = read_totals(directory, statuses)
            store.lie(Lie.SLOW_DOWN, times=0)
            tap.shipper._waits.clear()
            tap.shipper.notify()
            await until(lambda: read_status(directory) == [], "all is stored")

        assert {"ServerError"} == {
            one.last_error.rpartition(" ")[2] for one in statuses
        }
        assert (2, 2, None, "") == (
            totals.sessions,
            totals.waiting,
            totals.drain_s,
            totals.alarm,
        )

    with lying_s3() as store:
        asyncio.run(scene(store))
