import pytest
from cryptography.cobblestone import Cobblestone256Decryptor

from vault.core.errors import RecordingTruncatedError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing import chunks

C = chunks.CHUNK_SIZE
EDGES = [0, 1, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1, 5 * C]
KEY = SecretBytes(bytes(range(32)))
RECORDING = RecordingId("12345678-9abc-4def-8123-456789abcdef")


class TestContext:
    def test_it_is_label_id_and_name(self) -> None:
        expected = b"callvault/v1\0" + bytes.fromhex(RECORDING.replace("-", ""))

        assert expected + b"capture/0001" == chunks.context(RECORDING, "capture/0001")

    @pytest.mark.parametrize("name", ["", "/a", "a/", "Capture/1", "a//b", "a\0b", "ü"])
    def test_what_is_no_object_name_is_a_bug(self, name: str) -> None:
        with pytest.raises(ValueError):
            chunks.context(RECORDING, name)


class TestSeal:
    @pytest.mark.parametrize("size", EDGES)
    def test_pyca_opens_what_we_seal(self, size: int) -> None:
        plaintext = bytes(i % 251 for i in range(size))

        sealed = chunks.seal(plaintext, key=KEY, context=b"context")

        decryptor = Cobblestone256Decryptor(KEY.reveal(), b"context")
        assert plaintext == decryptor.update(sealed) + decryptor.finalize()

    @pytest.mark.parametrize("size", EDGES)
    def test_sizes_are_inverses(self, size: int) -> None:
        sealed = chunks.seal(bytes(size), key=KEY, context=b"")

        assert len(sealed) == chunks.sealed_size(size)
        assert size == chunks.plain_size(len(sealed))
        assert chunks.chunk_count(len(sealed)) == size // C + 1

    def test_a_chunk_comes_out_as_soon_as_it_is_full(self) -> None:
        sealer = chunks.encryptor(KEY, b"")

        first = sealer.update(bytes(C - 1))
        second = sealer.update(bytes(1))

        assert len(first) == chunks.HEADER_SIZE
        assert len(second) == chunks.SEALED_CHUNK_SIZE

    def test_the_same_text_never_seals_the_same(self) -> None:
        first, second = (chunks.seal(b"x", key=KEY, context=b"") for _ in range(2))

        assert first != second
        assert chunks.commitment_of(first) != chunks.commitment_of(second)


class TestSizes:
    @pytest.mark.parametrize("size", [0, 55, 56, 57, 71, 56 + 16400, 56 + 16400 + 15])
    def test_a_size_that_no_finished_object_has_is_truncated(self, size: int) -> None:
        with pytest.raises(RecordingTruncatedError):
            chunks.plain_size(size)

    def test_a_size_beyond_the_format_is_refused(self) -> None:
        with pytest.raises(RecordingTruncatedError):
            chunks.chunk_count(56 + 2**38 * 16400 + 16)

    @pytest.mark.parametrize(
        ("size", "expected"),
        [(0, 0), (56, 0), (56 + 16399, 0), (56 + 16400, 1), (56 + 3 * 16400 + 9, 3)],
    )
    def test_whole_chunks_of_an_unfinished_file(self, size: int, expected: int) -> None:
        assert expected == chunks.whole_chunks(size)

    def test_the_commitment_lies_behind_the_salt(self) -> None:
        assert bytes(range(24, 56)) == chunks.commitment_of(bytes(range(60)))

    def test_half_a_header_has_no_commitment(self) -> None:
        with pytest.raises(RecordingTruncatedError):
            chunks.commitment_of(bytes(55))
