from vault.spool.backoff import Backoff


def test_waits_grow_to_a_limit_and_start_over_after_success() -> None:
    pace = Backoff(first_s=1, longest_s=8)
    waits = [pace.next_s() for _ in range(40)]
    pace.reset()

    assert all(
        0 <= wait <= step
        for step, wait in zip([1, 2, 4, *[8] * 37], waits, strict=True)
    )
    assert not pace.failing
    assert pace.next_s() <= 1
