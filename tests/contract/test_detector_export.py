"""Every detector exports to the one graph contract, with the same numbers."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from models.onnx_runtime import ort
from trainer.detectors.base import DetectionGraph, TrainableDetector
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.weights import graft
from trainer.detectors.yolox import YOLOX
from trainer.detectors.zoo import build_detector

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = 80
SIZE_PX = (192, 160)
YOLOX_CASES = [(Architecture.YOLOX_NANO, activation) for activation in Activation]
CASES = [*YOLOX_CASES, (Architecture.SSDLITE, Activation.HARDSWISH)]


@pytest.fixture
def board(shared: Path) -> torch.Tensor:
    """A real picture, ``[1, 3, 192, 160]`` BGR 0..255."""
    path = min((shared / "data" / "pcb").rglob("*.jpg"))
    picture = cv2.resize(cv2.imread(str(path)), SIZE_PX[::-1])
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))


def lively(detector: TrainableDetector, shared: Path) -> None:
    """Give weights that make predictions differ from place to place.

    A YOLOX gets trained ones: in a random network of this depth rounding errors
    of 1e-7 grow to 1e-2, on any runtime.
    """
    if detector.architecture is Architecture.YOLOX_NANO:
        graft(detector, shared / "weights" / "yolox_nano_coco.pth")
        return
    torch.manual_seed(0)
    for module in detector.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the tracing exporter
@pytest.mark.parametrize(("architecture", "activation"), CASES)
def test_exported_graph_is_static_and_equals_torch(
    architecture: Architecture,
    activation: Activation,
    board: torch.Tensor,
    shared: Path,
    tmp_path: Path,
) -> None:
    detector = build_detector(architecture, CLASSES, activation)
    lively(detector, shared)
    if isinstance(detector, YOLOX):
        detector.class_odds = torch.linspace(0.3, 3, CLASSES)
    graph = DetectionGraph(detector)
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        graph,
        (torch.zeros_like(board),),
        path,
        input_names=["images"],
        output_names=["detections"],
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert shape[:2] == [1, 4 + CLASSES]
    assert shape[2] > 500
    nodes = {node.op_type for node in model.graph.node}
    assert not {"Shape", "Range", "NonMaxSuppression", "Loop", "If"} & nodes
    assert "BatchNormalization" not in nodes  # INT8 corrects the biases of convolutions
    first = next(node for node in model.graph.node if "images" in node.input)
    assert architecture is Architecture.SSDLITE or first.op_type == "Conv"
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options)
    found = session.run(None, {"images": board.numpy()})[0]
    with torch.no_grad():
        expected = graph(board).numpy()
    assert found.shape == tuple(shape)
    # random weights amplify rounding
    close = 1e-3 if architecture is Architecture.SSDLITE else 1e-5
    assert expected[:, 4:].max() > 20 * close
    np.testing.assert_allclose(found[:, 4:], expected[:, 4:], rtol=0, atol=close)
    np.testing.assert_allclose(found[:, :4], expected[:, :4], rtol=1e-3, atol=0.05)
