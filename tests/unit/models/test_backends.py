from pathlib import Path

import numpy as np
import pytest

from models.backends import open_detector
from models.detector import detect, equal_thresholds
from models.errors import PackageError
from models.manifest import PrecisionHint, VariantName
from models.onnx_detector import OnnxDetector
from models.openvino_detector import OpenVinoDetector
from models.openvino_runtime import opset13 as op
from models.openvino_runtime import ov
from models.package import Package
from tests.simulators.packages import bright_cell_graph, part_picture


def test_defect_is_found_where_it_was_painted(sealed: Package) -> None:
    detector = open_detector(sealed, VariantName.OPENVINO_FP32, threads=1)
    assert detector.input_size_px == (320, 320)
    picture = part_picture((3, 4), size_px=640)
    found = detect(detector, picture, equal_thresholds(0.5, 2))
    assert found.boxes.tolist() == [[192, 256, 256, 320]]
    assert found.labels.tolist() == [0]


def test_output_is_the_callers_own(sealed: Package) -> None:
    detector = open_detector(sealed, VariantName.OPENVINO_FP32)
    first = detector.infer(np.zeros((320, 320, 3), np.uint8))
    kept = first.copy()
    detector.infer(np.full((320, 320, 3), 255, np.uint8))
    assert (first == kept).all()


def test_run_mode_that_the_manifest_does_not_allow_is_refused(sealed: Package) -> None:
    name = VariantName.OPENVINO_FP32
    entry = sealed.manifest.variants[name]
    only = {PrecisionHint.F32: entry.tolerances[PrecisionHint.F32]}
    variants = {name: entry.model_copy(update={"tolerances": only})}
    manifest = sealed.manifest.model_copy(update={"variants": variants})
    package = Package(sealed.folder, manifest, sealed.sha256)
    with pytest.raises(PackageError, match="bf16 was not tested") as caught:
        open_detector(package, name, PrecisionHint.BF16)
    assert caught.value.fix == "Use f32."


@pytest.mark.parametrize("content", [b"", b"<net", b"<net/>"])
def test_file_that_is_not_an_openvino_model_is_a_package_error(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model.xml").write_bytes(content)
    with pytest.raises(PackageError, match="cannot load this model"):
        OpenVinoDetector(tmp_path / "model.xml")


@pytest.mark.parametrize("content", [b"", b"\x08\x08junk"])
def test_file_that_is_not_an_onnx_model_is_a_package_error(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(PackageError, match="cannot load this model"):
        OnnxDetector(tmp_path / "model.onnx")


@pytest.mark.parametrize("shape", [[1, 1, 32, 32], [1, 3, 32], [1, 3, -1, -1]])
def test_graph_with_another_input_is_refused(shape: list[int], tmp_path: Path) -> None:
    images = op.parameter(shape, np.float32, "images")
    ov.save_model(ov.Model([op.relu(images)], [images], "m"), tmp_path / "model.xml")
    with pytest.raises(PackageError, match=r"the graph's input is"):
        OpenVinoDetector(tmp_path / "model.xml")


def test_inference_on_another_shape_is_a_package_error(tmp_path: Path) -> None:
    ov.save_model(bright_cell_graph(), tmp_path / "model.xml", False)
    detector = OpenVinoDetector(tmp_path / "model.xml")
    with pytest.raises(PackageError, match="failed during an inference"):
        detector.infer(np.zeros((64, 64, 3), np.uint8))
