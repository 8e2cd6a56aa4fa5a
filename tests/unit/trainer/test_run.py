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
