"""INT8 for the convolutions; the decoding of boxes stays in float32.

Everything between the last convolutions and the output is decoding: exponentials
of sizes, sigmoids or softmax of scores, strides and grid points, and the final
concatenation of pixels (0..640) with scores (0..1). One INT8 scale cannot hold
both. Quantizing it cost 10 to 12 points of mAP@.5 and 20 to 30 at mAP@.75, and was
slower; leaving it out cost less than half a point.

The decoding is found by walking back from the output, which works for every detector.

Distances to the memory of good parts stay in float32 too: they are small differences of
large numbers.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import onnx

from models.openvino_runtime import ov
from trainer.ship.calibration import Calibration
from trainer.ship.export import INPUT_NAME, save_openvino
from trainer.ship.metadata import describe_onnx
from trainer.ship.nncf_adapter import Ranges, quantize

Node = TypeVar("Node")

OPENVINO_LAYERS = {"Convolution", "GroupConvolution", "MatMul"}
ONNX_LAYERS = {"Conv", "Gemm", "MatMul"}
MEMORY = "/memory/"  # in the names of what ``PatchMemory`` calculates
ONNX_TAIL = "/WithoutBiases"  # what OpenVINO's reader adds to the name of an ONNX node


def quantize_openvino(
    source: Path,
    target: Path,
    calibration: Calibration,
    ranges: Ranges,
    info: Mapping[str, str],
    in_float: Collection[str] = (),
) -> None:
    """Write the INT8 IR of a float32 IR.

    Args:
        source: ``.xml``.
        target: ``.xml``; the weights go beside it.
        in_float: ONNX names of more layers that stay in float32.

    Raises:
        PackageError: NNCF cannot quantize this model.
        OSError: The file cannot be written.
    """
    model = ov.Core().read_model(str(source))
    layers = [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_friendly_name().removesuffix(ONNX_TAIL) in in_float
        and node.get_type_name() in OPENVINO_LAYERS
    ]
    ignored = [*openvino_decoding(model), *layers]
    quantized = quantize(model, calibration.photos, calibration.read, ignored, ranges)
    save_openvino(quantized, target, info)


def quantize_onnx(
    source: Path,
    target: Path,
    calibration: Calibration,
    ranges: Ranges,
    info: Mapping[str, str],
    in_float: Collection[str] = (),
) -> None:
    """Write the INT8 (QuantizeLinear, DequantizeLinear) ONNX of a float32 one.

    Raises:
        PackageError: NNCF cannot quantize this model.
        OSError: The file cannot be written.
    """
    model = onnx.load(source)
    quantized = quantize(
        model,
        calibration.photos,
        lambda photo: {INPUT_NAME: calibration.read(photo)},
        [*onnx_decoding(model), *in_float],
        ranges,
    )
    describe_onnx(quantized, info)
    onnx.save(quantized, target)


def openvino_decoding(model: ov.Model) -> list[str]:
    """Return the names of the nodes behind the last convolutions."""
    found = _walk_back(
        (value.get_node() for value in model.get_results()[0].input_values()),
        key=lambda node: node.get_friendly_name(),
        stop=lambda node: node.get_type_name() in OPENVINO_LAYERS,
        sources=lambda node: [value.get_node() for value in node.input_values()],
    )
    of_memory = (op for op in model.get_ops() if MEMORY in op.get_friendly_name())
    names = {
        node.get_friendly_name()
        for node in (*found, *of_memory)
        if node.get_type_name() not in {"Constant", "Parameter"}
    }
    return sorted(names)


def onnx_decoding(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes behind the last convolutions."""
    maker = {name: node for node in model.graph.node for name in node.output}
    found = _walk_back(
        [maker[output.name] for output in model.graph.output],
        key=lambda node: node.name,
        stop=lambda node: node.op_type in ONNX_LAYERS,
        sources=lambda node: [maker[name] for name in node.input if name in maker],
    )
    of_memory = (node.name for node in model.graph.node if MEMORY in node.name)
    return sorted({*(node.name for node in found), *of_memory})


def _walk_back(
    starts: Iterable[Node],
    *,
    key: Callable[[Node], Hashable],
    stop: Callable[[Node], bool],
    sources: Callable[[Node], Iterable[Node]],
) -> list[Node]:
    """Return all nodes from the starts back to those where to stop, these excluded."""
    found: dict[Hashable, Node] = {}
    waiting = list(starts)
    while waiting:
        node = waiting.pop()
        if key(node) not in found and not stop(node):
            found[key(node)] = node
            waiting += sources(node)
    return list(found.values())
