import cv2
import numpy as np
import pytest

from edge.cameras.health.appearance import Measurer, may_be_unusable
from tests.simulators import scenes


def test_scene_of_a_large_frame_is_small_and_keeps_its_shape() -> None:
    frame = np.full((1080, 1920, 3), 100, np.uint8)
    frame[:540] = 200
    appearance = Measurer().measure(frame)
    assert appearance.scene.shape == (180, 320)
    assert appearance.size_px == (1920, 1080)
    assert (appearance.mean, appearance.std) == (150, 50)
    assert appearance.fill == 0.5
    assert appearance.fill_color == (100, 100, 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (7, 500), (333, 321)])
def test_frame_of_any_shape_can_be_measured(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    appearance = Measurer().measure(noise)
    assert appearance.size_px == shape[::-1]
    assert np.isfinite(
        [appearance.mean, appearance.std, appearance.sharpness, appearance.contrast]
    ).all()
    may_be_unusable(noise)


def test_defocus_lowers_the_sharpness_and_less_light_does_not() -> None:
    size_px, nearest = (1920, 1080), cv2.INTER_NEAREST
    frame = cv2.resize(scenes.scene(3), size_px, interpolation=nearest)
    sharp, soft, dim = (
        Measurer().measure(picture).sharpness
        for picture in (
            frame,
            cv2.GaussianBlur(frame, (0, 0), 3),
            (frame * 0.6).astype(np.uint8),
        )
    )
    assert soft < 0.3 * sharp
    assert 0.8 * sharp < dim < 1.25 * sharp


def test_only_the_same_bytes_are_identical() -> None:
    measurer = Measurer()
    first, second = scenes.scene(1), scenes.scene(2)
    measured = [measurer.measure(each) for each in (first, second, second, first)]
    assert [each.is_identical for each in measured] == [False, False, True, False]


@pytest.mark.parametrize(
    "picture_of", [scenes.black, scenes.white, scenes.covered, scenes.green_half]
)
def test_empty_frame_may_be_unusable_at_a_glance(picture_of: object) -> None:
    large = cv2.resize(picture_of(1), (1920, 1080))  # type: ignore[operator]
    assert may_be_unusable(np.asarray(large, np.uint8))
    assert not may_be_unusable(scenes.scene(1))
