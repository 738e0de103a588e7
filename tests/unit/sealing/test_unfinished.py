import os
from typing import Any

import pytest

from vault.core.errors import RecordingTruncatedError, SealBrokenError
from vault.core.secrets import SecretBytes
from vault.sealing.chunks import CHUNK_SIZE as C
from vault.sealing.chunks import HEADER_SIZE as H
from vault.sealing.chunks import SEALED_CHUNK_SIZE as S
from vault.sealing.chunks import encryptor
from vault.sealing.reader import SealedReader
from vault.sealing.unfinished import UnfinishedReader

KEY = SecretBytes(os.urandom(32))


def growing(plaintext: bytes) -> bytes:
    """Return what is on disk when the sealing process dies."""
    return encryptor(KEY, b"").update(plaintext)


@pytest.mark.parametrize("torn", [0, 1, 16, S - 1])
def test_whole_chunks_are_read_and_a_torn_tail_is_not(torn: int, buffer: Any) -> None:
    plaintext = os.urandom(3 * C)
    octets = growing(plaintext)[: H + 2 * S + torn]

    reader = UnfinishedReader(buffer(octets), key=KEY, context=b"")

    assert plaintext[: 2 * C] == b"".join(reader.prefix())
    assert reader.chunks == 2
    assert reader.verified_size() == 2 * C


def test_the_prefix_ends_where_blocks_were_never_written(buffer: Any) -> None:
    plaintext = os.urandom(3 * C)
    octets = growing(plaintext)[: H + S] + bytes(2 * S)

    reader = UnfinishedReader(buffer(octets), key=KEY, context=b"")

    assert plaintext[:C] == b"".join(reader.prefix())
    assert reader.chunks == 3


def test_a_file_that_grows_is_read_on(buffer: Any) -> None:
    plaintext = os.urandom(2 * C)
    octets = growing(plaintext)
    source = buffer(octets[: H + S])
    reader = UnfinishedReader(source, key=KEY, context=b"")

    assert plaintext[:C] == b"".join(reader.prefix())
    source.octets = octets
    assert plaintext[C:] == b"".join(reader.prefix(first=1))


def test_the_last_chunk_of_a_finished_file_is_never_returned(buffer: Any) -> None:
    sealer = encryptor(KEY, b"")
    octets = sealer.update(bytes(C + 100)) + sealer.finalize()

    reader = UnfinishedReader(buffer(octets), key=KEY, context=b"")

    assert reader.verified_size() == C


def test_the_ordinary_reader_refuses_an_unfinished_file(buffer: Any) -> None:
    with pytest.raises(RecordingTruncatedError):
        SealedReader(buffer(growing(bytes(2 * C))), key=KEY, context=b"")


def test_a_damaged_chunk_raises_when_asked_for_by_name(buffer: Any) -> None:
    octets = bytearray(growing(bytes(2 * C)))
    octets[H + S] ^= 1
    reader = UnfinishedReader(buffer(bytes(octets)), key=KEY, context=b"")

    assert reader.chunk(0) == bytes(C)
    with pytest.raises(SealBrokenError):
        reader.chunk(1)
    with pytest.raises(RecordingTruncatedError):
        reader.chunk(2)


def test_half_a_header_is_truncated(buffer: Any) -> None:
    with pytest.raises(RecordingTruncatedError):
        UnfinishedReader(buffer(growing(b"x")[:55]), key=KEY, context=b"")


def test_another_key_or_context_is_refused(buffer: Any) -> None:
    octets = growing(bytes(C))

    for key, context in ((SecretBytes(bytes(32)), b""), (KEY, b"other")):
        with pytest.raises(SealBrokenError):
            UnfinishedReader(buffer(octets), key=key, context=context)
