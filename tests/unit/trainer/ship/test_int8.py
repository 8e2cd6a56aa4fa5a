"""The search for an INT8 variant ends, and keeps only what has passed the gate."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.golden import read_golden
from models.manifest import VariantName
from tests.simulators.runs import HEIGHT_PX, WIDTH_PX, make_run, write_spots
from trainer.data.dataset import open_dataset
from trainer.ship import int8
from trainer.ship.calibration import choose_calibration
from trainer.ship.int8 import MOST_ATTEMPTS, make_int8
from trainer.ship.pack import pack_run
from trainer.ship.variants import MODEL_FILES, VariantEvaluator


@pytest.mark.parametrize(
    ("in_float", "second"),
    # INT8 gains little where most layers stay in float: other ranges go first.
    [(1, "1 layer in float"), (2, "(extremes;")],
    ids=["half", "most"],
)
def test_search_without_success_ends_after_layers_were_left_in_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_float: int, second: str
) -> None:
    monkeypatch.setattr(int8, "fewest_passing", lambda *_: in_float)
    write_spots(tmp_path / "spots", train=4, val=4, good=4)
    dataset = open_dataset(tmp_path / "spots")
    run = make_run(tmp_path / "run", dataset)
    out = tmp_path / "package"
    package = pack_run(run, dataset, out, on_progress=len, int8=False).package
    photos, held_out = dataset.for_training()
    evaluator = VariantEvaluator(out, package.manifest, held_out, read_golden(package))
    _, found = evaluator.evaluate(VariantName.OPENVINO_FP32)
    unreachable = package.manifest.metrics.model_copy(update={"recall": 2.0})
    manifest = package.manifest.model_copy(update={"metrics": unreachable})
    evaluator = replace(evaluator, manifest=manifest, expected=found)
    calibration = choose_calibration(
        photos, seed=0, input_height_px=HEIGHT_PX, input_width_px=WIDTH_PX
    )
    progress: list[str] = []
    results = make_int8(evaluator, calibration, progress.append)
    for name in (VariantName.OPENVINO_INT8, VariantName.ONNX_INT8):
        attempts = [line for line in progress if line.startswith(f"quantizing {name}")]
        assert 1 <= len(attempts) <= MOST_ATTEMPTS
        assert any("in float" in line for line in attempts)
        assert results[name].variant is None
        assert "recall loses" in results[name].dropped[0].reason
        assert not (out / MODEL_FILES[name]).exists()
    assert "compared 2 of 2 layers" in progress
    assert second in next(line for line in progress if "attempt 2 of" in line)
