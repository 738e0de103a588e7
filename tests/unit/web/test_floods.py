from vault.web.floods import Floods


def test_the_first_is_told_at_once_and_the_others_in_sums() -> None:
    now_s = 0.0
    floods = Floods(lambda: now_s)
    told = [floods.note() for _ in range(500)]
    now_s = 1.0

    assert [1] + [0] * 499 == told
    assert 500 == floods.note()
    assert 0 == floods.rest()


def test_the_last_ones_are_told_though_no_other_comes() -> None:
    now_s = 0.0
    floods = Floods(lambda: now_s)
    for _ in range(3):
        floods.note()
    now_s = 1.0

    assert (2, 0) == (floods.rest(), floods.rest())


def test_what_is_only_counted_is_told_with_the_next() -> None:
    floods = Floods(lambda: 0.0)
    for _ in range(7):
        floods.count()

    assert 8 == floods.note()
