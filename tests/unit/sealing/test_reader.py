import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor

from vault.core.errors import (
    IntegrityError,
    RecordingTruncatedError,
    SealBrokenError,
)
from vault.core.ids import RecordingId, new_recording_id
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.sealing.reader import SealedReader, open_sealed

C = chunks.CHUNK_SIZE
S = chunks.SEALED_CHUNK_SIZE
H = chunks.HEADER_SIZE
EDGES = [0, 1, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1, 3 * C + 100]
_FILE = Path(__file__).parents[2] / "vectors" / "chunked_encryption_aes_256_gcm.json"
VECTORS = json.loads(_FILE.read_text())["tests"]
KEY = SecretBytes(os.urandom(32))


def pyca(plaintext: bytes, context: bytes = b"", key: SecretBytes = KEY) -> bytes:
    sealer = Cobblestone256Encryptor(key.reveal(), context)
    return sealer.update(plaintext) + sealer.finalize()


class TestKnownAnswers:
    @pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["comment"])
    def test_wycheproof(self, case: dict[str, Any]) -> None:
        sealed = zlib.decompress(bytes.fromhex(case["ct"]))
        key = SecretBytes(bytes.fromhex(case["key"]))
        context = bytes.fromhex(case["ctx"])

        if case["result"] == "invalid":
            with pytest.raises(IntegrityError):
                open_sealed(sealed, key=key, context=context)
            return
        plaintext = open_sealed(sealed, key=key, context=context)

        assert case["msgLength"] == len(plaintext)
        assert case["msgSha512"] == hashlib.sha512(plaintext).hexdigest()

    def test_the_example_on_the_format_s_page_opens(self) -> None:
        page = Path(__file__).parents[3] / "docs/reference/formats/sealed-object.md"
        example = page.read_text().split("## Example")[1].split("```")[1]
        sealed = bytes.fromhex(
            "".join(line.split()[0] for line in example.split("\n")[1:-1])
        )
        recording = RecordingId("12345678-9abc-4def-8123-456789abcdef")
        context = chunks.context(recording, "session/0001")

        opened = open_sealed(sealed, key=SecretBytes(b"\x2a" * 32), context=context)

        assert opened == b"hello"


