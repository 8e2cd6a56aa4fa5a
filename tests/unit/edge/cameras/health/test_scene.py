from dataclasses import replace

import numpy as np
import pytest

from edge.cameras.health.scene import (
    HISTORY_FRAMES,
    SEAM_NEAR_ROWS,
    Appearance,
    Scene,
    has_decoder_fill,
)

TEXTURED = Appearance(
    size_px=(320, 200),
    mean=100,
    std=30,
    saturated=0,
    sharpness=1,
    is_identical=False,
    row_range=np.full(100, 40, np.uint8),
    fill=0,
    fill_color=(10, 20, 30),
    seams=(),
    scene=np.zeros((100, 160), np.uint8),
)


def scene_of(appearance: Appearance, frames: int = HISTORY_FRAMES) -> Scene:
    scene = Scene()
    for _ in range(frames):
        scene.add(appearance)
    return scene


def test_contrast_does_not_depend_on_the_light() -> None:
    bright = replace(TEXTURED, mean=203, std=60.6)
    assert bright.contrast == pytest.approx(TEXTURED.contrast, rel=0.01)


def test_uniform_rows_are_torn_where_there_was_texture() -> None:
    filled = replace(TEXTURED, fill=0.5)
    assert scene_of(TEXTURED).is_torn(filled)
    assert not scene_of(TEXTURED, HISTORY_FRAMES - 1).is_torn(filled)
    flat = replace(TEXTURED, row_range=np.full(100, 4, np.uint8))
    assert not scene_of(flat).is_torn(filled)


def test_reflection_of_the_light_is_not_torn() -> None:
    glare = replace(TEXTURED, fill=0.5, fill_color=(255, 255, 255))
    assert not scene_of(TEXTURED).is_torn(glare)


def test_seam_is_torn_unless_the_scene_has_it() -> None:
    cut = replace(TEXTURED, seams=(50,))
    assert scene_of(TEXTURED).is_torn(cut)
    near = replace(TEXTURED, seams=(50 + SEAM_NEAR_ROWS,))
    assert not scene_of(near).is_torn(cut)
    far = replace(TEXTURED, seams=(51 + SEAM_NEAR_ROWS,))
    assert scene_of(far).is_torn(cut)


def test_frame_of_another_size_starts_a_new_scene() -> None:
    scene = scene_of(replace(TEXTURED, seams=(50,)))
    scene.add(replace(TEXTURED, row_range=np.full(90, 40, np.uint8)))
    assert (scene.frames, scene.seams) == (1, set())


@pytest.mark.parametrize(
    ("fill", "color", "is_fill"),
    [
        (0.5, (0, 135, 0), True),  # YUV 0, 0, 0
        (1.0, (0, 135, 0), True),
        (0.5, (128, 128, 128), True),
        (1.0, (128, 128, 128), False),  # may be a grey part
        (0.1, (0, 135, 0), False),
        (0.5, (90, 135, 90), False),
    ],
)
def test_fill_of_a_decoder_is_detected_by_its_colour(
    fill: float, color: tuple[int, int, int], is_fill: bool
) -> None:
    assert has_decoder_fill(replace(TEXTURED, fill=fill, fill_color=color)) is is_fill
