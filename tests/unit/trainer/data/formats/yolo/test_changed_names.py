"""Whatever happens to names and folders, no box lands on another picture."""

import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from tests.examples import example_count
from tests.simulators.identities import (
    CHANGES,
    LAYOUTS,
    NAMES,
    LabelledFile,
    identity,
    misplaced,
)
from trainer.data.checks.check import CheckReport
from trainer.data.checks.repaired_copy import write_repaired_copy
from trainer.data.dataset import Dataset, open_dataset, read_photo
from trainer.data.findings import Level

QUIET = settings(
    max_examples=example_count(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def opened(root: Path) -> Dataset | None:
    """Return a dataset, or None where it is refused as a whole."""
    with suppress(DatasetError):
        return open_dataset(root)
    return None


def errors(dataset: Dataset) -> list[str]:
    return [str(f) for f in dataset.findings if f.level is Level.ERROR]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unchanged_datasets_are_read_whole(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path)
    dataset = open_dataset(tmp_path)
    assert (errors(dataset), misplaced(dataset)) == ([], [])
    assert (len(dataset.photos), len(dataset.unlabelled)) == (len(NAMES) + 2, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_change_is_read_right_or_reported(
    tmp_path: Path, layout: str, change: str, number: int
) -> None:
    files = LAYOUTS[layout](tmp_path)
    before = {p.relative_to(tmp_path) for p in tmp_path.rglob("*")}
    CHANGES[change](files[number])
    is_changed = before != {p.relative_to(tmp_path) for p in tmp_path.rglob("*")}
    dataset = open_dataset(tmp_path)
    assert errors(dataset) or misplaced(dataset) == []
    if is_changed and not errors(dataset):
        own = [p for p in dataset.photos if identity(read_photo(p)) == number]
        reports = unicodedata.normalize("NFC", " ".join(map(str, dataset.findings)))
        # The photo is read with its box, or left out and named.
        assert any(not p.is_good for p in own) or files[number].labels.stem in reports


@pytest.mark.parametrize("layout", LAYOUTS)
@QUIET
@given(
    changes=st.dictionaries(
        st.integers(0, len(NAMES) - 1), st.sampled_from(sorted(CHANGES)), min_size=1
    )
)
def test_any_changes_are_read_right_or_refused(
    layout: str,
    changes: dict[int, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("changed") / "d"
    files = LAYOUTS[layout](root)
    for number, change in changes.items():
        CHANGES[change](files[number])
    dataset = opened(root)
    if dataset is None or errors(dataset):
        return
    assert misplaced(dataset) == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", CHANGES)
def test_repaired_copy_has_every_box_on_its_own_picture(
    tmp_path: Path, layout: str, change: str
) -> None:
    files = LAYOUTS[layout](tmp_path / "d")
    CHANGES[change](files[0])
    report = CheckReport(dataset := open_dataset(tmp_path / "d"), dataset.findings)
    copy = write_repaired_copy(report, tmp_path / "copy")
    assert misplaced(copy.report.dataset) == []


def _swap(one: Path, other: Path) -> None:
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def _exchange(first: LabelledFile, second: LabelledFile) -> None:
    _swap(first.picture, second.picture)
    _swap(first.labels, second.labels)


@pytest.mark.parametrize("layout", LAYOUTS)
@QUIET
@given(
    pairs=st.lists(
        st.tuples(st.integers(0, len(NAMES) - 1), st.integers(0, len(NAMES) - 1)),
        min_size=1,
    )
)
def test_pictures_and_labels_that_change_names_together_stay_together(
    layout: str, pairs: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("swapped") / "d"
    files = LAYOUTS[layout](root)
    for first, second in pairs:
        if first != second:
            _exchange(files[first], files[second])
    dataset = open_dataset(root)
    assert (errors(dataset), misplaced(dataset)) == ([], [])
