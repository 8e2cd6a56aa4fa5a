"""Export of a trained detector to model files that need no torch.

torch → ONNX (the tracing exporter: one fixed shape, no control flow) → OpenVINO IR,
read from the same ONNX file, so that both hold the same graph. Nothing is compressed
to half precision: parity with torch is tested in float32.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from models.errors import PackageError
from models.files import require_room
from models.openvino_runtime import ov, passes
from trainer.detectors.base import DetectionGraph, TrainableDetector
from trainer.ship.metadata import describe_onnx, describe_openvino

OPSET = 17  # the newest that every runtime of the last three years reads
INPUT_NAME = "images"
OUTPUT_NAME = "detections"
LEAST_FREE_BYTES = 1 << 24  # of a disk that is not the cause of a failed write


def export_onnx(
    model: TrainableDetector,
    path: Path,
    *,
    input_height_px: int,
    input_width_px: int,
    info: Mapping[str, str],
) -> int:
    """Write the detection graph as one ONNX file.

    Args:
        model: A trained detector; put into evaluation mode.
        info: Metadata from ``trainer.ship.metadata.model_info``.

    Returns:
        Number of candidates (anchors) that the graph returns for each image.

    Raises:
        PackageError: The graph is not valid, or breaks the graph contract.
        OSError: The file cannot be written.
    """
    graph = DetectionGraph(model).cpu()
    images = torch.zeros(1, 3, input_height_px, input_width_px)
    with warnings.catch_warnings(), torch.no_grad():
        # the tracing exporter is deprecated, but the newer one needs onnxscript
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            graph,
            (images,),
            str(path),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            opset_version=OPSET,
            dynamo=False,
        )
    exported = onnx.load(path)
    exported.producer_name = "graftline"
    lift_constants(exported)
    describe_onnx(exported, info)
    anchors = _check(exported, path, 4 + model.num_classes)
    onnx.save(exported, path)
    return anchors


def convert_openvino(onnx_path: Path, xml_path: Path, info: Mapping[str, str]) -> None:
    """Write an ONNX file as OpenVINO IR (``.xml`` and ``.bin``) in float32.

    Args:
        xml_path: The weights go beside it.

    Raises:
        OSError: It cannot be written.
    """
    # not ov.convert_model: it reports its use over the network
    model = ov.Core().read_model(str(onnx_path))
    # The reader leaves a bias as a sum over computed shapes. NNCF does not recognize
    # it as a bias and does not correct it, which cost 1.7 points of mAP@.75 in INT8.
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(model)
    save_openvino(model, xml_path, info)


def save_openvino(model: ov.Model, path: Path, info: Mapping[str, str]) -> None:
    """Write an OpenVINO model with its weights uncompressed.

    Args:
        path: ``.xml``; the weights go beside it.

    Raises:
        OSError: It cannot be written.
    """
    describe_openvino(model, info)
    try:
        ov.save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as exc:  # also on a full disk, which it does not name
        require_room(path.parent, [LEAST_FREE_BYTES])
        raise OSError(str(exc).strip().splitlines()[-1]) from exc


def lift_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers, in place: a shorter graph to read."""
    kept = []
    for node in model.graph.node:
        if node.op_type != "Constant" or node.attribute[0].name != "value":
            kept.append(node)
            continue
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _check(model: onnx.ModelProto, path: Path, channels: int) -> int:
    """Return the number of anchors, or refuse a graph that breaks the contract."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as exc:
        raise PackageError(
            f"{path}: the exported graph is not valid ONNX.",
            why=str(exc).strip().splitlines()[0],
            fix="Report this with the versions of torch and onnx.",
        ) from exc
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    shape = [int(dimension.dim_value) for dimension in dimensions]
    if len(shape) != 3 or shape[:2] != [1, channels] or shape[2] < 1:
        raise PackageError(
            f"{path}: the graph's output is {shape}.",
            why=f"The contract is [1, {channels}, anchors], all fixed.",
            fix="Report this with the detector's name and input size.",
        )
    return shape[2]
