"""Packages that are wrong inside, yet sealed in order: every hash is right."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.golden import GoldenSet
from models.manifest import MANIFEST_NAME, SEAL_NAME
from models.openvino_runtime import opset13 as op
from models.openvino_runtime import ov
from models.package import Package, list_files, write_manifest
from tests.simulators.packages import bright_cell_graph


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


def answer_nan(folder: Path) -> None:
    """Make every score NaN."""
    _replace_graph(folder, np.float32("nan"))


def answer_another_shape(folder: Path) -> None:
    """Give the output a channel too many."""
    model = bright_cell_graph()
    output = model.output(0).get_node().input_value(0)
    zero = op.constant(np.zeros((1, 1, output.shape[2]), np.float32))
    _save(folder, op.concat([output, zero], 1), model)


def _replace_graph(folder: Path, factor: np.float32) -> None:
    model = bright_cell_graph()
    output = model.output(0).get_node().input_value(0)
    _save(folder, op.multiply(output, op.constant(factor)), model)


def _save(folder: Path, output: ov.Node, model: ov.Model) -> None:
    output.output(0).get_tensor().set_names({"detections"})
    changed = ov.Model([output], model.get_parameters(), "changed")
    ov.save_model(changed, folder / "openvino" / "fp32.xml", False)
