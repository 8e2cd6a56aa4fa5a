"""The full check adds boxes too small for the input and a run's label issues."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from tests.simulators.photos import write_coco
from tests.simulators.runs import make_run, write_spots
from trainer.data.checks.check import check_dataset
from trainer.data.dataset import open_dataset
from trainer.data.findings import FindingKind
from trainer.full_check import run_full_check, with_small_boxes
from trainer.ship.pack import pack_run


def no_bar(_title: str, _total: int) -> nullcontext[object]:
    return nullcontext(lambda: None)


def test_boxes_that_the_input_shrinks_are_found(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d"))
    assert FindingKind.SMALL_BOX not in with_small_boxes(report, 64).by_kind
    assert FindingKind.SMALL_BOX in with_small_boxes(report, 32).by_kind


def test_dataset_without_training_photos_is_checked_too(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d", {"val": 2}))
    assert with_small_boxes(report, None).dataset.photo_count == 2


def test_run_finds_defects_on_photos_without_a_label(tmp_path: Path) -> None:
    write_spots(tmp_path / "d", train=4, val=6, good=4)
    dataset = open_dataset(tmp_path / "d")
    run = make_run(tmp_path / "run", dataset)
    package = tmp_path / "package"
    pack_run(run, dataset, package, on_progress=len, int8=False)
    write_spots(tmp_path / "other", train=1, val=1, good=1, seed=1)
    defective = tmp_path / "other" / "images" / "train-0.png"
    (tmp_path / "d" / "good" / "bad.png").write_bytes(defective.read_bytes())
    check = partial(run_full_check, tmp_path / "d", size_px=96, progress_bar=no_bar)
    assert FindingKind.LOOKS_DEFECTIVE not in check(run=None).by_kind
    (issue,) = check(run=package).by_kind[FindingKind.LOOKS_DEFECTIVE]
    assert issue.file.name == "bad.png"
