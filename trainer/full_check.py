"""All checks of a dataset before it is trained on, for ``graftline check``.

``trainer.data.checks`` reads the data alone. Two more checks depend on other parts of
the trainer: boxes that are too small at the input's size, and photos without a label on
which a trained run finds defects. Only the last one needs a training library, which is
loaded when a run is named.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.errors import DatasetError
from trainer.data.checks.boxes import small_boxes
from trainer.data.checks.check import CheckReport, check_dataset
from trainer.data.dataset import Dataset, OnPhoto, Photo
from trainer.data.findings import Finding
from trainer.data.splitting.split_record import SplitOptions
from trainer.fit.input_size import input_size
from trainer.fit.tiling import TileMode, TileOption, choose_tiles

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
LabelCheck = Callable[[Dataset, Callable[[], None]], list[Finding]]


def run_full_check(
    root: Path,
    *,
    size_px: int | None,
    run: Path | None,
    progress_bar: ProgressBar,
    on_photo: OnPhoto | None = None,
    split: SplitOptions | None = None,
) -> CheckReport:
    """Return all findings of a dataset.

    Args:
        size_px: Longer side of the input; None = as ``train`` chooses it.
        run: Trained run or package to evaluate photos without a label with.
        progress_bar: Opens a bar with a title and a total.
        split: How to divide the photos; None = the default.

    Raises:
        DatasetError: There is no dataset, or no photo of it can be used.
        TrainingError: No such run.
        PackageError: The package is damaged.
    """
    split, label_check = split or SplitOptions(), None
    if run:
        label_check, bit_depth = _label_check(run)  # a wrong run stops at once
        split = replace(split, bit_depth=split.bit_depth or bit_depth)
    report = check_dataset(root, on_photo=on_photo, split=split)
    report = with_small_boxes(report, size_px)
    if label_check is None:
        return report
    with progress_bar("evaluate", len(report.dataset.without_boxes)) as tick:
        return report.with_findings(label_check(report.dataset, tick))


def _label_check(run: Path) -> tuple[LabelCheck, int | None]:
    """Return the check by a trained run, and the bit depth of its photos."""
    # Both import torch: 2.6 s of start-up that a check without a run does not need.
    from trainer.evaluation.evaluate import open_model  # noqa: PLC0415
    from trainer.label_errors.unlabelled import find_unlabelled_defects  # noqa: PLC0415

    model = open_model(run, None)
    return partial(find_unlabelled_defects, model), model.bit_depth


def with_small_boxes(
    report: CheckReport, size_px: int | None, option: TileOption = TileMode.AUTO
) -> CheckReport:
    """Return the report with the boxes that are too small at the input's size.

    Args:
        size_px: Longer side of the input; None = as ``train`` chooses it.
    """
    photos = _trained_on(report.dataset)
    if not photos:  # bad/ alone: there is nothing to train on
        return report
    tiles = choose_tiles(photos, size_px, option)
    height_px, width_px = (
        tiles.picture_size_px if tiles else input_size(photos, size_px)
    )
    return report.with_findings(small_boxes(report.dataset, height_px, width_px))


def _trained_on(dataset: Dataset) -> tuple[Photo, ...]:
    """Return the photos that decide the input's size."""
    try:
        return dataset.for_training()[0]
    except DatasetError:  # nothing to train on: the report has a finding for it
        return dataset.photos
