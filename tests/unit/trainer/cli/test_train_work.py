"""What ``train`` prints and writes after a training."""

import argparse
import json
from pathlib import Path

import cv2
import pytest

from tests.simulators.runs import (
    CELL_PX,
    HEIGHT_PX,
    LABELS,
    WIDTH_PX,
    make_run,
    write_spots,
)
from trainer.cli.work.train import _finish
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.zoo import NO_WEIGHTS
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.torch_detector import TorchDetector
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.run_record import REPORT_NAME


def finish(folder: Path, dataset: Dataset, *, as_json: bool) -> None:
    run = make_run(folder, dataset)
    photos = dataset.for_training()[1]
    detector = TorchDetector(run.model, HEIGHT_PX, WIDTH_PX)
    found = predict_photos(detector, photos, len(LABELS))
    args = argparse.Namespace(
        out=folder, json=as_json, folds=None, learning_curve=False, compare=None
    )
    options = TrainOptions(weights=NO_WEIGHTS)
    assert _finish(args, options, dataset, Outcome(run, found, photos)) == 0


def with_a_defect_that_was_overlooked(clean: Dataset) -> tuple[Dataset, str]:
    """Return the dataset with a defect on one of its held-out good parts."""
    for photo in clean.for_training()[1]:
        picture = cv2.imread(str(photo.path))
        assert picture is not None
        whole = photo.path.read_bytes()
        picture[:CELL_PX, :CELL_PX] = 255
        assert cv2.imwrite(str(photo.path), picture)
        dataset = open_dataset(clean.root)
        held_out = {one.path for one in dataset.for_training()[1]}
        if photo.is_good and photo.path in held_out:
            return dataset, dataset.relative(photo.path)
        photo.path.write_bytes(whole)  # with other bytes it is trained on
    raise AssertionError


def test_defect_that_was_overlooked_among_the_good_parts_is_named_with_its_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "d"
    write_spots(root, good=60)
    clean = open_dataset(root)
    finish(tmp_path / "clean", clean, as_json=False)
    assert "decides the threshold" not in capsys.readouterr().out
    dataset, name = with_a_defect_that_was_overlooked(clean)

    finish(tmp_path / "spoilt", dataset, as_json=False)
    output = capsys.readouterr().out
    assert f"1 good part decides the threshold: {name} (" in output
    report = (tmp_path / "spoilt" / REPORT_NAME).read_text("utf-8")
    assert "<h2>Good parts that decide the threshold</h2>" in report
    finish(tmp_path / "again", dataset, as_json=True)
    figures = json.loads(capsys.readouterr().out)["deciding_good_parts"]
    assert [row["photo"] for row in figures["photos"]] == [name]
    assert figures["recall_without"] >= figures["recall"] + 0.05
    written = json.loads((tmp_path / "again" / "report.json").read_text("utf-8"))
    assert written["studies"]["deciding_good_parts"] == figures
