"""Packages that are wrong inside, yet sealed in order: every hash is right."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.golden import GoldenSet
from models.manifest import MANIFEST_NAME, SEAL_NAME, Variant, VariantName
from models.openvino_runtime import opset13 as op
from models.openvino_runtime import ov
from models.package import Package, list_files, write_manifest
from tests.simulators.packages import CELL_PX, INPUT_SIZE_PX, bright_cell_graph

BLACK_MAX = 20.0  # of a pixel that a JPEG was black at


def reseal(
    package: Package, folder: Path, change: Callable[[Path], None], **fields: object
) -> Package:
    """Return a changed copy of a package with a manifest that fits it.

    Args:
        package: The package to begin with.
        folder: Folder to make.
        change: Is given the copy's folder.
        fields: New values of fields of the manifest.
    """
    shutil.copytree(package.folder, folder)
    change(folder)
    (folder / "manifest.json").unlink()
    update = {"files": list_files(folder), **fields}
    return write_manifest(folder, package.manifest.model_copy(update=update))


def make_earlier(folder: Path) -> None:
    """Make a package, in place, look as version 0.1 packed it."""
    path = folder / "golden" / "expected.json"
    golden = json.loads(path.read_text())
    del golden["thresholds"]
    for frame in golden["frames"]:
        del frame["defects"], frame["alarms"]
    path.write_text(json.dumps(golden))
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    del manifest["sealed"]
    entry = list_files(folder)["golden/expected.json"]
    manifest["files"]["golden/expected.json"] = entry.model_dump()
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    (folder / SEAL_NAME).unlink()


def nothing(folder: Path) -> None:
    """Change no file."""


def expect_what_is_not_there(folder: Path) -> None:
    """Make the golden set expect every defect of the last frame elsewhere."""
    path = folder / "golden" / "expected.json"
    golden = GoldenSet.model_validate_json(path.read_bytes())
    *others, last = golden.frames
    assert last.detections
    moved = tuple(
        each.model_copy(update={"box": (0.0, 288.0, 32.0, 320.0)})
        for each in last.detections
    )
    frames = (*others, last.model_copy(update={"detections": moved}))
    path.write_text(golden.model_copy(update={"frames": frames}).model_dump_json())


def answer_nan(folder: Path, graph: str = "fp32") -> None:
    """Make every score of a graph NaN."""
    _replace_graph(folder, np.float32("nan"), graph)


def answer_another_shape(folder: Path) -> None:
    """Give the output a channel too many."""
    model = bright_cell_graph()
    output = model.output(0).get_node().input_value(0)
    zero = op.constant(np.zeros((1, 1, output.shape[2]), np.float32))
    _save(folder, op.concat([output, zero], 1), model)


def _replace_graph(folder: Path, factor: np.float32, graph: str) -> None:
    model = bright_cell_graph()
    output = model.output(0).get_node().input_value(0)
    _save(folder, op.multiply(output, op.constant(factor)), model, graph)


def _save(folder: Path, output: ov.Node, model: ov.Model, graph: str = "fp32") -> None:
    output.output(0).get_tensor().set_names({"detections"})
    changed = ov.Model([output], model.get_parameters(), "changed")
    ov.save_model(changed, folder / "openvino" / f"{graph}.xml", False)


def answer_nan_on_mark(folder: Path) -> None:
    """Make every score NaN on a picture with a black pixel."""
    model = bright_cell_graph()
    output = model.output(0).get_node().input_value(0)
    darkest = op.reduce_min(model.get_parameters()[0], [1, 2, 3], True)
    bright = op.convert(op.greater(darkest, np.float32(BLACK_MAX)), "f32")
    one_or_nan = op.reduce_min(op.divide(bright, bright), [1, 2], False)
    _save(folder, op.multiply(output, op.reshape(one_or_nan, [1, 1, 1], False)), model)


def crash_on_mark(folder: Path) -> None:
    """Replace the graph by one in ONNX that ends the process on a black pixel.

    The smallest whole number is divided by minus one there: on x86 the processor stops
    the process (SIGFPE), and ONNX Runtime 1.23 does not check for it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    cells = INPUT_SIZE_PX // CELL_PX
    weights = np.array([[1, 1, 1], [-1.5, -1.5, 3]], np.float32) / 3 / 255
    constants = {
        "weights": weights.reshape(2, 3, 1, 1),
        "zero": np.float32(0),
        "one": np.float32(1),
        "shape": np.array([1, 2, cells**2], np.int64),
        "boxes": _cell_boxes(cells),
        "black": np.float32(BLACK_MAX),
        "two_int": np.int32(2),
        "one_int": np.int32(1),
        "lowest_int": np.int32(-(2**31)),
        "tiny": np.float32(1e-20),
    }
    node = helper.make_node
    side = [CELL_PX, CELL_PX]
    nodes = [
        node("AveragePool", ["images"], ["mean"], kernel_shape=side, strides=side),
        node("Conv", ["mean", "weights"], ["scaled"]),
        node("Clip", ["scaled", "zero", "one"], ["clipped"]),
        node("Reshape", ["clipped", "shape"], ["scores"]),
        node("ReduceMin", ["images"], ["darkest"], keepdims=0),
        node("Greater", ["darkest", "black"], ["is_bright"]),
        node("Cast", ["is_bright"], ["bright"], to=TensorProto.INT32),
        node("Mul", ["bright", "two_int"], ["double"]),
        node("Sub", ["double", "one_int"], ["divisor"]),  # 1; -1 on a black pixel
        node("Div", ["lowest_int", "divisor"], ["quotient"]),
        node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
        node("Mul", ["number", "tiny"], ["nothing"]),
        node("Add", ["scores", "nothing"], ["kept"]),
        node("Concat", ["boxes", "kept"], ["detections"], axis=1),
    ]
    images = helper.make_tensor_value_info(
        "images", TensorProto.FLOAT, [1, 3, INPUT_SIZE_PX, INPUT_SIZE_PX]
    )
    detections = helper.make_tensor_value_info(
        "detections", TensorProto.FLOAT, [1, 6, cells**2]
    )
    tensors = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "crash", [images], [detections], tensors)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    shutil.rmtree(folder / "openvino")
    onnx.save(model, str(folder / "model.onnx"))


def onnx_variant(package: Package) -> dict[VariantName, Variant]:
    """Return the variants of a package whose graph ``crash_on_mark`` replaced."""
    (variant,) = package.manifest.variants.values()
    update = {"model": "model.onnx", "runtime": "onnxruntime"}
    return {VariantName.ONNX_FP32: variant.model_copy(update=update)}


def _cell_boxes(cells: int) -> np.ndarray:
    rows, columns = np.divmod(np.arange(cells**2), cells)
    sides = np.full(cells**2, 1.0)
    boxes = np.stack([columns + 0.5, rows + 0.5, sides, sides]) * CELL_PX
    return boxes[None].astype(np.float32)


def with_other_thresholds(package: Package, folder: Path) -> Package:
    """Return a copy whose thresholds were changed after packing, and sealed again."""
    thresholds = package.manifest.thresholds.model_copy(
        update={"scores": {"bright": 0.5, "red": 0.6555}}
    )
    return reseal(package, folder, nothing, thresholds=thresholds)
