"""What ``check`` finds, and what it must not find."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.simulators.flawed import write_flawed
from tests.simulators.photos import annotation, plate, write_coco, write_json
from trainer.cli.output import SHOWN, finding_lines
from trainer.data.checks.boxes import small_boxes
from trainer.data.checks.check import CheckReport, check_dataset
from trainer.data.findings import Finding, FindingKind, Level


def photos_with(
    root: Path,
    boxes: Sequence[list[list[float]]],
    pictures: Sequence[np.ndarray] | None = None,
) -> CheckReport:
    """Check photos ``0.png``, ``1.png`` and so on with these boxes of class dot."""
    root.mkdir()
    rng = np.random.default_rng(0)
    rows, images = [], []
    for number, drawn in enumerate(boxes):
        picture = pictures[number] if pictures else plate(rng)
        cv2.imwrite(str(root / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png"})
        rows += [annotation(len(rows) + i, number, 0, b) for i, b in enumerate(drawn)]
    write_json(root / "train.json", images, rows)
    return check_dataset(root, trains=False)


def of_kind(report: CheckReport, kind: FindingKind) -> list[Finding]:
    return report.by_kind.get(kind, [])


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> CheckReport:
    return check_dataset(write_flawed(tmp_path_factory.mktemp("check") / "d"))


@pytest.mark.parametrize(
    ("kind", "level", "names"),
    [
        (FindingKind.ANNOTATION, Level.ERROR, ["val.json"]),
        (FindingKind.UNREADABLE_PHOTO, Level.ERROR, ["train-10.png"]),
        (FindingKind.WRONG_SIZE, Level.ERROR, ["val-4.png"]),
        (FindingKind.EMPTY_BOX, Level.ERROR, ["train-2.png"]),
        (FindingKind.OUTSIDE_BOX, Level.ERROR, ["train-1.png"]),
        (FindingKind.CLIPPED_BOX, Level.WARNING, ["train-0.png"]),
        (FindingKind.DUPLICATE_BOX, Level.WARNING, ["train-3.png"]),
        (FindingKind.HUGE_BOX, Level.WARNING, ["train-4.png"]),
        (FindingKind.DUPLICATE_PHOTO, Level.WARNING, ["train-6.png"]),
        (FindingKind.CONTRADICTION, Level.ERROR, ["train-9.png"]),
        (FindingKind.SAME_IN_TWO_SPLITS, Level.ERROR, ["val-0.png"]),
        (FindingKind.SIMILAR_LABELS, Level.ERROR, ["d"]),
        (FindingKind.COLOUR_MIX, Level.WARNING, ["val-1.png"]),
        (FindingKind.SHAPE_MIX, Level.WARNING, ["val-3.png"]),
        (FindingKind.SCALE_MIX, Level.WARNING, ["val-2.png"]),
    ],
)
def test_each_fault_is_found_where_it_is(
    flawed: CheckReport, kind: FindingKind, level: Level, names: list[str]
) -> None:
    found = of_kind(flawed, kind)
    assert [finding.file.name for finding in found] == names
    assert {finding.level for finding in found} == {level}
    assert all(finding.why and finding.fix for finding in found)


def test_unknown_class_names_the_photo_that_lost_its_box(flawed: CheckReport) -> None:
    [finding] = of_kind(flawed, FindingKind.ANNOTATION)
    assert finding.photo
    assert finding.photo.name == "val-5.png"


def test_errors_come_first_and_kinds_are_grouped(flawed: CheckReport) -> None:
    levels = [finding.level for finding in flawed.findings]
    assert levels == sorted(levels, key=list(Level).index)
    kinds = [finding.kind for finding in flawed.findings]
    changes = sum(a is not b for a, b in pairwise(kinds))
    assert changes == len(set(kinds)) - 1


def test_sound_dataset_has_only_too_few_examples(tmp_path: Path) -> None:
    report = check_dataset(write_coco(tmp_path / "d", good=4))
    assert set(report.by_kind) <= {FindingKind.RARE_LABEL, FindingKind.FEW_GOOD}


def test_faulty_boxes_are_reported_as_drawn(flawed: CheckReport) -> None:
    [outside] = of_kind(flawed, FindingKind.OUTSIDE_BOX)
    assert outside.boxes == ((200, 200, 209, 209),)
    [clipped] = of_kind(flawed, FindingKind.CLIPPED_BOX)
    assert clipped.as_json()["boxes"] == [[-10, 5, 20, 25]]


@pytest.mark.parametrize(
    ("other", "count"), [([10, 10, 20, 20.5], 1), ([10, 10, 20, 26], 0)]
)
def test_second_box_on_the_same_place_is_a_finding(
    tmp_path: Path, other: list[float], count: int
) -> None:
    report = photos_with(tmp_path / "d", [[[10, 10, 20, 20], other]])
    found = of_kind(report, FindingKind.DUPLICATE_BOX)
    assert len(found) == count
    assert all(finding.place == "annotation 1" for finding in found)


def test_third_box_is_compared_with_the_ones_that_are_kept(tmp_path: Path) -> None:
    boxes: list[list[float]] = [[10, 10, 40, 20], [11.5, 10, 40, 20], [13, 10, 40, 20]]
    report = photos_with(tmp_path / "d", [boxes])
    places = [finding.place for finding in of_kind(report, FindingKind.DUPLICATE_BOX)]
    assert places == ["annotation 1"]


def test_boxes_of_two_classes_may_lie_on_each_other(tmp_path: Path) -> None:
    root = tmp_path / "d"
    root.mkdir()
    cv2.imwrite(str(root / "a.png"), plate(np.random.default_rng(0)))
    rows = [annotation(label, 0, label, [5, 5, 20, 20]) for label in (0, 1)]
    write_json(root / "train.json", [{"id": 0, "file_name": "a.png"}], rows)
    assert not of_kind(check_dataset(root, trains=False), FindingKind.DUPLICATE_BOX)


def test_copies_with_boxes_in_another_order_do_not_contradict(tmp_path: Path) -> None:
    boxes: list[list[float]] = [[1, 1, 9, 9], [30, 30, 9, 9]]
    picture = plate(np.random.default_rng(0))
    report = photos_with(tmp_path / "d", [boxes, boxes[::-1]], [picture, picture])
    assert not of_kind(report, FindingKind.CONTRADICTION)
    assert len(of_kind(report, FindingKind.DUPLICATE_PHOTO)) == 1


def test_copies_with_another_class_contradict(tmp_path: Path) -> None:
    root = tmp_path / "d"
    root.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(root / name), plate(np.random.default_rng(0)))
    images = [{"id": i, "file_name": name} for i, name in enumerate(("a.png", "b.png"))]
    rows = [annotation(i, i, i, [5, 5, 20, 20]) for i in (0, 1)]
    write_json(root / "train.json", images, rows)
    assert (
        len(of_kind(check_dataset(root, trains=False), FindingKind.CONTRADICTION)) == 1
    )


def test_small_box_is_reported_with_the_input_size_that_is_large_enough(
    tmp_path: Path,
) -> None:
    report = photos_with(tmp_path / "d", [[[1, 1, 16, 40], [1, 1, 40, 40]]])
    assert not small_boxes(report.dataset, 64, 64)
    assert not small_boxes(report.dataset, 32, 32)  # 8 px: just enough
    [finding] = small_boxes(report.dataset, 28, 28)
    assert "1 of 2 boxes" in finding.why
    assert "7.0 px" in finding.why
    assert "--size 32 " in finding.fix
    assert finding.boxes == ((1, 1, 17, 41),)


def test_box_that_is_small_in_the_photo_itself_needs_another_photo(
    tmp_path: Path,
) -> None:
    report = photos_with(tmp_path / "d", [[[1, 1, 5, 40]]])
    [finding] = small_boxes(report.dataset, 64, 64)
    assert "from nearer" in finding.fix
    assert "--size" not in finding.fix


def test_upright_among_wide_photos_is_of_another_shape(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = [plate(rng)[:48] for _ in range(3)]
    upright = np.ascontiguousarray(plate(rng)[:48].swapaxes(0, 1))
    report = photos_with(tmp_path / "d", [[]] * 4, [*wide, upright])
    assert [f.file.name for f in of_kind(report, FindingKind.SHAPE_MIX)] == ["3.png"]


def test_colour_among_grey_is_reported_as_grey_among_colour_is(tmp_path: Path) -> None:
    grey = [np.full((64, 64, 3), 40 + level, np.uint8) for level in range(3)]
    report = photos_with(
        tmp_path / "d", [[]] * 4, [*grey, plate(np.random.default_rng(0))]
    )
    [finding] = of_kind(report, FindingKind.COLOUR_MIX)
    assert finding.file.name == "3.png"
    assert "3 of 4 photos are grey" in finding.why


def test_terminal_shows_the_first_findings_of_a_kind_and_counts_the_others(
    tmp_path: Path,
) -> None:
    boxes: list[list[list[float]]] = [[[-9, 5, 30, 20]] for _ in range(SHOWN + 3)]
    report = photos_with(tmp_path / "d", boxes)
    lines = list(finding_lines(report))
    assert sum("reaches outside" in line for line in lines) == SHOWN
    assert "  and 3 more: boxes that reach outside their photo" in lines
    findings = report.as_json()["findings"]
    assert isinstance(findings, list)
    kinds = [finding["kind"] for finding in findings]
    assert kinds.count("clipped-box") == SHOWN + 3


def test_every_photo_is_counted_while_reading(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "d", good=2)
    (root / "images" / "train-0.png").write_bytes(b"no picture")
    calls: list[tuple[int, int]] = []
    check_dataset(root, on_photo=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 12) for done in range(1, 13)]


@pytest.mark.parametrize(
    ("split", "text"), [("train", "never learnt"), ("val", "how well")]
)
def test_class_that_one_subset_lacks_is_reported(
    tmp_path: Path, split: str, text: str
) -> None:
    root = write_coco(tmp_path / "d", {"train": 6, "val": 6})
    path = root / f"{split}.json"
    document = json.loads(path.read_text("utf-8"))
    rows = [row for row in document["annotations"] if row["category_id"] != 2]
    path.write_text(json.dumps(document | {"annotations": rows}), "utf-8")
    kinds = check_dataset(root).by_kind
    [finding] = kinds[FindingKind.ONE_SIDED_LABEL]
    assert finding.place == "bar"
    assert text in finding.why
