import pytest

from edge.cameras.health.damaged_share import WINDOW_S, DamagedShare

S = 1_000_000_000


def shares(damaged_of_100: list[int]) -> list[int]:
    """Return the step after each second of 100 frames."""
    share, steps = DamagedShare(), []
    for second, damaged in enumerate(damaged_of_100):
        share.add(second * S, frames=100 - damaged)
        share.add(second * S, damaged=damaged)
        steps.append(share.percent)
    return steps


@pytest.mark.parametrize(
    ("damaged", "step"), [(0, 0), (1, 1), (4, 2), (15, 10), (49, 20), (100, 90)]
)
def test_share_is_rounded_down_to_a_step(damaged: int, step: int) -> None:
    assert shares([damaged] * 5)[-1] == step


def test_single_damaged_frame_of_many_is_below_the_first_step() -> None:
    assert shares([0] * 5 + [1] + [0] * 5)[-1] == 0


def test_share_around_a_step_does_not_alternate() -> None:
    assert set(shares([20] + [19, 21] * 20)[1:]) == {20}


def test_share_ends_a_window_after_the_damage() -> None:
    steps = shares([50] * 5 + [0] * (WINDOW_S + 1))
    assert steps[5] == 50
    assert steps[-1] == 0
