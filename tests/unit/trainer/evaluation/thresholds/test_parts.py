"""Which photos show one part, and which parts are of groups that were not seen."""

from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.data.splitting.split_record import (
    PhotoPlace,
    SplitAssignment,
    SplitRecord,
    SplitRule,
)
from trainer.evaluation.thresholds.parts import NO_ORIGINS, CountedParts, PhotoOrigins
from trainer.evaluation.thresholds.scored import ScoredImage


def photo(name: str) -> Photo:
    nothing = np.zeros((0, 4), np.float32)
    return Photo(Path(f"{name}.png"), name, 9, 9, nothing, np.zeros(0, np.int64))


def scored(name: str, score: float) -> ScoredImage:
    box = np.zeros((1, 4), np.float32)
    found = Detections(box, np.float32([score]), np.zeros(1, np.int64))
    return ScoredImage(found, photo(name), np.zeros(1, bool))


def assignment(pattern: str | None) -> SplitAssignment:
    places = {
        name: PhotoPlace(name=f"{name}.png", side="val", group=0) for name in "abcd"
    }
    record = SplitRecord.model_construct(
        rule=SplitRule.HELD_OUT, seed=0, pattern=pattern, photos=places
    )
    groups = {"a": 1, "b": 1, "c": 2, "d": 3}
    return SplitAssignment(
        record, groups, {}, splits_groups=False, scenes={"a": 7, "b": 7}
    )


MEASURED = [photo(name) for name in "abc"]


def test_frames_of_one_scene_count_with_their_highest_score() -> None:
    origins = PhotoOrigins.of(assignment(None), MEASURED, [])
    images = [scored("a", 0.25), scored("b", 0.75), scored("c", 0.5)]
    parts = CountedParts.of(images, origins)
    assert parts.scores.tolist() == [0.75, 0.5]
    assert parts.groups is None


def test_every_photo_is_a_part_where_nothing_is_known_of_it() -> None:
    parts = CountedParts.of([scored("a", 0.25), scored("a", 0.75)], NO_ORIGINS)
    assert parts.scores.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("pattern", "trained", "groups"),
    [
        ("(.)", "d", (1, 2)),
        ("(.)", "", (1, 2)),
        ("(.)", "c", None),
        ("([ab])", "d", None),  # photo c is of no named group
    ],
)
def test_groups_are_known_where_no_photo_of_them_was_trained_on(
    pattern: str, trained: str, groups: tuple[int, ...] | None
) -> None:
    seen = [photo(name) for name in trained]
    origins = PhotoOrigins.of(assignment(pattern), MEASURED, seen)
    images = [scored("a", 0.25), scored("b", 0.75), scored("c", 0.5)]
    assert CountedParts.of(images, origins).groups == groups
