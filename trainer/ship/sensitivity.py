"""Which layers INT8 degrades: each is quantized alone, and the detections are compared.

The noise of the layers is nearly independent, so the noise of single layers about adds
up to that of the whole INT8 graph. A few layers carry most of it: left in float32 they
restore the accuracy, and the others stay fast.

A layer's input gets the range that NNCF chose, its weights one scale for each output
channel, as in the real variant. Compared are the candidates with the highest scores:
overlap of the boxes and difference of the scores, both 0..1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from models.boxes import FloatArray, cxcywh_to_xyxy, iou
from models.onnx_runtime import ort
from models.openvino_runtime import ov
from trainer.ship.export import INPUT_NAME
from trainer.ship.quantize import ONNX_TAIL

CANDIDATES = 30  # of a photo, highest score first; they are compared
CONVOLUTIONS = {"Convolution", "GroupConvolution"}
ValueRange = tuple[FloatArray, FloatArray]  # [1] or [channels]: lowest, highest value
InputRanges = dict[str, ValueRange]  # by the name of the ONNX node
LEVELS = 255  # steps of an 8 bit number
SMALLEST_STEP = 1e-30  # avoids 0 / 0 for an input or a weight that is always zero
LARGEST_WEIGHT = 127  # symmetric signed 8 bit number; -128 is not used


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far quantizing one layer alone moves the detections."""

    layer: str
    noise: float  # mean square of the lost overlap plus that of the score difference


def rank_layers(
    onnx_path: Path,
    ranges: InputRanges,
    images: Sequence[FloatArray],
    on_layer: Callable[[int, int], None],
) -> list[Sensitivity]:
    """Return the convolutions, most noise first.

    Args:
        onnx_path: The graph in float32.
        images: ``[1, 3, H, W]`` float32 each, to compare on.
        on_layer: Called after each layer with the number done and the total.
    """
    model = onnx.load(onnx_path)
    layers = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and node.name in ranges
    ]
    exact = _outputs(model, images)
    ranked = []
    for done, layer in enumerate(layers, 1):
        alone = _outputs(with_quantized(model, {layer: ranges[layer]}), images)
        ranked.append(Sensitivity(layer, detection_noise(exact, alone)))
        on_layer(done, len(layers))
    return sorted(ranked, key=lambda entry: -entry.noise)


def fewest_layers(ranked: Sequence[Sensitivity], share: float) -> tuple[str, ...]:
    """Return the fewest layers that carry a share of all noise.

    >>> fewest_layers([Sensitivity("a", 6), Sensitivity("b", 3)], 0.7)
    ('a', 'b')
    """
    wanted = share * sum(entry.noise for entry in ranked)
    chosen: list[str] = []
    for entry in ranked:
        if wanted <= 0:
            break
        chosen.append(entry.layer)
        wanted -= entry.noise
    return tuple(chosen)


def fewest_passing(least: int, most: int, passes: Callable[[int], bool]) -> int:
    """Return the smallest count that passes, by bisection; ``most`` is not tried.

    >>> fewest_passing(3, 26, lambda count: count >= 10)
    10
    """
    while least < most:
        middle = (least + most) // 2
        if passes(middle):
            most = middle
        else:
            least = middle + 1
    return most


def input_ranges(int8_path: Path) -> InputRanges:
    """Return the range of the quantized input of each convolution.

    Args:
        int8_path: ``.xml`` of a quantized OpenVINO IR.

    Returns:
        By name of the ONNX node, the lowest and highest value, for all channels
        together or for each.
    """
    model = ov.Core().read_model(str(int8_path))
    found = {}
    for node in model.get_ops():
        if node.get_type_name() not in CONVOLUTIONS:
            continue
        quantizer = _quantizer_before(node)
        if quantizer is not None:
            low, high = (
                np.ravel(quantizer.input_value(i).get_node().data).astype(np.float32)
                for i in (1, 2)
            )
            found[node.get_friendly_name().removesuffix(ONNX_TAIL)] = low, high
    return found


def _quantizer_before(node: ov.Node) -> ov.Node | None:
    """Return the quantizer of a layer's input, through concatenation and pooling."""
    source = node.input_value(0).get_node()
    while source.get_type_name() != "FakeQuantize":
        if source.get_type_name() in CONVOLUTIONS or not source.get_input_size():
            return None
        source = source.input_value(0).get_node()
    return source


def detection_noise(exact: Sequence[FloatArray], noisy: Sequence[FloatArray]) -> float:
    """Return how far the candidates with the highest scores moved.

    Args:
        exact: ``[4 + C, A]`` float32 for each photo.
        noisy: The same shapes, calculated less exactly.
    """
    total = 0.0
    for right, other in zip(exact, noisy, strict=True):
        best = np.argsort(-right[4:].max(axis=0), kind="stable")[:CANDIDATES]
        boxes, moved = (cxcywh_to_xyxy(out[:4, best].T) for out in (right, other))
        lost = 1 - np.diag(iou(boxes, moved))  # [CANDIDATES]
        scores = np.abs(right[4:, best] - other[4:, best]).max(axis=0)  # [CANDIDATES]
        total += float((lost**2).mean() + (scores**2).mean())
    return total / max(1, len(exact))


def _outputs(model: onnx.ModelProto, images: Sequence[FloatArray]) -> list[FloatArray]:
    """Return the graph's output for each image, ``[4 + C, A]``."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [
        np.asarray(session.run(None, {INPUT_NAME: image})[0][0], np.float32)
        for image in images
    ]


def with_quantized(model: onnx.ModelProto, ranges: InputRanges) -> onnx.ModelProto:
    """Return the graph with some convolutions calculated as in INT8.

    Args:
        model: Not changed.
        ranges: The input ranges of these convolutions.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for layer, limits in ranges.items():
        _quantize_layer(changed.graph, layer, limits)
    return changed


def _quantize_layer(graph: onnx.GraphProto, layer: str, limits: ValueRange) -> None:
    position, node = next(
        (i, node) for i, node in enumerate(graph.node) if node.name == layer
    )
    names = [f"{layer}/{part}" for part in ("scale", "zero", "whole", "rounded")]
    scale, zero, whole, rounded = names
    low, high = np.minimum(limits[0], 0), np.maximum(limits[1], 0)  # 0 stays exact
    step = np.maximum((high - low) / LEVELS, SMALLEST_STEP).astype(np.float32)
    origin = np.round(-low / step).astype(np.uint8)
    if step.size == 1:  # depthwise layers have one scale for each channel instead
        step, origin = step.reshape(()), origin.reshape(())
    graph.initializer.extend(
        (numpy_helper.from_array(step, scale), numpy_helper.from_array(origin, zero))
    )
    source = node.input[0]
    steps = (
        onnx.helper.make_node("QuantizeLinear", [source, scale, zero], [whole]),
        onnx.helper.make_node("DequantizeLinear", [whole, scale, zero], [rounded]),
    )
    node.input[0] = rounded
    for tensor in graph.initializer:
        if tensor.name == node.input[1]:
            weights = _rounded_weights(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    for offset, added in enumerate(steps):
        graph.node.insert(position + offset, added)


def _rounded_weights(weights: np.ndarray) -> FloatArray:
    """Return weights rounded as INT8 stores them, ``[out, in, rows, columns]``."""
    axes = tuple(range(1, weights.ndim))
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    step = np.maximum(largest, SMALLEST_STEP) / LARGEST_WEIGHT
    result: FloatArray = (np.round(weights / step) * step).astype(np.float32)
    return result
