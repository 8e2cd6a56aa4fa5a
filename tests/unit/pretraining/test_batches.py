"""A batch of the stream depends on its number only, and workers keep the order."""

from dataclasses import replace

import numpy as np
import pytest

from pretraining import batches
from pretraining.batches import (
    CHUNK,
    Sample,
    StreamConfig,
    draw_batch,
    draw_scaled_sample,
    numbered_batches,
)

CONFIG = StreamConfig((64, 96), batch=2, seed=3)


def same(one: list[Sample], other: list[Sample]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(
        np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True)
    )


def test_batch_depends_on_seed_and_number_only() -> None:
    assert same(draw_batch(CONFIG, 5), draw_batch(CONFIG, 5))
    assert not same(
        draw_batch(replace(CONFIG, sizes_px=(64,)), 5), draw_batch(CONFIG, 6)
    )
    assert not same(
        draw_batch(replace(CONFIG, sizes_px=(64,)), 5),
        draw_batch(StreamConfig((64,), batch=2, seed=4), 5),
    )


def test_each_batch_has_one_size_and_all_sizes_occur() -> None:
    drawn = [draw_batch(CONFIG, number) for number in range(12)]
    sides = [{sample[0].shape for sample in samples} for samples in drawn]
    assert all(len(shapes) == 1 for shapes in sides)
    assert {next(iter(shapes))[0] for shapes in sides} == {64, 96}


def test_boxes_of_enlarged_pictures_stay_on_their_defects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def square(
        rng: np.random.Generator, size_px: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y = rng.integers(8, size_px - 24, 2)
        image = np.zeros((size_px, size_px, 3), np.uint8)
        image[y : y + 16, x : x + 16] = 255
        box = np.array([[x, y, x + 16, y + 16]], np.float32)
        return image, box, np.array([1])

    monkeypatch.setattr(batches, "draw_sample", square)
    sides = []
    for seed in range(20):
        image, boxes, _ = draw_scaled_sample(np.random.default_rng(seed), 192)
        assert image.shape == (192, 192, 3)
        samples, columns = np.nonzero(image[:, :, 0] > 127)
        seen = [columns.min(), samples.min(), columns.max() + 1, samples.max() + 1]
        np.testing.assert_allclose(boxes[0], seen, atol=1.5)
        sides.append(boxes[0, 2] - boxes[0, 0])
    assert min(sides) == 16
    assert max(sides) > 24  # some are enlarged


@pytest.mark.parametrize("ahead", [False, True])
def test_workers_deliver_batches_in_order(*, ahead: bool) -> None:
    numbers = range(7, 7 + CHUNK + 2)
    drawn = list(numbered_batches(CONFIG, numbers, 2, ahead=ahead))
    assert len(drawn) == len(numbers)
    for number, samples in zip(numbers, drawn, strict=True):
        assert same(samples, draw_batch(CONFIG, number))
