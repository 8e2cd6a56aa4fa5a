"""A photo whose only label was lost never becomes a good part, in any format."""

from pathlib import Path

import pytest

from tests.simulators.exports import EXPORTS
from trainer.data.checks.check import check_dataset
from trainer.data.checks.repaired_copy import write_repaired_copy

# Of each format: the file of the one box, what is in it, and what makes it unreadable.
DAMAGE = {
    "COCO": ("annotations/instances_default.json", '"bbox": [8.0, ', '"bbox": ['),
    "YOLO": ("labels/a.txt", "0 0.25 0.5", "0 0.25"),
    "YOLO 1.1": ("obj_train_data/a.txt", "0 0.25 0.5", "0 0.25"),
    "Pascal VOC": ("Annotations/a.xml", "<xmin>8</xmin>", ""),
    "CVAT": ("annotations.xml", 'xtl="8.00"', ""),
    "Label Studio": ("project-1-at-2026-01-01.json", '"width": 25.0', '"width": null'),
    "Label Studio JSON-MIN": (
        "project-1-at-2026-01-01.json",
        '"width": 25.0',
        '"width": null',
    ),
}
WHOLE_FILE = ("Pascal VOC", "Annotations/a.xml", "</annotation>", "")


def test_every_format_has_its_damage_here() -> None:
    assert set(DAMAGE) == set(EXPORTS)


@pytest.mark.parametrize(
    ("name", "file", "before", "after"),
    [*((name, *damage) for name, damage in DAMAGE.items()), WHOLE_FILE],
)
def test_photo_that_lost_its_only_row_is_not_good_after_the_repair(
    tmp_path: Path, name: str, file: str, before: str, after: str
) -> None:
    root = EXPORTS[name](tmp_path / "d")
    text = (root / file).read_text("utf-8")
    assert text.count(before) == 1
    (root / file).write_text(text.replace(before, after), "utf-8")
    report = check_dataset(root)
    assert report.errors
    copy = write_repaired_copy(report, tmp_path / "copy")
    splits = copy.report.dataset.splits
    assert [p.path.name for photos in splits.values() for p in photos] == ["b.png"]
