"""What good photos say about themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.data.dataset import Photo
from trainer.unknown.describe import (
    aligned_share,
    describe,
    two_groups,
)

NUMBERS = np.random.default_rng(0)


def photo(number: int) -> Photo:
    """Return a good part."""
    none = np.zeros((0, 4), np.float32)
    return Photo(
        Path(f"{number}.png"), f"{number:064}", 64, 64, none, np.zeros(0, np.int64)
    )


def patches(count: int, place: float, shift: float = 0.0) -> list[torch.Tensor]:
    """Return patches of photos: noise, plus what the place adds."""
    pattern = NUMBERS.normal(size=(16, 6)) * place
    return [
        torch.tensor(NUMBERS.normal(size=(16, 6)) * 0.1 + pattern + shift).half()
        for _ in range(count)
    ]


def test_place_explains_nearly_all_where_parts_lie_alike() -> None:
    assert aligned_share(patches(10, place=1.0)) == pytest.approx(1, abs=0.05)


def test_place_explains_nothing_where_parts_lie_differently() -> None:
    assert aligned_share(patches(40, place=0.0)) == pytest.approx(0, abs=0.05)


def test_photos_of_several_sizes_are_not_compared_by_place() -> None:
    assert aligned_share([torch.zeros(4, 3), torch.zeros(9, 3)]) is None


def test_two_parts_among_the_good_photos_are_named() -> None:
    both = [*patches(12, 0.0), *patches(8, 0.0, shift=3.0)]
    [note] = describe(both, [photo(i) for i in range(20)]).notes
    assert "of two kinds (12 like 0.png, 8 like 12.png)" in note


def test_one_kind_of_part_is_not_divided() -> None:
    means = torch.tensor(NUMBERS.normal(size=(40, 6)))
    assert two_groups(means) is None
    assert two_groups(torch.zeros(5, 3)) is None
