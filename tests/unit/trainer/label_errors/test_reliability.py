import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.label_errors.reliability import fit_reliability, tail


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose square is the chance of being right."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, count).astype(np.float32)
    return scores, rng.uniform(0, 1, count) < scores**2


def label(count: int, number: int = 0) -> np.ndarray:
    return np.full(count, number, np.int64)


def test_precision_is_the_share_that_is_right_at_such_a_score() -> None:
    scores, right = drawn(20_000)
    curves = fit_reliability(scores, label(20_000), right, 1)
    at = np.array([0.2, 0.5, 0.8, 0.95], np.float32)
    assert curves.precision(at, label(4)) == pytest.approx(at**2, abs=0.05)


def test_each_class_has_its_own_precision() -> None:
    scores, right = drawn(4_000)
    never = np.zeros(4_000, bool)
    curves = fit_reliability(
        np.concatenate((scores, scores)),
        np.concatenate((label(4_000), label(4_000, 1))),
        np.concatenate((right, never)),
        2,
    )
    high = np.array([0.95, 0.95], np.float32)
    reliable, unreliable = curves.precision(high, np.array([0, 1]))
    assert reliable > 0.8
    assert unreliable < 0.05


def test_class_with_one_detection_borrows_from_the_others() -> None:
    scores, right = drawn(4_000)
    curves = fit_reliability(
        np.append(scores, np.float32(0.9)),
        np.append(label(4_000), 1),
        np.append(right, False),
        2,
    )
    alone = curves.precision(np.array([0.9], np.float32), np.array([1]))[0]
    assert 0.6 < alone < 0.85  # neither 0, as its one detection suggests, nor 1


def test_precision_is_zero_without_any_detection() -> None:
    curves = fit_reliability(
        np.zeros(0, np.float32), label(0), np.zeros(0, bool), label_count=2
    )
    assert curves.precision(np.array([0.9], np.float32), label(1)).tolist() == [0]


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=40))
def test_precision_never_falls_with_the_score(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows], np.float32)
    right = np.array([hit for _, hit in rows], bool)
    curves = fit_reliability(scores, label(len(rows)), right, 1)
    at = np.linspace(0, 1, 50, dtype=np.float32)
    shares = curves.precision(at, label(50))
    assert (np.diff(shares) >= 0).all()
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_tail_is_small_only_far_above_the_middle() -> None:
    rng = np.random.default_rng(0)
    usual = rng.normal(0.15, 0.03, 500).astype(np.float32)
    usual[:25] = 0.6  # the faults themselves do not widen the spread
    below, middle, far = tail(usual, np.array([0.05, 0.15, 0.6], np.float32))
    assert below == 1
    assert middle > 0.9
    assert far < 0.01
