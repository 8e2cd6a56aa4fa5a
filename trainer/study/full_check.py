"""Everything that can be said of a dataset before it is trained on.

``trainer.data.checks`` knows the data alone. Here comes what needs more: the size at
which photos will be looked at, and the eyes of a run that was trained before. Only
these eyes need a training library; it is loaded when a run is named, not before.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
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

Ticking = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
LabelInspection = Callable[[Dataset, Callable[[], None]], list[Finding]]


def inspect(
    root: Path,
    *,
    size_px: int | None,
    run: Path | None,
    ticking: Ticking,
    on_photo: OnPhoto | None = None,
    split: SplitOptions | None = None,
) -> CheckReport:
    """Return all findings of a dataset.

    Args:
        root: Its folder.
        size_px: Longer side of the input; None = as ``train`` chooses it.
        run: Trained run or package that looks at photos without a label.
        ticking: Shows the progress of that.
        on_photo: Told of every photo that was read.
        split: How to divide it.

    Raises:
        DatasetError: There is no dataset, or none of its photos can be used.
        TrainingError: No such run.
        PackageError: The package is damaged.
    """
    eyes = _eyes_of(run) if run else None
    report = check_dataset(root, on_photo=on_photo, split=split)
    report = with_small_boxes(report, size_px)
    if eyes is None:
        return report
    good = sum(photo.is_good for photo in report.dataset.photos)
    with ticking("look", good) as tick:
        return report.with_findings(eyes(report.dataset, tick))


def _eyes_of(run: Path) -> LabelInspection:
    """Return what looks at photos without a label, with the eyes of a run."""
    # Both bring torch: 2.6 s of start-up that a check without a run does not need.
    from trainer.evaluation.evaluate import open_model  # noqa: PLC0415
    from trainer.label_errors.unlabelled import find_unlabelled_defects  # noqa: PLC0415

    return partial(find_unlabelled_defects, open_model(run, None))


def with_small_boxes(
    report: CheckReport, size_px: int | None, wish: TileOption = TileMode.AUTO
) -> CheckReport:
    """Return the report with the boxes that are too small at the input's size.

    Args:
        report: Of a dataset.
        size_px: Longer side of the input; None = as ``train`` chooses it.
        wish: Whether photos are cut into tiles.
    """
    photos = _trained_on(report.dataset)
    tiles = choose_tiles(photos, size_px, wish)
    height_px, width_px = (
        tiles.picture_size_px if tiles else input_size(photos, size_px)
    )
    return report.with_findings(small_boxes(report.dataset, height_px, width_px))


def _trained_on(dataset: Dataset) -> tuple[Photo, ...]:
    """Return the photos that decide the input's size."""
    try:
        return dataset.for_training()[0]
    except DatasetError:  # a finding says so already
        return dataset.photos
