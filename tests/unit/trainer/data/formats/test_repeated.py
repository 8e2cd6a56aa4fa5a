"""A picture that label files describe twice is read once, or is an error."""

from pathlib import Path

import pytest

from trainer.data.formats.repeated import is_alike, merge_repeated
from trainer.data.formats.rows import Annotations, LabelState, PhotoRows, Row

PICTURE, SOURCE = Path("a.png"), Path("train.json")


def row(
    label: str = "dot",
    box: tuple[float, float, float, float] = (1, 2, 9, 9),
    *,
    normalized: bool = False,
) -> Row:
    return Row(label, box, normalized=normalized, place="")


def record(
    *rows: Row,
    place: str = "image 1",
    source: Path = SOURCE,
    state: LabelState = LabelState.LABELLED,
) -> PhotoRows:
    return PhotoRows(PICTURE, source, list(rows), state, place=place)


def merged(*photos: PhotoRows) -> Annotations:
    annotations = Annotations({"train": list(photos)})
    merge_repeated(annotations)
    return annotations


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (record(), record(), True),
        (record(row()), record(), False),
        (record(row()), record(row("bar")), False),
        (record(row()), record(row(box=(1.9, 2, 9, 8.1))), True),
        (record(row()), record(row(box=(3, 2, 9, 9))), False),
        (record(row(), row("bar")), record(row("bar"), row()), True),
        (record(row(), row()), record(row(), row("bar")), False),
        (record(row()), record(state=LabelState.UNLABELLED), True),
        (record(), record(state=LabelState.UNCLEAR), False),
    ],
    ids=[
        "both good",
        "one good",
        "class",
        "rounding",
        "place",
        "order",
        "twice",
        "unfinished",
        "unclear",
    ],
)
def test_records_are_alike_in_boxes_and_state(
    one: PhotoRows, other: PhotoRows, alike: bool
) -> None:
    assert is_alike(one, other) == alike
    assert is_alike(other, one) == alike


def test_boxes_in_shares_differ_by_per_cent() -> None:
    one = record(row(box=(0.1, 0.1, 0.5, 0.5), normalized=True))
    near = record(row(box=(0.105, 0.1, 0.5, 0.5), normalized=True))
    far = record(row(box=(0.15, 0.1, 0.5, 0.5), normalized=True))
    assert is_alike(one, near)
    assert not is_alike(one, far)


def test_pictures_of_one_record_are_left_alone() -> None:
    other = PhotoRows(Path("b.png"), SOURCE)
    annotations = merged(record(row()), other)
    assert len(annotations.splits["train"]) == 2
    assert not annotations.findings


def test_finished_record_replaces_an_unfinished_one() -> None:
    unfinished = record(state=LabelState.UNLABELLED)
    finished = record(row(), place="image 2")
    assert merged(unfinished, finished).splits["train"] == [finished]
    assert merged(finished, unfinished).splits["train"] == [finished]


def test_records_that_differ_leave_the_picture_out() -> None:
    annotations = merged(record(row()), record(), record(row()))
    [photo] = annotations.splits["train"]
    assert photo.state is LabelState.UNCLEAR
    levels = {finding.level.value for finding in annotations.findings}
    assert levels == {"error", "warning"}


def test_the_same_picture_in_two_splits_is_left_to_the_check() -> None:
    annotations = Annotations({"train": [record(row())], "val": [record()]})
    merge_repeated(annotations)
    assert [len(photos) for photos in annotations.splits.values()] == [1, 1]
    assert not annotations.findings


def test_names_that_cannot_be_used_are_not_compared() -> None:
    photos = [PhotoRows(SOURCE, SOURCE, fault="a null byte") for _ in range(2)]
    assert merged(*photos).splits["train"] == photos


def test_pictures_of_two_files_are_one_finding() -> None:
    photos = []
    for source in (SOURCE, Path("other.json")):
        for number in range(5):
            photo = record(row(), place=f"image {number}", source=source)
            photo.path = Path(f"{number}.png")
            photos.append(photo)
    [finding] = merged(*photos).findings
    assert finding.file == Path("other.json")
    assert finding.why == (
        "5 pictures described twice, and read once: 0.png is image 0 of train.json "
        "with 1 box and image 0 with 1 box; 1.png is image 1 of train.json with 1 box "
        "and image 1 with 1 box; 2.png is image 2 of train.json with 1 box and image 2 "
        "with 1 box; …."
    )
