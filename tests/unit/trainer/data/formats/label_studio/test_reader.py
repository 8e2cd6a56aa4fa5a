"""Label Studio: whose boxes count, which pictures are meant, what becomes a box."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    BOX,
    drawn,
    region,
    studio_entries,
    task,
    write_picture,
    write_studio,
    write_text,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind, Level
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
    [(region(), OTHER), (region({"rectanglelabels": ["bar"]}),)],
    ids=["more", "another class"],
)
def test_other_number_or_class_is_a_difference(
    tmp_path: Path, other: tuple[dict[str, object], ...]
) -> None:
    dataset = opened(tmp_path, drawn(region(), number=2), drawn(*other, number=1))
    assert findings_with(dataset, "differ")


def left_out(root: Path, *annotations: dict[str, object], **fields: object) -> str:
    """Return why the first picture is neither defective nor good; its place is kept.

    The second picture has a box with the choice "deep", so that there is a dataset.
    """
    choice = {"id": "r1", "type": "choices", "value": {"choices": ["deep"]}}
    good = {"id": "g", "type": "choices", "value": {"choices": ["passed"]}}
    other = drawn(region(), choice, good)
    content = [
        task(7, URL_A, *annotations) | fields,
        task(8, "/data/upload/3/b.png", other),
    ]
    dataset = open_dataset(write_studio(root, content))
    assert [photo.path.name for photo in dataset.splits["all"]] == ["b.png"]
    [photo] = dataset.unlabelled
    kinds = (FindingKind.UNLABELLED, FindingKind.UNCLEAR_LABEL)
    [finding] = [f for f in dataset.findings if f.kind in kinds]
    assert finding.place == photo.path.name == "a.png"
    assert finding.level is Level.WARNING
    return f"{photo.state}: {finding.why.split(': ')[1]}"


def entered(control: str, value: object, **fields: object) -> dict[str, object]:
    """Return what was entered for a whole picture."""
    return {"id": "w", "type": control, "value": {control: value}, **fields}


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ((), "unlabelled: its task has no finished annotation."),
        ((drawn(region(), was_cancelled=True),), "unclear: its task was skipped."),
        ((drawn(region(), skipped=True),), "unclear: its task was skipped."),
        ((5,), "unclear: its annotations are not in the export."),
    ],
    ids=["none", "cancelled", "skipped", "only its number"],
)
def test_picture_without_finished_annotation_is_left_out_and_not_good(
    tmp_path: Path, annotations: tuple[dict[str, object], ...], reason: str
) -> None:
    assert left_out(tmp_path, *annotations) == reason


def test_draft_is_not_submitted(tmp_path: Path) -> None:
    drafts = [{"id": 1, "result": [region()]}]
    reason = "unclear: its draft was not submitted."
    assert left_out(tmp_path, drafts=drafts) == reason


def test_regions_that_were_skipped_contradict_an_empty_result(tmp_path: Path) -> None:
    skipped = drawn(region(), number=1, was_cancelled=True)
    reason = "unclear: regions were drawn on it, and not submitted."
    assert left_out(tmp_path, skipped, drawn(number=2)) == reason


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (entered("choices", ["defect"]), "unclear: its choice 'defect' has no box."),
        (entered("choices", ["deep"]), "unclear: its choice 'deep' has no box."),
        (entered("choices", ["passed"]), "unclear: its choice 'passed' has no box."),
        (entered("choices", ["ok", "NG"]), "unclear: its choice 'NG' has no box."),
        (entered("rating", 2), "unclear: its rating '2' has no box."),
        (entered("text", ["scratch"]), "unclear: its text has no box."),
        (entered("taxonomy", [["dent"]]), "unclear: its taxonomy has no box."),
    ],
    ids=str,
)
def test_what_is_entered_without_a_box_makes_no_good_part(
    tmp_path: Path, result: dict[str, object], reason: str
) -> None:
    assert left_out(tmp_path, drawn(result)) == reason


@pytest.mark.parametrize(
    "result",
    [
        (),
        (entered("choices", ["OK"]),),
        (entered("choices", [" no defect"]), entered("text", [])),
        ({"type": "relation", "from_id": "a", "to_id": "b"},),
    ],
    ids=["nothing", "ok", "no defect", "relation"],
)
def test_submitted_task_without_a_defect_is_a_good_part(
    tmp_path: Path, result: tuple[dict[str, object], ...]
) -> None:
    [photo] = opened(tmp_path, drawn(*result)).splits["all"]
    assert photo.is_good


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (None, "its result is None, expected a list."),
        ("[]", "its result is '[]', expected a list."),
        ([5], "its result holds something that is no region."),
    ],
)
def test_result_that_cannot_be_read_makes_no_good_part(
    tmp_path: Path, result: object, fault: str
) -> None:
    content = [task(1, URL_A, drawn() | {"result": result})]
    root = write_studio(tmp_path, [*content, task(2, "/data/upload/3/b.png", drawn())])
    dataset = open_dataset(root)
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert (error.why, error.place) == (fault, "task 1, annotation 1")
    assert [photo.path.name for photo in dataset.unlabelled] == ["a.png"]


def test_people_who_disagree_about_a_defect_leave_the_photo_out(
    tmp_path: Path,
) -> None:
    reason = "unclear: people disagree whether it shows a defect."
    none = drawn(number=2)  # the later one
    assert left_out(tmp_path, drawn(region(), number=1), none) == reason
    [text] = findings_with(open_dataset(tmp_path), "differ")
    assert "annotations 2 and 1 differ (0 and 1 boxes); the photo is left out" in text


def test_ground_truth_decides_where_people_disagree(tmp_path: Path) -> None:
    truth = drawn(number=1, ground_truth=True)
    [photo] = opened(tmp_path, drawn(region(), number=2), truth).splits["all"]
    assert photo.is_good


def test_choice_and_empty_result_are_a_disagreement(tmp_path: Path) -> None:
    choice = drawn(entered("choices", ["defect"]), number=1)
    reason = "unclear: people disagree whether it shows a defect."
    assert left_out(tmp_path, choice, drawn(number=2)) == reason


def test_unlabelled_tasks_whose_pictures_are_not_there_are_counted_once(
    tmp_path: Path,
) -> None:
    lost = [task(number, f"/data/upload/3/{number}.png") for number in range(4)]
    content = [*lost, task(8, URL_A, drawn(region()))]
    dataset = open_dataset(write_studio(tmp_path, content))
    [text] = findings_with(dataset, "4 tasks are not labelled")
    assert "task 0; task 1; task 2; …" in text
    assert [f.level for f in dataset.findings] == [Level.WARNING] * 2


def uploads(root: Path, *pictures: str) -> Dataset:
    """Return a dataset of four uploads, with pictures at these places."""
    for number, picture in enumerate(pictures):
        write_picture(root / picture, number)
    content = [
        task(n, f"/data/upload/3/0123abc{n}-{name}.png", drawn(region()))
        for n, name in enumerate("wxyz")
    ]
    write_text(root / "export.json", json.dumps(content))
    return open_dataset(root)


def test_upload_that_is_not_there_takes_no_namesake_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    dataset = uploads(tmp_path, *(f"images/{name}.png" for name in "wxy"), "alt/z.png")
    assert [photo.path.stem for photo in dataset.photos] == ["w", "x", "y"]
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert "alt/z.png has the same name, but lies in another folder" in error.why


def test_uploads_may_lie_in_several_folders_of_nothing_else(tmp_path: Path) -> None:
    pictures = "lot1/w.png", "lot1/x.png", "lot2/y.png", "lot2/z.png"
    dataset = uploads(tmp_path, *pictures)
    found = [photo.path.relative_to(tmp_path).as_posix() for photo in dataset.photos]
    assert found == list(pictures)


def test_uploads_that_differ_by_their_prefix_alone_are_refused_with_both(
    tmp_path: Path,
) -> None:
    content = [
        task(1, "/data/upload/3/0123abcd-a.png", drawn(region())),
        task(2, "/data/upload/3/89abcdef-a.png", drawn()),
        task(3, "/data/upload/3/89abcdef-b.png", drawn()),
    ]
    dataset = open_dataset(write_studio(tmp_path, content))
    assert [photo.path.name for photo in dataset.photos] == ["b.png"]
    errors = [str(f) for f in dataset.findings if f.level is Level.ERROR]
    assert len(errors) == 2
    for name in ("0123abcd-a.png", "89abcdef-a.png"):
        assert all(name in text for text in errors)


def test_uploads_that_kept_their_prefix_are_two_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "0123abcd-a.png", 5)
    write_picture(tmp_path / "images" / "89abcdef-a.png", 6)
    content = [
        task(1, "/data/upload/3/0123abcd-a.png", drawn(region())),
        task(2, "/data/upload/3/89abcdef-a.png", drawn()),
    ]
    dataset = open_dataset(write_studio(tmp_path, content))
    assert [len(photo.boxes) for photo in dataset.splits["all"]] == [1, 0]


@pytest.mark.parametrize("folder", ["", "elsewhere/"], ids=["here", "moved"])
def test_pictures_of_one_name_are_known_by_their_folder(
    tmp_path: Path, folder: str
) -> None:
    for seed, lot in enumerate(("lot1", "lot2")):
        write_picture(tmp_path / lot / "x.png", seed)
    content = [
        task(number, f"/data/local-files/?d={folder}lot{number}/x.png", annotation)
        for number, annotation in enumerate((drawn(region()), drawn()), 1)
    ]
    dataset = open_dataset(write_studio(tmp_path, content))
    found = {p.path.parent.name: len(p.boxes) for p in dataset.splits["all"]}
    assert found == {"lot1": 1, "lot2": 0}


def test_picture_without_suffix_that_may_be_two_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "a.jpg")
    content = [task(1, "/a", drawn(region())), task(2, "/x/b.png", drawn())]
    dataset = open_dataset(write_studio(tmp_path, content))
    assert findings_with(dataset, "2 pictures could be meant by")


def test_task_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    twice = [task(number, URL_A, drawn(region())) for number in (1, 2)]
    dataset = open_dataset(write_studio(tmp_path, twice))
    [photo] = dataset.splits["all"]
    assert len(photo.boxes) == 1
    assert findings_with(dataset, "1 picture described twice, and read once")


def test_tasks_of_one_picture_that_differ_are_an_error_with_both_named(
    tmp_path: Path,
) -> None:
    content = [task(1, URL_A, drawn(region())), task(2, URL_A, drawn())]
    root = write_studio(tmp_path, [*content, task(3, "/x/b.png", drawn())])
    dataset = open_dataset(root)
    text, left = findings_with(dataset, "described twice, and differently")
    assert left.startswith("warning")
    assert "a.png is task 1 with 1 box and task 2 with no box" in text
    assert text.startswith("error")
    assert [photo.path.name for photo in dataset.unlabelled] == ["a.png"]


def test_task_that_is_finished_once_counts(tmp_path: Path) -> None:
    content = [task(1, URL_A), task(2, URL_A, drawn(region()))]
    [photo] = open_dataset(write_studio(tmp_path, content)).splits["all"]
    assert len(photo.boxes) == 1


def test_regions_that_state_two_sizes_are_an_error(tmp_path: Path) -> None:
    other = region(id="r2", original_width=48, original_height=64)
    [text] = findings_with(opened(tmp_path, drawn(region(), other)), "several sizes")
    assert "its regions give several sizes: 64 x 48; 48 x 64." in text
    assert text.startswith("error")


def test_shares_in_the_place_of_per_cents_are_refused(tmp_path: Path) -> None:
    share = region({"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4})
    with pytest.raises(DatasetError, match="shares of the picture, not per cents"):
        opened(tmp_path, drawn(share))


def test_damaged_export_beside_a_whole_one_is_refused(tmp_path: Path) -> None:
    root = write_studio(tmp_path)
    [path] = root.glob("*.json")
    (root / "project-2.json").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetError, match=r"project-2\.json: damaged") as caught:
        open_dataset(root)
    assert f"{path.name} can be read, but is only a part" in caught.value.why


def test_predictions_are_not_annotations(tmp_path: Path) -> None:
    entry = task(1, URL_A) | {"predictions": [{"result": [region()]}]}
    write_studio(tmp_path, [entry, task(2, "/data/upload/3/b.png", drawn())])
    assert [p.path.name for p in open_dataset(tmp_path).splits["all"]] == ["b.png"]


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
    assert findings_with(dataset, "turned box, 1 time")


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
    assert findings_with(dataset, "polygon, 1 time")
    assert findings_with(dataset, "ellipse, 1 time")


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
    assert [photo.path.name for photo in dataset.splits["all"]] == ["b.png"]
    assert findings_with(dataset, "annotations 9 and 5 differ")


def test_entries_of_json_min_of_two_joined_projects_are_two_tasks(
    tmp_path: Path,
) -> None:
    first, second = studio_entries()
    dataset = open_dataset(write_studio(tmp_path, [first, {**second, "id": 1}]))
    assert [len(photo.boxes) for photo in dataset.splits["all"]] == [1, 0]
    assert not dataset.findings


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quality": "defect"}, "its field 'quality' 'defect' has no box"),
        ({"quality": {"choices": ["NG"]}}, "its choice 'NG' has no box"),
        ({"grade": 3}, "its field 'grade' '3' has no box"),
    ],
)
def test_entry_of_json_min_with_a_choice_and_no_box_is_unclear(
    tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    first, second = studio_entries()
    dataset = open_dataset(write_studio(tmp_path, [first, second | fields]))
    assert [photo.path.name for photo in dataset.unlabelled] == ["b.png"]
    assert findings_with(dataset, reason)


def test_entry_of_json_min_that_is_ok_is_a_good_part(tmp_path: Path) -> None:
    first, second = studio_entries()
    content = [first | {"quality": "NG"}, second | {"quality": "ok"}]
    dataset = open_dataset(write_studio(tmp_path, content))
    assert [photo.is_good for photo in dataset.splits["all"]] == [False, True]


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
