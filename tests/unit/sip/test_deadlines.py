from vault.sip.deadlines import Deadlines


def test_they_come_in_the_order_of_their_time() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for key, due_s in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("z", 9.0)):
        deadlines.set(key, due_s)

    assert ["a", "b", "c", None] == [deadlines.take(5.0) for _ in range(4)]
    assert (9.0, 1) == (deadlines.next_s, len(deadlines))


def test_the_last_time_that_was_set_counts() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("late", 1.0)
    deadlines.set("late", 8.0)
    deadlines.set("early", 8.0)
    deadlines.set("early", 1.0)
    deadlines.set("gone", 1.0)
    deadlines.drop("gone")
    deadlines.drop("never")

    assert ["early", None] == [deadlines.take(2.0) for _ in range(2)]
    assert ["late", None] == [deadlines.take(9.0) for _ in range(2)]
    assert deadlines.next_s is None


def test_setting_one_anew_a_million_times_costs_no_memory() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for at in range(100_000):
        deadlines.set(at % 7, float(100_000 - at))

    assert len(deadlines._heap) < 2_000
    assert 1.0 == deadlines.next_s
    assert 7 == len(deadlines)
