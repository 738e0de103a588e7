"""Whatever is done to sealed octets is noticed, and nothing else ever comes out."""

import os
import uuid
from collections.abc import Sequence

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.core.errors import IntegrityError
from vault.core.ids import RecordingId, new_recording_id
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.sealing.envelope import Envelope
from vault.sealing.manifest import Addendum, Manifest, verify_manifest
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import pad, unpad
from vault.sealing.reader import SealedReader, open_sealed
from vault.sealing.roster import Roster
from vault.sealing.unfinished import UnfinishedReader

C = chunks.CHUNK_SIZE
S = chunks.SEALED_CHUNK_SIZE
H = chunks.HEADER_SIZE
KEY = SecretBytes(os.urandom(32))
PLAIN = os.urandom(3 * C + 777)
MINE = new_recording_id()
CONTEXT = chunks.context(MINE, "capture/0001")
SEALED = chunks.seal(PLAIN, key=KEY, context=CONTEXT)

near_edges = st.builds(
    lambda edge, off: max(0, min(len(PLAIN), edge * C + off)),
    st.integers(0, 4),
    st.integers(-20, 20),
)
offsets = st.one_of(near_edges, st.integers(0, len(PLAIN)))


class Octets:
    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    @property
    def size(self) -> int:
        return len(self.octets)

    def read(self, start: int, stop: int) -> bytes:
        return self.octets[start:stop]


def never_lies(octets: bytes, context: bytes = CONTEXT) -> None:
    """Reading *octets* gives the truth, chunk by chunk, or an error."""
    try:
        reader = SealedReader(Octets(octets), key=KEY, context=context)
    except IntegrityError:
        return
    assert reader.size == len(PLAIN)
    for start in range(0, reader.size, C):
        try:
            assert PLAIN[start : start + C] == reader.read(start, start + C)
        except IntegrityError:
            continue


@given(start=offsets, stop=offsets)
def test_any_span_is_the_slice(start: int, stop: int) -> None:
    reader = SealedReader(Octets(SEALED), key=KEY, context=CONTEXT)

    assert PLAIN[start:stop] == reader.read(start, stop)


@given(start=offsets, length=st.integers(1, 3 * C), blocks=st.integers(1, 5))
def test_any_stream_is_the_slice(start: int, length: int, blocks: int) -> None:
    reader = SealedReader(Octets(SEALED), key=KEY, context=CONTEXT)
    span = ByteRange(start=start, stop=start + length)

    streamed = b"".join(reader.stream(span, block=blocks * C))

    assert PLAIN[start : start + length] == streamed


@settings(max_examples=40)
@given(pieces=st.lists(st.integers(0, 40_000), max_size=8))
def test_written_packet_by_packet_it_is_the_same(pieces: Sequence[int]) -> None:
    """Ours opens pyca's, and pyca's opens what ours sealed, however it was fed."""
    sealer = Cobblestone256Encryptor(KEY.reveal(), CONTEXT)
    plain = [os.urandom(size) for size in pieces]
    sealed = b"".join(map(sealer.update, plain)) + sealer.finalize()

    assert b"".join(plain) == open_sealed(sealed, key=KEY, context=CONTEXT)


@given(at=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_where_it_is(at: int, bit: int) -> None:
    octets = bytearray(SEALED)
    octets[at] ^= 1 << bit
    damaged = bytes(octets)

    never_lies(damaged)

    with pytest.raises(IntegrityError):
        open_sealed(damaged, key=KEY, context=CONTEXT)


def test_every_single_flip_of_a_small_object_is_refused() -> None:
    small = chunks.seal(b"hello", key=KEY, context=CONTEXT)

    for bit in range(8 * len(small)):
        octets = bytearray(small)
        octets[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            open_sealed(bytes(octets), key=KEY, context=CONTEXT)


@given(size=st.integers(0, len(SEALED) - 1))
def test_a_shortened_object_is_refused(size: int) -> None:
    with pytest.raises(IntegrityError):
        SealedReader(Octets(SEALED[:size]), key=KEY, context=CONTEXT)


@given(more=st.binary(min_size=1, max_size=40), again=st.integers(0, 3))
def test_an_extended_object_is_refused(more: bytes, again: int) -> None:
    extended = SEALED + SEALED[H : H + again * S] + more

    with pytest.raises(IntegrityError):
        SealedReader(Octets(extended), key=KEY, context=CONTEXT)


@given(order=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_chunks_in_any_other_order_are_refused(order: Sequence[int]) -> None:
    parts = [SEALED[H + i * S : H + (i + 1) * S] for i in range(4)]
    rearranged = SEALED[:H] + b"".join(parts[i] for i in order)
    if rearranged == SEALED:
        return

    never_lies(rearranged)

    with pytest.raises(IntegrityError):
        open_sealed(rearranged, key=KEY, context=CONTEXT)


@given(
    name=st.sampled_from(["capture/0002", "session/0001", "rendition/0001"]),
    other=st.uuids(version=4),
)
def test_no_object_stands_in_for_another(name: str, other: uuid.UUID) -> None:
    for context in (
        chunks.context(MINE, name),
        chunks.context(RecordingId(str(other)), "capture/0001"),
    ):
        with pytest.raises(IntegrityError):
            SealedReader(Octets(SEALED), key=KEY, context=context)


@given(size=st.integers(0, len(SEALED)), junk=st.binary(max_size=40))
def test_an_unfinished_reader_gives_a_prefix_and_nothing_else(
    size: int, junk: bytes
) -> None:
    try:
        reader = UnfinishedReader(
            Octets(SEALED[:size] + junk), key=KEY, context=CONTEXT
        )
    except IntegrityError:
        return

    found = b"".join(reader.prefix())

    assert PLAIN[: len(found)] == found
    assert len(found) == min(3, chunks.whole_chunks(size)) * C


@settings(max_examples=50)
@given(octets=st.binary(max_size=400))
def test_what_pyca_refuses_we_refuse(octets: bytes) -> None:
    with pytest.raises(InvalidTag):
        _open_by_pyca(octets)

    with pytest.raises(IntegrityError):
        open_sealed(octets, key=KEY, context=CONTEXT)


def _open_by_pyca(octets: bytes) -> bytes:
    decryptor = Cobblestone256Decryptor(KEY.reveal(), CONTEXT)
    return decryptor.update(octets) + decryptor.finalize()


@given(size=st.integers(0, 10 * 2**40))
def test_sizes_are_inverses(size: int) -> None:
    assert size == chunks.plain_size(chunks.sealed_size(size))


@given(octets=st.binary(max_size=1000))
def test_padding_comes_off_again(octets: bytes) -> None:
    padded = pad(octets)

    assert len(padded) % 256 == 0
    assert octets == unpad(padded)


@given(octets=st.binary(max_size=600))
def test_unpadding_never_invents(octets: bytes) -> None:
    try:
        found = unpad(octets)
    except IntegrityError:
        return
    assert octets == pad(found)


@given(
    octets=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers(-5, 5) | st.text(max_size=5),
            lambda inner: st.dictionaries(
                st.sampled_from(["v", "recipients", "how", "objects", "payload", "x"]),
                inner,
            ),
            max_leaves=8,
        ).map(lambda value: repr(value).replace("'", '"').encode()),
    )
)
def test_documents_from_anywhere_are_refused_and_never_crash(octets: bytes) -> None:
    for parse in (
        Envelope.parse,
        Manifest.parse,
        Addendum.parse,
        Roster.parse,
        SessionMetadata.parse,
        lambda found: verify_manifest(found, {"tap": bytes(32)}),
    ):
        with pytest.raises(IntegrityError):
            parse(octets)
