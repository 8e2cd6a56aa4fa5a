"""Our YOLOX is the official one: same names, same numbers on real pictures.

The weights that are shipped are these as float16.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.onnx_runtime import ort
from trainer.detectors.assign import Grid
from trainer.detectors.names import ScoreRule
from trainer.detectors.weights import graft, read_tensors
from trainer.detectors.yolox import YOLOX, YoloxSize
from trainer.detectors.zoo import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT_PX = 416
GRID = Grid(((52, 52), (26, 26), (13, 13)), (8, 16, 32))

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "weights" / "yolox_nano_coco.pth"


@pytest.fixture(scope="module")
def ours(official: Path) -> YOLOX:
    network = YOLOX(YoloxSize.NANO, 80)
    network.score_rule = ScoreRule.PRODUCT
    graft(network, official)
    return network.eval()


@pytest.fixture(scope="module")
def shipped() -> YOLOX:
    network = YOLOX(YoloxSize.NANO, 80)
    network.score_rule = ScoreRule.PRODUCT
    report = load_weights(network, "yolox-nano-coco")
    assert report is not None
    assert (report.transferred, report.reset) == (642, ())
    return network.eval()


@pytest.fixture(scope="module")
def reference(shared: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # threads would wait on a busy machine
    path = shared / "weights" / "yolox_nano_coco.onnx"
    return ort.InferenceSession(path, options)


def letterboxed(picture: npt.NDArray[np.uint8]) -> Array:
    """Return ``[1, 3, 416, 416]``: top left, padded with 114, BGR 0..255."""
    scale = INPUT_PX / max(picture.shape[:2])
    height, width = (round(side * scale) for side in picture.shape[:2])
    canvas = np.full((INPUT_PX, INPUT_PX, 3), 114, np.uint8)
    canvas[:height, :width] = cv2.resize(picture, (width, height))
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)


def pictures(shared: Path) -> list[Array]:
    """Return boards and two frames of each video."""
    boards = sorted((shared / "data" / "pcb").rglob("*.jpg"))[:2]
    found = [cv2.imread(str(path)) for path in boards]
    for path in sorted((shared / "data" / "videos").glob("*.mp4")):
        video = cv2.VideoCapture(str(path))
        for _ in range(2):
            whole, frame = video.read()
            assert whole, path
            found.append(frame)
            video.set(cv2.CAP_PROP_POS_FRAMES, 60)
        video.release()
    assert len(found) >= 6
    return [letterboxed(picture) for picture in found]


def decoded(output: Array) -> tuple[Array, Array]:
    """Return boxes ``[A, 4]`` cx cy w h and scores ``[A, 80]`` of the reference."""
    cells, sides = (tensor.numpy() for tensor in GRID.points())
    centre = (output[:, :2] + cells) * sides[:, None]
    size = np.exp(output[:, 2:4]) * sides[:, None]
    return np.hstack((centre, size)), output[:, 4:5] * output[:, 5:]


def test_official_checkpoint_loads_strictly(official: Path) -> None:
    network = YOLOX(YoloxSize.NANO, 80)
    network.score_rule = ScoreRule.PRODUCT
    network.load_state_dict(read_tensors(official), strict=True)
    report = graft(network, official)
    assert report.transferred == 642
    assert report.reset == report.unused == ()


def test_official_checkpoint_loads_into_another_number_of_classes(
    official: Path,
) -> None:
    report = load_weights(YOLOX(YoloxSize.NANO, 6), str(official))
    assert report is not None
    assert report.transferred == 642 - 6
    assert all(name.startswith("head.cls_preds") for name in report.reset)


def test_outputs_equal_the_published_onnx_on_real_pictures(
    ours: YOLOX, reference: ort.InferenceSession, shared: Path
) -> None:
    confident = 0
    name = reference.get_inputs()[0].name
    for picture in pictures(shared):
        boxes, scores = decoded(reference.run(None, {name: picture})[0][0])
        with torch.no_grad():
            found = ours.detections(torch.from_numpy(picture))[0].T.numpy()
        sure = scores.max(axis=1) >= 0.05
        confident += int(sure.sum())
        np.testing.assert_allclose(found[:, 4:], scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found[sure, :4], boxes[sure], rtol=0, atol=0.01)
        np.testing.assert_allclose(found[:, :4], boxes, rtol=0, atol=0.05)
    assert confident > 50  # the pictures show something


def test_shipped_float16_weights_are_read_as_float32(
    ours: YOLOX, shipped: YOLOX
) -> None:
    """Batch norms, variances too, keep all digits that float16 has."""
    for name, value in shipped.state_dict().items():
        wanted = ours.state_dict()[name]
        assert value.dtype is wanted.dtype
        torch.testing.assert_close(value, wanted, rtol=2**-11, atol=2**-25)


def test_shipped_float16_weights_detect_the_same_on_real_pictures(
    ours: YOLOX, shipped: YOLOX, shared: Path
) -> None:
    confident = 0
    for picture in pictures(shared):
        with torch.no_grad():
            wanted, found = (
                network.detections(torch.from_numpy(picture))[0].T.numpy()
                for network in (ours, shipped)
            )
        sure = wanted[:, 4:].max(axis=1) >= 0.05
        confident += int(sure.sum())
        np.testing.assert_allclose(found[:, 4:], wanted[:, 4:], rtol=0, atol=0.01)
        side = wanted[sure, 2:4].max(axis=1, keepdims=True)
        np.testing.assert_array_less(abs(found - wanted)[sure, :4] / side, 0.02)
    assert confident > 50
