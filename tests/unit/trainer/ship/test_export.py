from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx.external_data_helper import uses_external_data

from models.errors import PackageError
from models.manifest import ThresholdRule, Thresholds
from models.openvino_runtime import ov
from tests.simulators.runs import CELL_PX, HEIGHT_PX, WIDTH_PX, CellDetector
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.ship.export import OPSET, convert_openvino, export_onnx, lift_constants
from trainer.ship.metadata import model_info

THRESHOLDS = Thresholds(
    scores={"bright spot": 0.4, "dark spot": 0.25},
    iou_threshold=0.65,
    rule=ThresholdRule.BEST_F1,
    chosen_on="val",
    images=3,
    good_images=1,
)
INFO = model_info(("bright spot", "dark spot"), THRESHOLDS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exported")
    anchors = export(folder / "model.onnx")
    assert anchors == HEIGHT_PX // CELL_PX * WIDTH_PX // CELL_PX
    convert_openvino(folder / "model.onnx", folder / "model.xml", INFO)
    return folder


def export(path: Path, model: CellDetector | None = None) -> int:
    return export_onnx(
        model or CellDetector(),
        path,
        input_height_px=HEIGHT_PX,
        input_width_px=WIDTH_PX,
        info=INFO,
    )


def test_onnx_file_is_valid_static_and_complete(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == OPSET >= 17
    assert not any(uses_external_data(tensor) for tensor in model.graph.initializer)
    (images,), (detections,) = model.graph.input, model.graph.output
    assert images.name == "images"
    assert detections.name == "detections"
    shape = [side.dim_value for side in images.type.tensor_type.shape.dim]
    assert shape == [1, 3, HEIGHT_PX, WIDTH_PX]


def test_constants_are_initializers_not_nodes(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    assert "Constant" not in {node.op_type for node in model.graph.node}


def test_a_lifted_constant_keeps_its_name_and_value() -> None:
    value = onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [2], [1.5, 2.5])
    node = onnx.helper.make_node("Constant", [], ["scale"], value=value)
    user = onnx.helper.make_node("Mul", ["x", "scale"], ["y"])
    graph = onnx.helper.make_graph([node, user], "g", [], [])
    model = onnx.helper.make_model(graph)
    lift_constants(model)
    assert [n.op_type for n in model.graph.node] == ["Mul"]
    (tensor,) = model.graph.initializer
    assert tensor.name == "scale"
    assert list(onnx.numpy_helper.to_array(tensor)) == [1.5, 2.5]


def test_onnx_metadata_joins_section_and_key_by_a_space(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    props = {prop.key: prop.value for prop in model.metadata_props}
    assert props["model_info model_type"] == "YOLOv8"
    assert props["model_info labels"] == "bright_spot dark_spot"


def test_openvino_metadata_is_model_api_s(exported: Path) -> None:
    model = ov.Core().read_model(exported / "model.xml")
    info = {
        key: model.get_rt_info(["model_info", key]).astype(str)
        for key in ("resize_type", "pad_value", "scale_values", "confidence_threshold")
    }
    assert info == {
        "resize_type": "fit_to_window",
        "pad_value": "114",
        "scale_values": "1.0 1.0 1.0",
        "confidence_threshold": "0.25",
    }


def test_openvino_weights_are_not_halved(exported: Path) -> None:
    model = ov.Core().read_model(exported / "model.xml")
    types = {node.get_element_type().to_string() for node in model.get_ops()}
    assert "f32" in types
    assert "f16" not in types


def test_graph_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    model = CellDetector()
    model.num_classes = 5
    with pytest.raises(PackageError, match=r"output is \[1, 6, 24\]") as caught:
        export(tmp_path / "model.onnx", model)
    assert "1, 9" in caught.value.why


def test_every_bias_is_a_constant_that_the_quantizer_can_correct(
    tmp_path: Path,
) -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    size = {"input_height_px": 64, "input_width_px": 64}
    export_onnx(model, tmp_path / "model.onnx", **size, info=INFO)
    convert_openvino(tmp_path / "model.onnx", tmp_path / "model.xml", INFO)
    graph = ov.Core().read_model(str(tmp_path / "model.xml"))
    nodes = graph.get_ops()
    layers = [node for node in nodes if node.get_type_name().endswith("Convolution")]
    assert len(layers) > 100
    for layer in layers:
        (taker,) = layer.output(0).get_target_inputs()
        added = taker.get_node()
        assert added.get_type_name() == "Add"
        bias = added.input_value(1 - taker.get_index()).get_node()
        assert bias.get_type_name() == "Constant"
