"""Mixed-up COCO and Label Studio exports: every box on its own picture, or refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from tests.examples import example_count
from tests.simulators.shuffled import (
    COCO_CHANGES,
    IN_GOOD,
    LISTED,
    STUDIO_CHANGES,
    Change,
    ShuffledExport,
    misplaced,
    write_shuffled_coco,
    write_shuffled_studio,
)
from trainer.data.checks.check import check_dataset

Write = Callable[[Path], ShuffledExport]
EXPORTS: dict[str, tuple[Write, dict[str, Change]]] = {
    "COCO": (write_shuffled_coco, COCO_CHANGES),
    "Label Studio": (write_shuffled_studio, STUDIO_CHANGES),
}
PICTURES = st.integers(0, len(LISTED) - 1)
QUIET = settings(
    max_examples=example_count(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def boxes_on_another_picture(root: Path, name: str) -> list[str]:
    """Return the photos with boxes of another one; none where it is refused."""
    try:
        report = check_dataset(root, trains=False)
    except DatasetError:
        return []
    if report.errors:
        return []
    return misplaced(report.dataset, states_sizes=name == "COCO")


@pytest.mark.parametrize("name", EXPORTS)
def test_unchanged_export_is_read_whole(name: str, tmp_path: Path) -> None:
    EXPORTS[name][0](tmp_path).write()
    report = check_dataset(tmp_path, trains=False)
    assert not report.errors
    assert len(report.dataset.photos) == len(LISTED) + len(IN_GOOD)
    assert misplaced(report.dataset) == []


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize(
    ("name", "change"),
    [(name, change) for name, (_, changes) in EXPORTS.items() for change in changes],
)
def test_one_change_is_read_right_or_refused(
    name: str, change: str, number: int, tmp_path: Path
) -> None:
    write, changes = EXPORTS[name]
    export = write(tmp_path)
    changes[change](export, number)
    export.write()
    assert boxes_on_another_picture(tmp_path, name) == []


@pytest.mark.parametrize("name", EXPORTS)
@QUIET
@given(data=st.data())
def test_any_changes_are_read_right_or_refused(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write, changes = EXPORTS[name]
    one = st.tuples(st.sampled_from(sorted(changes)), PICTURES)
    drawn = data.draw(st.lists(one, min_size=2, max_size=4))
    export = write(tmp_path_factory.mktemp("shuffled"))
    for change, number in drawn:
        changes[change](export, number)
    export.write()
    assert boxes_on_another_picture(export.root, name) == []
