from vault.sip.limits import AddressBudget


class TestAddressBudget:
    def test_a_flood_of_2000_a_second_is_cut_off_within_a_second(self) -> None:
        budget = AddressBudget(rate=400, burst=600, cut_off_s=5, stranger_rate=1000)
        budget.know("a", 0.0)
        taken = sum(budget.spend("a", index / 2000) for index in range(2000))

        assert taken < 1000
        assert budget.is_cut_off("a", 0.999)

    def test_strangers_share_what_known_addresses_have_for_themselves(self) -> None:
        budget = AddressBudget(rate=10, burst=10, cut_off_s=5, stranger_rate=50)
        budget.know("known", 0.0)
        strangers = sum(budget.spend(str(index), 0.0) for index in range(1000))

        assert 50 == strangers
        assert budget.spend("known", 0.0)

    def test_a_stranger_who_found_no_room_is_not_cut_off(self) -> None:
        budget = AddressBudget(rate=10, burst=10, cut_off_s=5, stranger_rate=1)
        budget.spend("a", 0.0)
        budget.spend("b", 0.0)

        assert budget.spend("b", 1.0)

    def test_who_was_known_yesterday_is_a_stranger(self) -> None:
        budget = AddressBudget(rate=10, burst=10, cut_off_s=5, stranger_rate=1)
        budget.know("a", 0.0)
        budget.know("b", 86_401.0)
        budget.spend("c", 86_401.0)

        assert not budget.spend("a", 86_401.0)
        assert budget.spend("b", 86_401.0)

    def test_known_addresses_are_bounded(self) -> None:
        budget = AddressBudget(rate=10, burst=10, cut_off_s=5, stranger_rate=1)
        for index in range(9000):
            budget.know(str(index), 0.0)

        assert 8192 == len(budget._known)
