"""The search for an INT8 variant ends, and nothing is kept that never passed."""

from dataclasses import replace
from pathlib import Path

from models.golden import read_golden
from models.manifest import VariantName
from tests.simulators.runs import HEIGHT_PX, WIDTH_PX, make_run, write_spots
from trainer.data.dataset import open_dataset
from trainer.ship.calibration import choose_calibration
from trainer.ship.int8 import MOST_TRIES, make_int8
from trainer.ship.pack import pack_run
from trainer.ship.variants import MODEL_FILES, VariantEvaluator


def test_gate_that_nothing_passes_ends_after_layers_were_left_in_float(
    tmp_path: Path,
) -> None:
    write_spots(tmp_path / "spots", train=4, val=4, good=4)
    dataset = open_dataset(tmp_path / "spots")
    run = make_run(tmp_path / "run", dataset)
    out = tmp_path / "package"
    package = pack_run(run, dataset, out, on_progress=len, int8=False).package
    photos, held_out = dataset.for_training()
    trial = VariantEvaluator(out, package.manifest, held_out, read_golden(package))
    _, found = trial.look(VariantName.OPENVINO_FP32)
    beyond = package.manifest.metrics.model_copy(update={"recall": 2.0})
    manifest = package.manifest.model_copy(update={"metrics": beyond})
    trial = replace(trial, manifest=manifest, expected=found)
    calibration = choose_calibration(
        photos, seed=0, input_height_px=HEIGHT_PX, input_width_px=WIDTH_PX
    )
    said: list[str] = []
    proofs = make_int8(trial, calibration, said.append)
    for name in (VariantName.OPENVINO_INT8, VariantName.ONNX_INT8):
        tries = [line for line in said if line.startswith(f"quantizing {name}")]
        assert 1 <= len(tries) <= MOST_TRIES
        assert "layers in float" in tries[-1]
        assert proofs[name].variant is None
        assert "recall loses" in proofs[name].dropped[0].reason
        assert not (out / MODEL_FILES[name]).exists()
    assert "compared 2 of 2 layers" in said
