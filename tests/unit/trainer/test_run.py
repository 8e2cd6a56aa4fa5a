import json
import os
from pathlib import Path

import pytest

from models.errors import TrainingError
from trainer.run import open_run


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"thresholds": {', '"thresholds": {}, "thresholds": {', "is there twice"),
        ('"seed": ', '"seconds": NaN, "seed": ', "NaN is not a finite number"),
        ("{", "", "Extra data"),
    ],
    ids=["twice", "nan", "not json"],
)
def test_record_that_can_be_read_in_two_ways_is_refused(
    before: str, after: str, fault: str, repository: Path, tmp_path: Path
) -> None:
    text = (repository / "tests/data/written_by_0_1/run.json").read_text("utf-8")
    assert before in text
    (tmp_path / "run.json").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(TrainingError, match="not a run record") as caught:
        open_run(tmp_path)
    assert fault in caught.value.why


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_record_that_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / "run.json")
    else:
        (tmp_path / "run.json").symlink_to("/dev/zero")
    with pytest.raises(TrainingError, match="not a finished run") as caught:
        open_run(tmp_path)
    assert "not a regular file" in caught.value.why


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_height_px", 0),
        ("input_height_px", -320),
        ("input_width_px", 1_000_000),
        ("labels", []),
        ("labels", ["not in the thresholds"]),
        ("dataset_images", 10**400),
    ],
)
def test_record_that_no_training_writes_is_refused(
    key: str, value: object, repository: Path, tmp_path: Path
) -> None:
    text = (repository / "tests/data/written_by_0_1/run.json").read_text("utf-8")
    document = {**json.loads(text), key: value}
    (tmp_path / "run.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(TrainingError, match="not a run record"):
        open_run(tmp_path)
