import pytest

from vault.core.errors import SealBrokenError
from vault.sealing.padding import pad, unpad


@pytest.mark.parametrize(
    ("size", "padded"), [(0, 256), (1, 256), (255, 256), (256, 512), (511, 512)]
)
def test_sizes_are_hidden_in_blocks_of_256(size: int, padded: int) -> None:
    octets = b"\x80" * size

    assert padded == len(pad(octets))
    assert octets == unpad(pad(octets))


@pytest.mark.parametrize(
    "damaged",
    [b"", bytes(256), b"x" * 256, b"x\x80" + bytes(253), b"\x80" + bytes(511)],
)
def test_what_was_not_padded_here_is_refused(damaged: bytes) -> None:
    with pytest.raises(SealBrokenError):
        unpad(damaged)
