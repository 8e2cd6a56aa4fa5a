"""Label Studio: whose boxes count, which pictures are meant, what becomes a box."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.exports import (
    BOX,
    drawn,
    region,
    studio_entries,
    task,
    write_studio,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.data.formats.label_studio import picture_name
from trainer.data.formats.recognize import read_annotations

OTHER = region({"x": 60.0, "y": 10.0})
URL_A = "/data/upload/3/a.png"
SHAPES = Path("data") / "formats" / "label-studio"


def opened(root: Path, *annotations: dict[str, object], url: str = URL_A) -> Dataset:
    """Return a dataset of one task; its second picture is in no task."""
    return open_dataset(write_studio(root, [task(1, url, *annotations)]))


def about_labels(dataset: Dataset) -> list[str]:
    """Return the findings but for that of the second picture."""
    return [str(f) for f in dataset.findings if f.kind is not FindingKind.UNLABELLED]


def findings_with(dataset: Dataset, text: str) -> list[str]:
    """Return the findings with this text."""
    return [str(f) for f in dataset.findings if text in f.why]


def first_x(dataset: Dataset) -> float:
    """Return where the first box begins, pixels."""
    return float(dataset.splits["all"][0].boxes[0, 0])


def test_annotation_changed_last_is_used_and_the_difference_reported(
    tmp_path: Path,
) -> None:
    dataset = opened(tmp_path, drawn(region(), number=2), drawn(OTHER, number=1))
    assert first_x(dataset) == BOX[0]
    [text] = findings_with(dataset, "differ")
    assert "annotations 2 and 1 differ (1 and 1 boxes); 2 is taken" in text


def test_ground_truth_is_preferred_to_a_later_change(tmp_path: Path) -> None:
    truth = drawn(OTHER, number=1, ground_truth=True)
    dataset = opened(tmp_path, drawn(region(), number=2), truth)
    assert first_x(dataset) == pytest.approx(0.6 * 64)


def test_people_who_agree_are_not_reported(tmp_path: Path) -> None:
    near = region({"x": 13.0, "y": 25.5})
    dataset = opened(tmp_path, drawn(region(), number=1), drawn(near, number=2))
    assert not about_labels(dataset)


@pytest.mark.parametrize(
    "other",
    [(), (region(), OTHER), (region({"rectanglelabels": ["bar"]}),)],
    ids=["none", "more", "another class"],
)
def test_other_number_or_class_is_a_difference(
    tmp_path: Path, other: tuple[dict[str, object], ...]
) -> None:
    dataset = opened(tmp_path, drawn(region(), number=2), drawn(*other, number=1))
    assert findings_with(dataset, "differ")


@pytest.mark.parametrize(
    "annotations",
    [(), (drawn(region(), was_cancelled=True),), (drawn(region(), skipped=True),)],
    ids=["none", "cancelled", "skipped"],
)
def test_picture_without_finished_annotation_is_left_out_and_not_good(
    tmp_path: Path, annotations: tuple[dict[str, object], ...]
) -> None:
    content = [task(7, URL_A, *annotations), task(8, "/data/upload/3/b.png", drawn())]
    dataset = open_dataset(write_studio(tmp_path, content))
    assert [photo.path.name for photo in dataset.splits["all"]] == ["b.png"]
    [text] = findings_with(dataset, "no finished annotation")
    assert "tasks 7" in text


def test_predictions_are_not_annotations(tmp_path: Path) -> None:
    entry = task(1, URL_A) | {"predictions": [{"result": [region()]}]}
    write_studio(tmp_path, [entry, task(2, "/data/upload/3/b.png", drawn())])
    assert [p.path.name for p in open_dataset(tmp_path).splits["all"]] == ["b.png"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/29/0123abcd-a.png", "/data/upload/29/0123abcd-a.png"),
        ("/data/local-files/?d=lot%201/a.png", "lot 1/a.png"),
        ("s3://bucket/lot/a.png", "/lot/a.png"),
        ("https://host/x/a%20b.png?token=1#top", "/x/a b.png"),
        (r"C:\photos\a.png", r"C:\photos\a.png"),
        ("a 100%25.png", "a 100%25.png"),
        ("data:image/png;base64,AAAA", ""),
        ("http://[broken/a.png", "http://[broken/a.png"),
    ],
)
def test_url_gives_the_name_of_a_picture(url: str, name: str) -> None:
    assert picture_name(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "/data/upload/29/0123abcd-a.png",
        "/data/local-files/?d=images/a.png",
        "https://host/x/a.png?X-Signature=1",
        r"C:\photos\a.png",
        "/a",
    ],
)
def test_picture_of_a_url_is_found_by_name(tmp_path: Path, url: str) -> None:
    [photo] = opened(tmp_path, drawn(region()), url=url).splits["all"]
    assert photo.path == tmp_path / "images" / "a.png"
    assert photo.boxes.tolist() == [list(BOX)]


def test_turned_box_turns_about_its_corner_in_pixels(tmp_path: Path) -> None:
    value = {"x": 50.0, "y": 50.0, "width": 25.0, "height": 25.0, "rotation": 90}
    dataset = opened(tmp_path, drawn(region(value)))  # at 32, 24; 16 x 12 pixels
    assert np.allclose(dataset.splits["all"][0].boxes, [[20, 24, 32, 40]], atol=1e-3)
    assert findings_with(dataset, "turned box, 1 times")


def test_polygon_and_ellipse_become_their_bounding_boxes(tmp_path: Path) -> None:
    polygon = region(value=None, type="polygonlabels")
    points = [[10, 20], [50, 25], [30, 75]]
    polygon["value"] = {"points": points, "polygonlabels": ["dot"]}
    ellipse = region(value=None, id="r2", type="ellipselabels")
    ellipse["value"] = {
        "x": 50,
        "y": 50,
        "radiusX": 25,
        "radiusY": 12.5,
        "rotation": 0,
        "ellipselabels": ["dot"],
    }
    dataset = opened(tmp_path, drawn(polygon, ellipse))
    wanted = [[6.4, 9.6, 32, 36], [16, 18, 48, 30]]
    assert np.allclose(dataset.splits["all"][0].boxes, wanted, atol=1e-3)
    assert findings_with(dataset, "polygon, 1 times")
    assert findings_with(dataset, "ellipse, 1 times")


def test_rectangle_and_its_class_in_two_regions_are_one_box(tmp_path: Path) -> None:
    """As ``<Rectangle>`` with ``<Labels>`` writes, with a choice for the region."""
    plain = region(type="rectangle")
    value = plain["value"]
    assert isinstance(value, dict)
    geometry = {k: v for k, v in value.items() if k != "rectanglelabels"}
    classes = region(type="labels")
    regions = (
        {**plain, "value": geometry},
        {**classes, "value": {**geometry, "labels": ["dot"]}},
        {**plain, "type": "choices", "value": {**geometry, "choices": ["deep"]}},
        {"id": "c", "type": "choices", "value": {"choices": ["bad part"]}},
    )
    dataset = opened(tmp_path, drawn(*regions))
    assert dataset.splits["all"][0].boxes.tolist() == [list(BOX)]
    assert not about_labels(dataset)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (region({"x": "left"}), "no box"),
        (region({"x": math.nan}), "no box"),
        (region({"rectanglelabels": []}), "0 classes"),
        (region({"rectanglelabels": ["dot", "bar"]}), "2 classes"),
        (region(image_rotation=90), "turned while"),
        (region({"rotation": 30}, original_width=None), "no box"),
        ({"id": "b", "value": {"rle": [1], "brushlabels": ["dot"]}}, "no box"),
        ({"id": "k", "value": {"x": 1, "y": 1, "keypointlabels": ["dot"]}}, "no box"),
        ({"id": "p", "value": {"points": [[1], 2], "polygonlabels": ["d"]}}, "no box"),
    ],
)
def test_regions_without_a_box_are_errors(
    tmp_path: Path, broken: dict[str, object], why: str
) -> None:
    dataset = opened(tmp_path, drawn(broken | {"id": "broken"}))
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert why in error.why
    assert error.place == "task 1, annotation 1, region broken"


def test_region_on_a_picture_of_other_proportions_is_an_error(tmp_path: Path) -> None:
    swapped = region(original_width=48, original_height=64)
    assert findings_with(opened(tmp_path, drawn(swapped)), "sides are swapped")


def test_region_on_a_larger_copy_of_the_picture_is_right(tmp_path: Path) -> None:
    larger = region(original_width=1280, original_height=960)
    assert not about_labels(opened(tmp_path, drawn(larger)))


def test_entries_of_json_min_of_one_task_are_its_annotations(tmp_path: Path) -> None:
    first, second = studio_entries()
    again = {**first, "annotation_id": 9, "updated_at": "2027-01-01", "label": []}
    dataset = open_dataset(write_studio(tmp_path, [first, again, second]))
    assert [photo.is_good for photo in dataset.splits["all"]] == [True, True]
    assert findings_with(dataset, "annotations 9 and 5 differ")


def test_entry_that_is_no_task_is_an_error(tmp_path: Path) -> None:
    content = [task(1, URL_A, drawn(region())), 5, {"id": 3}]
    dataset = open_dataset(write_studio(tmp_path, content))
    places = [f.place for f in dataset.findings if f.level is Level.ERROR]
    assert places == ["entry 2", "entry 3"]


def from_shared(shared: Path, name: str, root: Path) -> Path:
    """Copy a real export alone into a folder."""
    root.mkdir()
    content = json.loads((shared / SHAPES / name).read_text(encoding="utf-8"))
    (root / "export.json").write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "boxes", "labels", "text"),
    [
        ("data.json", [2, 2], ["parasites", "white"], "annotations 2 and 1 differ"),
        ("data_obb.json", [23, 1, 1], ["Butterfly", "butterfly"], "turned box, 25"),
        ("data_polygons.json", [1], ["Airplane"], "polygon, 1"),
        ("json_min/data.json", [1], ["Airplane"], "polygon, 1"),
        ("json_min/data_repeater.json", [], [], "shows 3 pictures"),
    ],
)
def test_real_exports_are_read_in_full(
    tmp_path: Path,
    shared: Path,
    name: str,
    boxes: list[int],
    labels: list[str],
    text: str,
) -> None:
    annotations = read_annotations(from_shared(shared, name, tmp_path / "d"))
    assert [len(photo.rows) for photo in annotations.splits["all"]] == boxes
    assert annotations.labels == labels
    [finding] = annotations.findings
    assert text in finding.why
