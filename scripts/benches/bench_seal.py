"""What sealing costs: per packet as the tap writes, and per octet, both ways.

* ``packet``: one encryptor takes capture records of 20 + 172 octets, one write each;
* ``sweep``: the same in one write per 100 ms and call (10 records), as the tap does;
* ``bulk``: sealing and opening 16 MiB in pieces of 64 KiB, against bare AES-256-GCM
  of the same chunks;
* ``seek``: opening an object and reading one octet out of the middle;
* ``wrap`` and ``unwrap``: one data key for one X-Wing recipient.

Medians of several runs.  Ratios compare within one run.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.core.ids import new_recording_id
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.sealing import chunks, xwing
from vault.sealing.envelope import new_dek, wrap, xwing_recipient
from vault.sealing.keyring import ArgonCost, Keyring
from vault.sealing.reader import SealedReader
from vault.sealing.unwrap import unwrap

RECORD = os.urandom(20 + 172)
"A capture record: its header and a G.711 packet of 20 ms with its RTP header."

WRITE_SIZE = 64 * 1024
BULK = os.urandom(16 * 1024 * 1024)


class _Buffer:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def _median_s(work: Callable[[], object], runs: int) -> float:
    taken: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _say(
    metric: str,
    value: float,
    unit: str,
    params: dict[str, int],
    against: tuple[str, float] | None = None,
) -> None:
    line: dict[str, object] = {
        "bench": "seal",
        "metric": metric,
        "value": round(value, 3),
        "unit": unit,
        "params": params,
    }
    if against:
        line |= {"against": against[0], "ratio": round(against[1], 3)}
    print(json.dumps(line), flush=True)


def _packets(key: SecretBytes, packets: int, runs: int) -> None:
    def one_by_one() -> None:
        update = chunks.encryptor(key, b"bench").update
        for _ in range(packets):
            update(RECORD)

    def swept() -> None:
        update = chunks.encryptor(key, b"bench").update
        for _ in range(packets // len(batch)):
            update(b"".join(batch))

    batch = [RECORD] * 10
    each_s = _median_s(one_by_one, runs) / packets
    params = {"octets": len(RECORD), "packets": packets, "runs": runs}
    _say("packet", each_s * 1e6, "µs/packet", params)
    swept_s = _median_s(swept, runs) / packets
    _say("sweep", swept_s * 1e6, "µs/packet", params | {"batch": len(batch)})


def _bulk(key: SecretBytes, runs: int) -> None:
    sealed = chunks.seal(BULK, key=key, context=b"bench")
    reader = SealedReader(_Buffer(sealed), key=key, context=b"bench")
    view = memoryview(BULK)
    bare = AESGCM(key.reveal())
    pieces = [BULK[at : at + 16384] for at in range(0, len(BULK), 16384)]

    def bare_encrypt() -> None:
        for number, piece in enumerate(pieces):
            bare.encrypt(number.to_bytes(12), piece, None)

    def seal_all() -> None:
        update = chunks.encryptor(key, b"bench").update
        for at in range(0, len(BULK), WRITE_SIZE):
            update(view[at : at + WRITE_SIZE])

    def open_all() -> None:
        for _ in reader.stream(ByteRange(start=0, stop=reader.size)):
            pass

    bare_s = _median_s(bare_encrypt, runs)
    params = {"octets": len(BULK), "runs": runs}
    for metric, work in (
        ("bulk-seal", seal_all),
        ("bulk-open", open_all),
    ):
        took_s = _median_s(work, runs)
        rate = len(BULK) / took_s / 1e9
        _say(metric, rate, "GB/s", params, ("aes-256-gcm", took_s / bare_s))

    def seek() -> None:
        opened = SealedReader(_Buffer(sealed), key=key, context=b"bench")
        opened.read(len(BULK) // 2, len(BULK) // 2 + 1)

    _say("seek", _median_s(seek, runs * 20) * 1e6, "µs", params)


def _wraps(runs: int) -> None:
    recording_id, dek = new_recording_id(), new_dek()
    seed = SecretBytes(os.urandom(32))
    recipient = xwing_recipient(xwing.public_octets(seed))
    params = {"recipients": 1, "runs": runs}
    wrap_s = _median_s(lambda: wrap(dek, recording_id, [recipient]), runs)
    _say("wrap", wrap_s * 1e6, "µs", params)
    with TemporaryDirectory() as folder:
        keyring = Keyring.create(
            Path(folder) / "keyring.json",
            SecretBytes(b"bench"),
            months=["2026-11"],
            cost=ArgonCost(memory_kib=19 * 1024, iterations=2, lanes=1),
        )
        envelope = wrap(dek, recording_id, keyring.recipients("2026-11"))
        unwrap_s = _median_s(lambda: unwrap(envelope, recording_id, keyring), runs)
    _say("unwrap", unwrap_s * 1e6, "µs", params)


def main(*, quick: bool) -> None:
    """Run all of it; *quick* takes a second or two and is noisier."""
    runs = 3 if quick else 15
    key = SecretBytes(os.urandom(32))
    _packets(key, 50_000 if quick else 500_000, runs)
    _bulk(key, runs)
    _wraps(runs * 20)
