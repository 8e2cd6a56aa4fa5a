import numpy as np
import pytest

from models.preprocess import Frame, Letterbox, letterbox, letterbox_image
from models.value_types import PAD_VALUE


def plain(height_px: int, width_px: int, value: int = 200) -> Frame:
    return np.full((height_px, width_px, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("height_px", "width_px", "content"),
    [
        (100, 200, (32, 64)),
        (200, 100, (64, 32)),
        (64, 64, (64, 64)),
        (16, 16, (64, 64)),
        (1, 5000, (1, 64)),
        (333, 517, (41, 64)),
    ],
)
def test_frame_fits_and_is_at_the_top_left(
    height_px: int, width_px: int, content: tuple[int, int]
) -> None:
    image, box = letterbox_image(plain(height_px, width_px), 64, 64)
    assert box.content_size_px == content
    assert image.shape == (64, 64, 3)
    assert (image[: content[0], : content[1]] == 200).all()
    assert (image[content[0] :] == PAD_VALUE).all()
    assert (image[:, content[1] :] == PAD_VALUE).all()


def test_input_of_the_graph_is_planar_float_in_bgr() -> None:
    frame = plain(64, 64)
    frame[:, :] = (1, 2, 255)
    images, _ = letterbox(frame, 64, 64)
    assert images.shape == (1, 3, 64, 64)
    assert images.dtype == np.float32
    assert images[0, :, 0, 0].tolist() == [1, 2, 255]


def test_frame_of_the_input_size_is_not_copied() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    image, box = letterbox_image(frame, 64, 64)
    assert image is frame
    assert box.scale == 1


def test_boxes_are_mapped_to_the_input_and_back() -> None:
    box = Letterbox(480, 640, 320, 320)
    boxes_frame = np.array([[10, 20, 300, 400], [0, 0, 640, 480]], np.float32)
    boxes_input = box.boxes_to_input(boxes_frame)
    assert boxes_input[1].tolist() == [0, 0, 320, 240]
    assert box.boxes_to_frame(boxes_input) == pytest.approx(boxes_frame, abs=1e-3)


def test_boxes_on_the_padding_are_cut_at_the_edge_of_the_frame() -> None:
    box = Letterbox(480, 640, 320, 320)
    on_padding = np.array([[100, 200, 400, 320]], np.float32)
    assert box.boxes_to_frame(on_padding).tolist() == [[200, 400, 640, 480]]
