"""Fits to curves with known parameters."""

import numpy as np
import pytest

from trainer.learning_curve.power_law import fit

PHOTOS = np.array([25.0, 50.0, 75.0, 100.0])
SPREAD = np.full(4, 0.02)


@pytest.mark.parametrize(
    ("a", "b", "c"), [(0.05, 2.0, 0.6), (0.0, 1.5, 0.5), (0.02, 30.0, 1.5)]
)
def test_known_curve_is_recovered(a: float, b: float, c: float) -> None:
    found = fit(PHOTOS, (a + b * PHOTOS**-c)[None], SPREAD)
    assert found.floor[0] == pytest.approx(a, abs=0.01)
    assert found.exponent[0] == pytest.approx(c, rel=0.06)
    scale = found.scale[0] * found.reference ** found.exponent[0]
    assert scale == pytest.approx(b, rel=0.15)
    assert found.at(400.0)[0] == pytest.approx(a + b * 400**-c, abs=0.005)
    wanted = a + b * 250**-c
    assert found.photos_for(wanted)[0] == pytest.approx(250, rel=0.05)
    assert found.squares[0] < 0.01


def test_flat_error_stays_flat() -> None:
    found = fit(PHOTOS, np.full((1, 4), 0.1), SPREAD)
    assert found.at(400.0)[0] == pytest.approx(0.1)
    assert found.photos_for(0.05)[0] == np.inf


def test_rising_error_is_fitted_with_a_flat_curve_far_from_the_points() -> None:
    found = fit(PHOTOS, np.array([[0.1, 0.2, 0.3, 0.4]]), SPREAD)
    assert found.scale[0] == pytest.approx(0)
    assert found.squares[0] > 10


def test_many_sets_of_points_are_fitted_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    errors = rng.random((50, 4))
    together = fit(PHOTOS, errors, SPREAD)
    for row in range(50):
        alone = fit(PHOTOS, errors[row : row + 1], SPREAD)
        assert alone.at(200.0)[0] == pytest.approx(together.at(200.0)[row])
    assert (together.floor >= 0).all()
    assert (together.scale >= 0).all()
