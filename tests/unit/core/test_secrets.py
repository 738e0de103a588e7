import copy
import pickle

import pytest

from vault.core.secrets import SecretBytes

OCTETS = b"a key of 32 octets, or nearly so"
SECRET = SecretBytes(OCTETS)


class TestSecretBytes:
    @pytest.mark.parametrize(
        "shown",
        [repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!r:>60}", f"{[SECRET]}"],
    )
    def test_no_way_of_printing_shows_it(self, shown: str) -> None:
        assert "key" not in shown
        assert "32 octets" in shown

    def test_an_exception_that_carries_it_does_not_show_it(self) -> None:
        assert "key" not in str(ValueError("wrong", SECRET))

    def test_reveal_gives_the_octets(self) -> None:
        assert OCTETS == SECRET.reveal()

    def test_it_keeps_a_copy_of_what_may_change(self) -> None:
        buffer = bytearray(OCTETS)
        secret = SecretBytes(buffer)
        buffer[:] = bytes(len(buffer))

        assert OCTETS == secret.reveal()

    def test_equal_octets_are_equal(self) -> None:
        assert SecretBytes(OCTETS) == SECRET
        assert SecretBytes(b"other") != SECRET
        assert SECRET != OCTETS

    @pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, hash])
    def test_it_is_not_pickled_copied_or_hashed(self, take: object) -> None:
        with pytest.raises(TypeError):
            take(SECRET)

    def test_it_has_no_room_for_anything_else(self) -> None:
        with pytest.raises(AttributeError):
            SECRET.label = "x"

    def test_its_length_may_be_known(self) -> None:
        assert 32 == len(SECRET)