class TestSealedReader:
    @pytest.mark.parametrize("size", EDGES)
    def test_what_pyca_sealed_is_read_at_every_edge(
        self, size: int, buffer: Any
    ) -> None:
        plaintext = os.urandom(size)
        reader = SealedReader(buffer(pyca(plaintext)), key=KEY, context=b"")
        edges = [edge + d for edge in (0, C, 2 * C, size) for d in (-1, 0, 1)]

        assert size == reader.size
        for start in (edge for edge in edges if edge >= 0):
            for stop in edges:
                if stop >= start:
                    assert plaintext[start:stop] == reader.read(start, stop)

    def test_only_touched_chunks_are_fetched(self, buffer: Any) -> None:
        source = buffer(pyca(bytes(5 * C + 10)))
        reader = SealedReader(source, key=KEY, context=b"")
        source.asked.clear()

        reader.read(2 * C, 2 * C + 1)
        reader.read(3 * C - 1, 3 * C + 1)
        reader.read(5 * C, 5 * C + 10)

        expected = [(H + 2 * S, H + 3 * S), (H + 2 * S, H + 4 * S)]
        assert expected == source.asked

    def test_the_last_chunk_is_opened_first(self, buffer: Any) -> None:
        source = buffer(pyca(bytes(2 * C)))

        SealedReader(source, key=KEY, context=b"")

        assert source.asked == [(0, H), (H + 2 * S, H + 2 * S + 16)]

    def test_the_last_chunk_is_not_opened_under_a_wrong_key(self, buffer: Any) -> None:
        source = buffer(pyca(b"x"))

        with pytest.raises(SealBrokenError, match="another key"):
            SealedReader(source, key=SecretBytes(bytes(32)), context=b"")

        assert source.asked == [(0, H)]

    @pytest.mark.parametrize("size", [0, 1, C - 1, C, 2 * C, 4 * C, 4 * C + 1, 9 * C])
    def test_a_stream_is_the_same_octets_in_pieces(
        self, size: int, buffer: Any
    ) -> None:
        plaintext = os.urandom(size + 20)
        reader = SealedReader(buffer(pyca(plaintext)), key=KEY, context=b"")

        pieces = list(reader.stream(ByteRange(start=7, stop=size + 13)))

        assert plaintext[7 : size + 13] == b"".join(pieces)
        assert all(0 < len(piece) <= 4 * C for piece in pieces)

    def test_a_stream_opens_no_chunk_twice(self, buffer: Any) -> None:
        source = buffer(pyca(bytes(9 * C)))
        reader = SealedReader(source, key=KEY, context=b"")
        source.asked.clear()

        list(reader.stream(ByteRange(start=C + 5, stop=8 * C), block=2 * C))

        starts = [start for start, _ in source.asked]
        stops = [stop for _, stop in source.asked]
        assert starts[1:] == stops[:-1]

    @pytest.mark.parametrize("block", [0, -C, 1000, C + 1])
    def test_a_block_that_splits_chunks_is_a_bug(self, block: int, buffer: Any) -> None:
        reader = SealedReader(buffer(pyca(b"x")), key=KEY, context=b"")

        with pytest.raises(ValueError):
            next(reader.stream(ByteRange(start=0, stop=1), block=block))

    def test_a_recording_that_lost_its_tail_is_truncated_and_not_shorter(
        self, buffer: Any
    ) -> None:
        """
        What is left after dropping the last chunk is whole chunks, each with
        a tag that verifies; only the absent short chunk gives it away.
        """
        sealed = pyca(bytes(2 * C + 100))

        with pytest.raises(RecordingTruncatedError):
            SealedReader(buffer(sealed[: H + 2 * S]), key=KEY, context=b"")

    @pytest.mark.parametrize("cut", [1, 15, 16, 17, 100, S - 1, S + 7])
    def test_a_cut_inside_a_chunk_is_refused(self, cut: int, buffer: Any) -> None:
        sealed = pyca(bytes(2 * C + 100))

        with pytest.raises(IntegrityError):
            SealedReader(buffer(sealed[:-cut]), key=KEY, context=b"")

    @pytest.mark.parametrize("more", [1, 16, 100, S, S + 16])
    def test_an_extended_object_is_refused(self, more: int, buffer: Any) -> None:
        sealed = pyca(bytes(C + 100))

        with pytest.raises(IntegrityError):
            SealedReader(buffer(sealed + bytes(more)), key=KEY, context=b"")

    def test_swapped_chunks_are_refused(self, buffer: Any) -> None:
        sealed = pyca(os.urandom(3 * C))
        first, second = sealed[H : H + S], sealed[H + S : H + 2 * S]
        swapped = sealed[:H] + second + first + sealed[H + 2 * S :]
        reader = SealedReader(buffer(swapped), key=KEY, context=b"")

        for at in (0, C):
            with pytest.raises(SealBrokenError):
                reader.read(at, at + 1)
        assert reader.size == 3 * C

    def test_a_dropped_chunk_is_refused(self, buffer: Any) -> None:
        sealed = pyca(os.urandom(3 * C + 5))

        with pytest.raises(SealBrokenError):
            SealedReader(buffer(sealed[:H] + sealed[H + S :]), key=KEY, context=b"")

    def test_a_chunk_of_another_object_is_refused(self, buffer: Any) -> None:
        one, other = (pyca(bytes(2 * C)) for _ in range(2))
        spliced = one[:H] + other[H : H + S] + one[H + S :]
        reader = SealedReader(buffer(spliced), key=KEY, context=b"")

        with pytest.raises(SealBrokenError, match="chunk 0"):
            reader.read(0, 1)

    def test_damage_elsewhere_does_not_stop_a_sound_span(self, buffer: Any) -> None:
        plaintext = os.urandom(3 * C)
        sealed = bytearray(pyca(plaintext))
        sealed[H + S + 5] ^= 1
        reader = SealedReader(buffer(bytes(sealed)), key=KEY, context=b"")

        with pytest.raises(SealBrokenError, match="chunk 1"):
            reader.read(0, 2 * C)
        assert plaintext[2 * C :] == reader.read(2 * C, 3 * C)

    def test_a_source_that_holds_less_than_it_says_is_truncated(
        self, buffer: Any
    ) -> None:
        sealed = pyca(bytes(2 * C))

        with pytest.raises(RecordingTruncatedError):
            SealedReader(buffer(sealed[:-1], claimed=len(sealed)), key=KEY, context=b"")

    def test_objects_and_recordings_do_not_stand_in_for_each_other(self) -> None:
        mine, theirs = new_recording_id(), new_recording_id()
        sealed = pyca(b"text", chunks.context(mine, "session/0001"))

        for other in (
            chunks.context(mine, "session/0002"),
            chunks.context(mine, "peaks/0001"),
            chunks.context(theirs, "session/0001"),
        ):
            with pytest.raises(SealBrokenError):
                open_sealed(sealed, key=KEY, context=other)

    def test_a_key_of_another_size_is_a_bug(self, buffer: Any) -> None:
        with pytest.raises(ValueError):
            SealedReader(buffer(pyca(b"")), key=SecretBytes(bytes(16)), context=b"")


class TestOpenSealed:
    @pytest.mark.parametrize("size", EDGES)
    def test_it_returns_all_of_it(self, size: int) -> None:
        plaintext = os.urandom(size)

        assert plaintext == open_sealed(pyca(plaintext), key=KEY, context=b"")
