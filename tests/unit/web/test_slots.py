import pytest

from vault.core.errors import ThrottledError
from vault.web.slots import StreamSlots


def test_one_session_cannot_take_them_all() -> None:
    slots = StreamSlots(per_session=2)

    with slots.taken("a"), slots.taken("a"):
        with slots.taken("b"):
            pass
        with pytest.raises(ThrottledError), slots.taken("a"):
            pass


def test_a_slot_comes_back_however_the_stream_ended() -> None:
    slots = StreamSlots(per_session=1)
    with pytest.raises(OSError), slots.taken("a"):
        raise OSError

    with slots.taken("a"):
        pass
