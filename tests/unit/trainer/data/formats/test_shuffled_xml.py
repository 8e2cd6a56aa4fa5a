"""Shuffled VOC and CVAT files: each box is on its own picture, or they are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from tests.examples import example_count
from tests.simulators.shuffled_xml import (
    CVAT_CHANGES,
    LISTED,
    VOC_CHANGES,
    Change,
    Export,
    cvat_export,
    misplaced,
    voc_export,
    write_cvat_records,
    write_voc_records,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import Level

FORMATS: dict[
    str, tuple[Callable[[Path], Export], Callable[[Export], None], dict[str, Change]]
] = {
    "VOC": (voc_export, write_voc_records, VOC_CHANGES),
    "CVAT": (cvat_export, write_cvat_records, CVAT_CHANGES),
}
# Together with another change these leave nothing that could show it: a size that is
# that of the new picture, a photo in good/ whose record is overwritten.
ALONE = {"sizes swapped", "sides swapped", "file named as the next"}
HARMLESS = {
    "VOC": [
        *("width with a point", "name of Windows", "no name", "folder trash"),
        *("file beside the pictures", "name in a folder"),
    ],
    "CVAT": [
        *("width with a point", "ids swapped", "ids all 0", "order turned"),
        *("subset of one", "subset of all", "second file", "file in annotations"),
        "subset out of the dataset",
    ],
}


def read(name: str, root: Path, changes: list[tuple[str, int]]) -> Dataset | None:
    """Return a changed dataset; None where it is refused."""
    make, write, all_changes = FORMATS[name]
    export = make(root)
    for change, number in changes:
        all_changes[change](export, number)
    write(export)
    try:
        dataset = open_dataset(root)
    except DatasetError:
        return None
    errors = [f for f in dataset.findings if f.level is Level.ERROR]
    return None if errors else dataset


@pytest.mark.parametrize("name", FORMATS)
def test_export_without_a_change_is_read_in_full(tmp_path: Path, name: str) -> None:
    dataset = read(name, tmp_path, [])
    assert dataset is not None
    assert (dataset.photo_count, misplaced(dataset)) == (6, [])


@pytest.mark.parametrize(
    ("name", "change"), [(name, c) for name, them in HARMLESS.items() for c in them]
)
def test_harmless_change_is_read_in_full(
    tmp_path: Path, name: str, change: str
) -> None:
    dataset = read(name, tmp_path, [(change, 1)])
    assert dataset is not None
    assert (dataset.photo_count, misplaced(dataset)) == (6, [])


@pytest.mark.parametrize(
    ("name", "change"),
    [(name, c) for name, (*_, them) in FORMATS.items() for c in them],
)
def test_single_change_lays_no_box_on_another_picture(
    tmp_path: Path, name: str, change: str
) -> None:
    for number in LISTED:
        dataset = read(name, tmp_path / str(number), [(change, number)])
        assert dataset is None or not misplaced(dataset)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=example_count(60), deadline=None)
@given(data=st.data())
def test_changes_together_lay_no_box_on_another_picture(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = sorted(FORMATS[name][2].keys() - ALONE)
    change = st.tuples(st.sampled_from(names), st.sampled_from(LISTED))
    changes = data.draw(st.lists(change, min_size=2, max_size=4))
    dataset = read(name, tmp_path_factory.mktemp("shuffled"), changes)
    assert dataset is None or not misplaced(dataset)
