"""Whoever writes to the store or the database cannot make the vault lie."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.simulators.installation import until
from tests.simulators.site import Heard, Site, problem

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]

BLOCK = 64 * 1024
"Plaintext that playback opens at a time."


@pytest.fixture(scope="module")
def long_calls(site: Site) -> Iterator[Heard]:
    """Calls of which each may be broken: two blocks of capture or more."""

    def place(_number: int) -> Heard:
        return site.heard(seconds=4.5)

    with ThreadPoolExecutor() as pool:
        return iter(list(pool.map(place, range(5))))


def _flip(file: Path, at: int) -> None:
    octets = bytearray(file.read_bytes())
    octets[at] ^= 1
    file.chmod(0o600)
    file.write_bytes(octets)


def _damage_leaves(site: Site, id: str) -> list[str]:
    return [
        entry["detail"]["object"]
        for entry in site.vault.trail()
        if entry["action"] == "recording.damaged" and entry["recording"] == id
    ]


def _assert_damaged(answer: httpx.Response) -> None:
    assert (502, "/problems/damaged") == (answer.status_code, problem(answer)["type"])


def test_a_flipped_bit_in_a_rendition_is_damage_and_on_the_trail(
    site: Site, long_calls: Iterator[Heard]
) -> None:
    heard = next(long_calls)
    file = site.vault.objects(heard.id)["rendition/0001"]
    _flip(file, file.stat().st_size - 20)

    answers = [
        site.sam.get(f"/recordings/{heard.id}/audio"),
        site.sam.get(f"/recordings/{heard.id}/audio", headers={"Range": "bytes=0-1"}),
    ]

    for answer in answers:
        _assert_damaged(answer)
    assert ["rendition/0001"] == _damage_leaves(site, heard.id)


def test_a_rendition_without_its_tail_is_damaged_and_not_shorter(
    site: Site, long_calls: Iterator[Heard]
) -> None:
    heard = next(long_calls)
    file = site.vault.objects(heard.id)["rendition/0001"]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[: 56 + 16400])

    _assert_damaged(site.sam.get(f"/recordings/{heard.id}/audio"))

    assert ["rendition/0001"] == _damage_leaves(site, heard.id)
    exported = site.vault.run("recordings", "export", heard.id, "--output", "no.flac")
    assert exported.returncode == 1
    assert not (site.vault.place / "no.flac").exists()


def test_damage_behind_the_first_block_breaks_the_connection_off(
    site: Site, long_calls: Iterator[Heard]
) -> None:
    heard = next(long_calls)
    path = f"/recordings/{heard.id}/capture"
    whole = site.sam.get(path).content
    assert len(whole) > BLOCK + 20_000
    # In chunk 4: the first one of the second block.
    _flip(site.vault.objects(heard.id)["capture/0001"], 56 + 4 * 16400 + 100)

    got = bytearray()
    with site.sam.stream("GET", path) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(octet for piece in answer.iter_raw() for octet in piece)

    assert whole[: len(got)] == got
    assert len(got) <= BLOCK
    _assert_damaged(site.sam.get(path, headers={"Range": f"bytes={BLOCK}-"}))
    # What lies apart from the damage is as good as ever.
    part = site.sam.get(path, headers={"Range": "bytes=0-99"})
    assert (206, whole[:100]) == (part.status_code, part.content)
    assert ["capture/0001"] == _damage_leaves(site, heard.id)
    exported = site.vault.run(
        "recordings", "export", heard.id, "--format", "pcapng", "--output", "no.pcapng"
    )
    assert exported.returncode == 1
    assert not (site.vault.place / "no.pcapng").exists()


def test_swapped_envelopes_open_neither_recording(
    site: Site, long_calls: Iterator[Heard]
) -> None:
    one, other = next(long_calls), next(long_calls)
    with closing(
        sqlite3.connect(site.vault.folder / "catalog" / "catalog.sqlite", timeout=30)
    ) as db:
        envelopes = dict(db.execute("SELECT recording_id, octets FROM envelope"))
        for id, octets in (
            (one.id, envelopes[other.id]),
            (other.id, envelopes[one.id]),
        ):
            db.execute(
                "UPDATE envelope SET octets = ? WHERE recording_id = ?", (octets, id)
            )
        db.commit()

    answers = [site.sam.get(f"/recordings/{each.id}/audio") for each in (one, other)]

    for answer in answers:
        _assert_damaged(answer)
    refused = [
        (entry["recording"], entry["result"], entry["reason"])
        for entry in site.vault.trail()
        if entry["action"] == "recording.key.released" and entry["result"] == "failed"
    ]
    assert {(id, "failed", "seal-broken") for id in (one.id, other.id)} <= set(refused)


def test_a_capture_that_was_altered_before_rendering_fails_and_says_why(
    site: Site,
) -> None:
    worker = site.vault.process("worker")
    worker.stop()
    try:
        call = site.pbx.place(seconds=1.0, workgroup="Claims")
        objects = until(
            lambda: (
                site.vault.objects(call.id).get("manifest")
                and site.vault.objects(call.id)
            ),
            "the call is shipped",
        )
        _flip(objects["capture/0001"], 100)
    finally:
        worker.go_on()

    heard = site.wait(call)

    assert heard.shown["reason"] == "store-damaged"
    audio = site.sam.get(f"/recordings/{heard.id}/audio")
    assert audio.status_code in {409, 502}
    assert "capture/0001" in _damage_leaves(site, heard.id)
