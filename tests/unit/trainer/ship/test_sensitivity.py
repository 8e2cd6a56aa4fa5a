"""Which layers INT8 hurts, found on a detector whose weights are known."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.openvino_runtime import ov
from tests.simulators.float_models import calibrate, export_float, spots
from trainer.data.dataset import Dataset
from trainer.ship.calibration import Calibration
from trainer.ship.nncf_adapter import Ranges
from trainer.ship.quantize import quantize_onnx, quantize_openvino
from trainer.ship.sensitivity import (
    Sensitivity,
    detection_noise,
    fewest_layers,
    fewest_passing,
    input_ranges,
    rank_layers,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return spots(tmp_path_factory.mktemp("spots"), train=6, good=4)


@pytest.fixture(scope="module")
def calibration(dataset: Dataset) -> Calibration:
    return calibrate(dataset.splits["train"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, calibration: Calibration) -> Path:
    made = tmp_path_factory.mktemp("graphs")
    export_float(made)
    files = made / "fp32.xml", made / "int8.xml"
    quantize_openvino(*files, calibration, Ranges.WHOLE, {})
    return made


def layers_of(folder: Path) -> list[str]:
    graph = onnx.load(folder / "fp32.onnx").graph
    return [node.name for node in graph.node if node.op_type == "Conv"]


def test_every_convolution_has_the_range_of_its_input(folder: Path) -> None:
    ranges = input_ranges(folder / "int8.xml")
    first, second = layers_of(folder)
    assert set(ranges) == {first, second}
    assert ranges[first][0] == pytest.approx(0, abs=6)  # grey levels
    assert 200 < ranges[first][1] < 256
    assert ranges[second][1] < 5  # features


def test_layer_with_a_range_that_cuts_its_input_is_the_worst(
    folder: Path, calibration: Calibration
) -> None:
    images = [calibration.read(photo) for photo in calibration.photos[:3]]
    ranges = input_ranges(folder / "int8.xml")
    calls: list[tuple[int, int]] = []
    first, second = layers_of(folder)
    for spoilt, other in ((first, second), (second, first)):
        cut = ranges | {spoilt: (ranges[spoilt][0], ranges[spoilt][1] / 4)}
        ranked = rank_layers(
            folder / "fp32.onnx", cut, images, lambda n, of: calls.append((n, of))
        )
        assert [entry.layer for entry in ranked] == [spoilt, other]
        assert ranked[0].noise > 10 * ranked[1].noise
        assert ranked[1].noise > 0
    assert calls == [(1, 2), (2, 2)] * 2


def test_noise_counts_lost_overlap_and_scores() -> None:
    exact = np.array([[5, 5, 4, 4, 0.9]], np.float32).T
    moved, fainter = exact.copy(), exact.copy()
    moved[0] += 2  # half of the width: an IoU of one third
    fainter[4] -= 0.5
    assert detection_noise([exact], [exact]) == 0
    assert detection_noise([exact], [moved]) == pytest.approx((2 / 3) ** 2)
    assert detection_noise([exact], [fainter]) == pytest.approx(0.25)


def test_fewest_layers_carry_the_share_of_the_noise() -> None:
    ranked = [
        Sensitivity(name, noise) for name, noise in (("a", 6), ("b", 3), ("c", 1))
    ]
    assert fewest_layers(ranked, 0.5) == ("a",)
    assert fewest_layers(ranked, 0.75) == ("a", "b")
    assert fewest_layers(ranked, 1) == ("a", "b", "c")


@pytest.mark.parametrize("needed", range(3, 28), ids=str)
def test_bisection_finds_the_smallest_count_that_passes(needed: int) -> None:
    tried: list[int] = []

    def passes(count: int) -> bool:
        tried.append(count)
        return count >= needed

    assert fewest_passing(3, 26, passes) == min(needed, 26)
    assert len(tried) <= 5
    assert 26 not in tried  # it is taken in any case


def test_layer_in_float_is_not_quantized_in_either_format(
    folder: Path, calibration: Calibration, tmp_path: Path
) -> None:
    first, second = layers_of(folder)
    names = tmp_path / "int8.xml", tmp_path / "int8.onnx"
    arguments = calibration, Ranges.WHOLE, {}, (second,)
    quantize_openvino(folder / "fp32.xml", names[0], *arguments)
    quantize_onnx(folder / "fp32.onnx", names[1], *arguments)
    assert set(input_ranges(names[0])) == {first}
    kinds = [node.get_type_name() for node in ov.Core().read_model(names[0]).get_ops()]
    assert "FakeQuantize" in kinds
    graph = onnx.load(names[1]).graph
    maker = {name: node.op_type for node in graph.node for name in node.output}
    inputs = {n.name: maker.get(n.input[0]) for n in graph.node if n.op_type == "Conv"}
    assert inputs[first] == "DequantizeLinear"
    assert inputs[second] != "DequantizeLinear"
