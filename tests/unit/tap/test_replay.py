import pytest

from vault.tap.replay import ReplayWindow, guess_index
from vault.tap.srtp_session import STATUS_OK, STATUS_REPLAYED, STATUS_TOO_OLD


class TestTheGuess:
    @pytest.mark.parametrize(
        ("seq", "highest", "index"),
        [
            (5, 4, 5),
            (0, 65535, 65536),
            (65535, 65536, 65535),
            (1, 65536 + 65535, 2 * 65536 + 1),
            # Farther than half the number space is nearer on the other side.
            (40000, 65536 + 100, 40000),
            (32868, 65536 + 100, 65536 + 32868),
            # Before the first rollover there is nothing behind zero.
            (65535, 3, 65535),
            # Exactly half ahead of the upper half is behind (appendix A).
            (0, 32768, 0),
            (32768, 0, 32768),
        ],
    )
    def test_is_that_of_appendix_a(self, seq: int, highest: int, index: int):
        assert guess_index(seq, highest) == index


class TestTheWindow:
    def test_takes_an_index_once(self):
        window = ReplayWindow(128)
        window.add(1000)

        assert window.check(1000) == STATUS_REPLAYED
        assert window.check(1001) == STATUS_OK
        assert window.check(999) == STATUS_OK

    def test_begins_anywhere_and_with_anything(self):
        window = ReplayWindow(128)
        window.add(0)

        assert window.highest == 0
        assert window.check(0) == STATUS_REPLAYED

    def test_ends_after_its_size(self):
        window = ReplayWindow(128, highest=1000)

        assert window.check(1000 - 127) == STATUS_OK
        assert window.check(1000 - 128) == STATUS_TOO_OLD

    def test_remembers_what_came_late(self):
        window = ReplayWindow(128, highest=1000)
        window.add(990)
        window.add(1005)

        assert window.highest == 1005
        assert [window.check(i) for i in (990, 1000, 1005)] == [STATUS_REPLAYED] * 3
        assert window.check(991) == STATUS_OK

    def test_forgets_all_of_it_after_a_far_jump(self):
        window = ReplayWindow(128, highest=1000)
        window.add(2**40)

        assert window.check(2**40 - 127) == STATUS_OK
        assert window.check(1000) == STATUS_TOO_OLD

    def test_checking_changes_nothing(self):
        window = ReplayWindow(128, highest=1000)
        for index in (5000, 999, 1):
            window.check(index)

        assert window.highest == 1000
        assert window.check(999) == STATUS_OK
