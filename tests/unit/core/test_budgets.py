import pytest

from vault.core.budgets import Budget


class TestBudget:
    def test_a_burst_is_let_through_and_then_the_rate(self) -> None:
        budget = Budget(rate=10, burst=5, cut_off_s=0)
        burst = [budget.spend("a", 0.0) for _ in range(7)]
        later = [budget.spend("a", 0.2) for _ in range(3)]

        assert [True] * 5 + [False] * 2 == burst
        assert [True, True, False] == later

    def test_who_exceeds_it_is_not_listened_to_until_the_cut_off_ends(self) -> None:
        budget = Budget(rate=10, burst=5, cut_off_s=5)
        for _ in range(6):
            budget.spend("a", 0.0)

        assert not budget.spend("a", 4.9)
        assert budget.is_cut_off("a", 4.9)
        assert 1 == budget.cut_off(4.9)
        assert budget.spend("a", 5.0)
        assert 0 == budget.cut_off(5.0)

    def test_who_comes_back_has_no_burst(self) -> None:
        budget = Budget(rate=100, burst=500, cut_off_s=5)
        for _ in range(501):
            budget.spend("a", 0.0)
        again = sum(budget.spend("a", 5.0) for _ in range(500))

        assert 11 == again

    def test_what_costs_more_takes_more_and_never_more_than_there_can_be(self) -> None:
        budget = Budget(rate=1, burst=10, cut_off_s=5)
        taken = [budget.spend("a", 0.0, cost=4) for _ in range(3)]

        assert [True, True, False] == taken
        assert budget.spend("b", 0.0, cost=1000)
        assert not budget.spend("b", 0.0)

    def test_one_address_spends_nothing_of_another(self) -> None:
        budget = Budget(rate=10, burst=5, cut_off_s=5)
        for _ in range(50):
            budget.spend("a", 0.0)

        assert budget.spend("b", 0.0)

    def test_memory_is_bounded_and_who_is_cut_off_stays_so(self) -> None:
        budget = Budget(rate=10, burst=1, cut_off_s=5, max_keys=100)
        budget.spend("a", 0.0)
        budget.spend("a", 0.0)
        for index in range(1000):
            budget.spend(str(index), 0.0)

        assert budget.is_cut_off("a", 1.0)
        assert 100 == len(budget._buckets)

    @pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1)])
    def test_a_budget_of_nothing_is_a_bug(self, rate: float, burst: float) -> None:
        with pytest.raises(ValueError):
            Budget(rate=rate, burst=burst, cut_off_s=1)
