import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.errors import PackageError
from models.onnx_detector import OnnxDetector
from models.openvino_detector import OpenVinoDetector
from models.openvino_runtime import ov
from models.preprocess import letterbox_image
from tests.simulators.float_models import calibrate, export_float, spots
from trainer.data.dataset import Dataset, read_photo
from trainer.ship.calibration import Calibration
from trainer.ship.nncf_adapter import Ranges, load_nncf
from trainer.ship.quantize import (
    onnx_decoding,
    openvino_decoding,
    quantize_onnx,
    quantize_openvino,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return spots(tmp_path_factory.mktemp("spots"), train=12, good=12)


@pytest.fixture(scope="module")
def calibration(dataset: Dataset) -> Calibration:
    return calibrate(dataset.splits["train"])


@pytest.fixture(scope="module")
def quantized(
    tmp_path_factory: pytest.TempPathFactory, calibration: Calibration
) -> Path:
    folder = tmp_path_factory.mktemp("quantized")
    export_float(folder)
    info = {"model_type": "YOLOv8"}
    files = folder / "fp32.xml", folder / "int8.xml"
    quantize_openvino(*files, calibration, Ranges.WHOLE, info)
    files = folder / "fp32.onnx", folder / "int8.onnx"
    quantize_onnx(*files, calibration, Ranges.WHOLE, info)
    return folder


def test_openvino_decoding_stays_in_float(quantized: Path) -> None:
    model = ov.Core().read_model(quantized / "int8.xml")
    kinds = {node.get_friendly_name(): node.get_type_name() for node in model.get_ops()}
    decoding = {kinds[name] for name in openvino_decoding(model)}
    assert {"Exp", "Sigmoid", "Concat", "Multiply"} <= decoding
    assert "FakeQuantize" not in decoding
    assert "FakeQuantize" in kinds.values()


def test_onnx_decoding_stays_in_float(quantized: Path) -> None:
    model = onnx.load(quantized / "int8.onnx")
    kinds = {node.name: node.op_type for node in model.graph.node}
    decoding = {kinds[name] for name in onnx_decoding(model)}
    assert {"Exp", "Sigmoid", "Concat", "Mul"} <= decoding
    assert "QuantizeLinear" not in decoding
    assert "QuantizeLinear" in kinds.values()


def test_int8_detects_the_same(quantized: Path, calibration: Calibration) -> None:
    exact = OpenVinoDetector(quantized / "fp32.xml", "f32")
    others = (
        OpenVinoDetector(quantized / "int8.xml", "f32"),
        OnnxDetector(quantized / "int8.onnx"),
    )
    strongest = 0.0
    for photo in calibration.photos:
        image, _ = letterbox_image(read_photo(photo), *exact.input_size_px)
        expected = exact.infer(image)
        strongest = max(strongest, float(expected[4:].max()))
        for other in others:
            found = other.infer(image)
            np.testing.assert_allclose(found[4:], expected[4:], rtol=0, atol=0.05)
            np.testing.assert_allclose(found[:4], expected[:4], rtol=0, atol=0.01)
    assert strongest > 0.9  # a rare, strong activation was not clipped


def test_int8_models_carry_the_metadata(quantized: Path) -> None:
    model = ov.Core().read_model(quantized / "int8.xml")
    assert model.get_rt_info(["model_info", "model_type"]).astype(str) == "YOLOv8"
    props = onnx.load(quantized / "int8.onnx").metadata_props
    assert ("model_info model_type", "YOLOv8") in [(p.key, p.value) for p in props]


def test_nncf_sends_no_telemetry_and_leaves_logging_unchanged(quantized: Path) -> None:
    load_nncf()
    wrapper = sys.modules["nncf.telemetry.wrapper"]
    assert not hasattr(wrapper, "Telemetry")  # its import failed
    assert sys.modules["openvino_telemetry"] is None  # blocked for the whole process
    assert logging.getLoggerClass() is logging.Logger
    assert logging.getLogger("nncf").handlers == []


def test_quantizing_prints_nothing(
    quantized: Path,
    calibration: Calibration,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    files = quantized / "fp32.xml", tmp_path / "int8.xml"
    quantize_openvino(*files, calibration, Ranges.TYPICAL, {})
    assert capfd.readouterr().out == ""


def test_refusal_of_nncf_is_a_package_error(
    quantized: Path, calibration: Calibration, tmp_path: Path
) -> None:
    no_photos = replace(calibration, photos=())
    files = quantized / "fp32.xml", tmp_path / "int8.xml"
    with pytest.raises(PackageError, match="cannot quantize") as caught:
        quantize_openvino(*files, no_photos, Ranges.TYPICAL, {})
    assert caught.value.fix == "Pack with --no-int8."
    assert list(tmp_path.iterdir()) == []
