"""Which held-out photos show one part, and which parts are of one group.

Frames of one scene differ by the camera's noise only: together they are one part, with
the highest score of them. Groups are known where the user gave a pattern (``--group``:
lot, day, design); they say something of groups not seen only where no photo of them
was trained on.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from trainer.data.dataset import Photo
from trainer.data.splitting.split_record import SplitAssignment
from trainer.evaluation.thresholds.order_statistics import Scores
from trainer.evaluation.thresholds.scored import ScoredImage


@dataclass(frozen=True, slots=True)
class PhotoOrigins:
    """Scene and group of photos, by the SHA-256 of their files."""

    scenes: Mapping[str, Hashable]
    groups: Mapping[str, int]  # only of groups of which no photo was trained on

    @classmethod
    def of(
        cls,
        assignment: SplitAssignment,
        measured: Sequence[Photo],
        trained: Iterable[Photo],
    ) -> Self:
        """Return the origins of photos to measure on.

        Args:
            trained: Photos that the detector which scored them was trained on.
        """
        scenes = {
            photo.sha256: assignment.scenes.get(photo.sha256, photo.sha256)
            for photo in measured
        }
        known = set(assignment.named_groups_of(list(trained))) | {None}
        numbers = zip(measured, assignment.named_groups_of(measured), strict=True)
        unseen = {p.sha256: n for p, n in numbers if n is not None and n not in known}
        return cls(scenes, unseen)


NO_ORIGINS = PhotoOrigins({}, {})  # each photo shows another part, of no known group


@dataclass(frozen=True, slots=True)
class CountedParts:
    """Parts of one kind, good or defective."""

    scores: Scores  # [N] highest score on any photo of each
    groups: tuple[int, ...] | None  # [N]; None = not known of each

    @classmethod
    def of(cls, images: Sequence[ScoredImage], origins: PhotoOrigins) -> Self:
        """Return the parts that photos show."""
        highest: dict[Hashable, float] = {}
        groups: dict[Hashable, int | None] = {}
        for number, image in enumerate(images):
            name = image.photo.sha256
            # without origins each photo is a part of its own, a copy too
            scene = origins.scenes.get(name, ("photo", number))
            highest[scene] = max(image.highest, highest.get(scene, 0.0))
            groups[scene] = origins.groups.get(name)
        known = tuple(group for group in groups.values() if group is not None)
        is_known = bool(known) and len(known) == len(groups)
        return cls(
            np.array(list(highest.values()), np.float64), known if is_known else None
        )
