"""A rate on average, and a burst after a pause."""

from models.token_bucket import TokenBucket

SECOND_NS = 1_000_000_000


def test_burst_is_allowed_at_once_and_no_more() -> None:
    bucket = TokenBucket(per_s=10, burst=3)
    assert [bucket.take(1, 0) for _ in range(4)] == [True, True, True, False]


def test_rate_is_allowed_after_the_burst() -> None:
    bucket = TokenBucket(per_s=10, burst=3)
    for _ in range(3):
        bucket.take(1, 0)
    taken = [bucket.take(1, SECOND_NS * number // 20) for number in range(1, 41)]
    assert sum(taken) == 20, "2 s at 10 a second, asked for at 20"


def test_long_pause_allows_one_burst() -> None:
    bucket = TokenBucket(per_s=10, burst=3)
    bucket.take(3, 0)
    assert bucket.take(3, 999 * SECOND_NS)
    assert not bucket.take(1, 999 * SECOND_NS)


def test_what_is_not_allowed_takes_nothing() -> None:
    bucket = TokenBucket(per_s=1, burst=3)
    assert not bucket.take(4, 0)
    assert bucket.take(3, 0)


def test_clock_that_goes_back_allows_nothing_more() -> None:
    bucket = TokenBucket(per_s=10, burst=1)
    assert bucket.take(1, SECOND_NS)
    assert not bucket.take(1, 0)
