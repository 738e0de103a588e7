"""H45: five hundred sign-ins a second, and everybody else goes on working."""

import asyncio
import json
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.simulators.installation import Installation

pytestmark = pytest.mark.xdist_group("system-small")

IN_FULL = os.environ.get("CALLVAULT_TEST_TIMING") == "1"
PER_SECOND = 500
SECONDS = 20 if IN_FULL else 2
MIB = 1024 * 1024
_CLOSED = 0


@pytest.fixture
def vault() -> Iterator[Installation]:
    vault = Installation(
        {
            # As it is shipped, and behind a proxy: the flood comes from everywhere.
            "CALLVAULT_PASSWORD_MEMORY_MIB": "64",
            "CALLVAULT_TRUSTED_PROXIES": "127.0.0.1/32",
            "CALLVAULT_WEB_ACTOR_REQUESTS_PER_MINUTE": "60000",
        }
    )
    try:
        vault.said("init", "--yes")
        vault.add_user("sam", "supervisor", "Claims")
        vault.start()
        yield vault
    finally:
        vault.close()


def test_h45_a_flood_of_sign_ins_costs_those_who_sign_in_and_nobody_else(
    vault: Installation,
) -> None:
    sam = vault.sign_in("sam")
    web = vault.process("web").pid
    quiet = _durations_s(sam, 20)
    before, over = _memory_bytes(web), threading.Event()
    peak = [before]

    def watch() -> None:
        while not over.wait(0.05):
            peak.append(_memory_bytes(web))

    with ThreadPoolExecutor(2) as pool:
        watching = pool.submit(watch)
        flooding = pool.submit(asyncio.run, _flood(vault.web))
        busy = list[float]()
        while not flooding.done():
            busy += _durations_s(sam, 1)
        over.set()
        watching.result()
    answered = flooding.result()
    logging.getLogger(__name__).info(
        "answers %s; others waited at most %.3f s of %d, quiet %.3f s; %+d MiB",
        dict(answered),
        max(busy),
        len(busy),
        max(quiet),
        (max(peak) - before) // MIB,
    )

    assert PER_SECOND * SECONDS == answered.total()
    # A wrong password each: looked at, or told to come back (503: by a busy machine).
    assert {401, 429} == {*answered} - {503, _CLOSED}
    assert max(peak) - before < 200 * MIB
    # Afterwards nobody is shut out who was not guessed at.
    assert 200 == sam.get("/recordings").status_code
    vault.sign_in("sam")


def _durations_s(client: httpx.Client, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        answer = client.get("/recordings")
        taken.append(time.perf_counter() - begun)
        assert 200 == answer.status_code
    return taken


async def _flood(address: str) -> Counter[int]:
    """Send *PER_SECOND* sign-ins a second, each from somewhere else; count answers."""
    host, port = address.split(":")
    found: Counter[int] = Counter()
    pace = asyncio.get_running_loop().time()

    async def guess(number: int) -> None:
        await asyncio.sleep(
            pace + number / PER_SECOND - asyncio.get_running_loop().time()
        )
        body = json.dumps({"user": f"name{number}", "password": secrets.token_hex(8)})
        request = (
            f"POST /api/v1/sessions HTTP/1.1\r\nHost: {address}\r\n"
            f"X-Forwarded-For: 198.{18 + number % 2}.{number // 2 % 250}.{number % 250}"
            "\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request.encode())
            status = await reader.readline()
            writer.close()
        except OSError:
            status = b""
        # A connection beyond the limit is closed at once.
        found[int(status.split()[1]) if status else _CLOSED] += 1

    await asyncio.gather(*(guess(number) for number in range(PER_SECOND * SECONDS)))
    return found


def _memory_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
