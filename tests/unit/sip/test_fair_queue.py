from vault.sip.fair_queue import FairQueue


def queue(max_bytes: int = 10**6, each: int = 10**6) -> FairQueue[int]:
    return FairQueue(max_bytes=max_bytes, max_bytes_each=each)


def test_each_address_has_its_turn() -> None:
    fair = queue()
    for key, item in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)):
        fair.put(key, item, 10)

    assert [1, 4, 5, 2, 3, None] == [fair.take() for _ in range(6)]


def test_what_waits_is_bounded_by_address_and_in_all() -> None:
    fair = queue(max_bytes=5 * 1024, each=3 * 1024)
    a = [fair.put("a", index, 512) for index in range(5)]
    b = [fair.put("b", index, 512) for index in range(5)]

    assert [True, True, True, False, False] == a
    assert [True, True, False, False, False] == b


def test_what_is_taken_or_dropped_makes_room() -> None:
    fair = queue(max_bytes=2048, each=2048)
    for index in range(2):
        fair.put("a", index, 512)
    fair.take()
    after_take = fair.put("b", 7, 512)
    dropped = fair.drop("a")
    again = fair.put("b", 8, 512)

    assert (True, 1, True) == (after_take, dropped, again)
    assert [7, 8, None] == [fair.take() for _ in range(3)]
    assert 0 == fair.drop("nobody")
    assert 0 == len(fair)


def test_a_queue_that_was_cleared_is_empty() -> None:
    fair = queue(max_bytes=1024, each=1024)
    fair.put("a", 1, 512)
    fair.clear()

    assert fair.take() is None
    assert fair.put("a", 1, 512)
