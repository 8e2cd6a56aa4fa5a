"""Good parts alarmed by group (``--group``: lot, day, design), each group by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from models.counted import counted
from trainer.data.dataset import Dataset
from trainer.data.splitting.group_pattern import group_names
from trainer.data.splitting.grouping import below
from trainer.evaluation.intervals import wilson
from trainer.evaluation.text import share_text
from trainer.report.figures import MatchedPhoto
from trainer.report.markup import table

NO_GROUP = "no group"  # the pattern does not match


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The good photos of one group."""

    name: str
    good: int
    alarmed: int  # those with a detection

    @property
    def overkill(self) -> float:
        """Share of the good photos that is alarmed."""
        return self.alarmed / self.good


def group_figures(
    dataset: Dataset, matched: Sequence[MatchedPhoto]
) -> list[GroupFigures]:
    """Return the figures of each group with a good photo, the worst first.

    Returns:
        Empty where no pattern names groups.
    """
    pattern = dataset.split_assignment.record.pattern
    good = [one for one in matched if one.photo.is_good]
    if pattern is None or not good:
        return []
    paths = [below(one.photo.path, dataset.root) for one in good]
    counts: dict[str, list[bool]] = {}
    for one, name in zip(good, group_names(paths, pattern), strict=True):
        counts.setdefault(name or NO_GROUP, []).append(len(one.found) > 0)
    found = [GroupFigures(name, len(one), sum(one)) for name, one in counts.items()]
    return sorted(found, key=lambda one: (-one.overkill, one.name))


def by_group(groups: Sequence[GroupFigures]) -> str:
    """Return the section; empty without groups."""
    if not groups:
        return ""
    mean = np.mean([one.overkill for one in groups])
    rows = [
        (
            escape(one.name),
            str(one.good),
            str(one.alarmed),
            share_text(one.overkill, wilson(one.alarmed, one.good)),
        )
        for one in groups
    ]
    columns = "Group", "good parts", "alarmed", "share, 95 % interval"
    return (
        "<h2>Good parts alarmed, by group</h2><p>Parts of one group are alike, and a "
        "new group may differ from all of these: the spread between groups shows how "
        f"far. Mean of {counted(len(groups), 'group')}, each with the same weight: "
        f"{mean:.1%}.</p>{table(columns, rows)}"
    )
