"""Good parts alarmed, by group."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from models.postprocess import DecisionRule
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import assign_splits
from trainer.data.splitting.split_record import SplitOptions
from trainer.report.figures import match_photo
from trainer.report.groups import GroupFigures, by_group, group_figures


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (None, []),
        ("part-([0-9])", [GroupFigures("3", 1, 1), GroupFigures("4", 1, 0)]),
        (
            "part-[0-3]|^never$",
            [GroupFigures("part-3", 1, 1), GroupFigures("no group", 1, 0)],
        ),
    ],
)
def test_groups_have_their_good_parts_and_the_alarmed_ones(
    tmp_path: Path,
    photos: list[Photo],
    found: list[Detections],
    pattern: str | None,
    groups: list[GroupFigures],
) -> None:
    splits, division = assign_splits(
        tmp_path, {"val": photos}, [], SplitOptions(pattern=pattern)
    )
    dataset = Dataset(tmp_path, ("a", "b"), splits, (), "a" * 64, division)
    rule = DecisionRule(np.full(2, 0.5, np.float32))
    matched = [match_photo(d, p, rule) for d, p in zip(found, photos, strict=True)]
    assert group_figures(dataset, matched) == groups


def test_section_shows_the_mean_of_the_groups_and_escapes_their_names() -> None:
    groups = [GroupFigures("<lot>", 4, 2), GroupFigures("b", 100, 0)]
    html = by_group(groups)
    assert "25.0%" in html
    assert "&lt;lot&gt;" in html
    assert by_group([]) == ""
    assert replace(groups[1], alarmed=1).overkill == 0.01
