import pytest

from trainer.evaluation.thresholds.bounds import trials_to_show, upper_bound


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    # scipy.stats.binomtest(k, n).proportion_ci(...) one-sided, method "exact"
    [(0, 40, 0.0722), (1, 40, 0.1133), (5, 100, 0.1023), (39, 40, 0.9987)],
)
def test_bound_is_clopper_and_pearsons(hits: int, trials: int, expected: float) -> None:
    assert upper_bound(hits, trials) == pytest.approx(expected, abs=2e-4)


def test_what_always_happened_and_what_was_never_tried_prove_nothing() -> None:
    assert upper_bound(3, 3) == 1
    assert upper_bound(0, 0) == 1


@pytest.mark.parametrize(
    ("share", "hits", "expected"), [(0.005, 0, 598), (0.01, 0, 299), (0.01, 1, 473)]
)
def test_photos_needed_to_show_a_share(share: float, hits: int, expected: int) -> None:
    assert trials_to_show(share, hits) == expected
    assert upper_bound(hits, expected) <= share < upper_bound(hits, expected - 1)
