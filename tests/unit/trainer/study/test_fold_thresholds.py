"""The threshold of a run, chosen on all folds."""

import json
from pathlib import Path

import pytest

from graftline import main
from models.manifest import PromiseBasis, ThresholdRule
from tests.simulators.photos import write_coco
from trainer.run import open_run

TINY = ["--weights", "none", "--size", "64", "--epochs", "1", "--batch", "4"]


def test_good_parts_of_all_folds_choose_the_threshold_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d", {"train": 4, "val": 4}, good=12)
    run = tmp_path / "run"
    command = ["train", str(data), "--out", str(run), "--folds", "2", *TINY]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    record = open_run(run).record
    thresholds, promise = record.thresholds, record.thresholds.promise
    assert thresholds.rule is ThresholdRule.OVERKILL
    assert promise is not None
    assert (promise.basis, promise.parts) == (PromiseBasis.FOLDS, 12)
    assert promise.share == pytest.approx(1 / 13)
    assert thresholds.at_most is None
    assert printed["thresholds"]["promise"]["parts"] == 12
    assert record.metrics.good_images == 6  # its own val did not change
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["thresholds"]["scores"] == thresholds.scores
    assert "detectors of the folds" in report["promise"]


def test_limit_of_the_run_is_that_of_its_folds(tmp_path: Path) -> None:
    data = write_coco(tmp_path / "d", {"train": 4, "val": 4}, good=4)
    run = tmp_path / "run"
    limit = ["--max-escape", "0.5"]
    command = ["train", str(data), "--out", str(run), "--folds", "2", *limit, *TINY]
    assert main(command) == 0
    thresholds = open_run(run).record.thresholds
    assert (thresholds.rule, thresholds.target) == (ThresholdRule.ESCAPES, 0.5)
    assert (thresholds.chosen_on, thresholds.images) == ("folds", 12)
