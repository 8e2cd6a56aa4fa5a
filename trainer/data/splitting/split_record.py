"""``split.json``: the photos to train on and to measure on, with the reason.

A dataset that brings train and val keeps them. Where there is no val with a defect, a
share of the photos is held out: whole groups, each class in both subsets, by content
and seed. A flat ``good/`` beside a train split is divided by the sorted SHA-256, even
ones train, odd ones are measured on; photos of one group follow the first of them, or a
labelled photo of the same part.

The assignment is recorded, because content alone does not keep it when photos are
added: a new photo changes the need of every class, and the hash of the group that it
joins. With a record every known photo keeps its subset, and a group of which any photo
was measured on stays there as a whole: no photo that was measured on is trained on
later.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.errors import DatasetError
from models.files import read_regular, write_atomically
from models.manifest import Sha256
from models.pictures import FULL_DEPTH
from trainer.data.splitting.group_pattern import compiled, group_names
from trainer.data.splitting.stratify import SplittablePhoto

SPLIT_NAME = "split.json"
SPLIT_MAX_BYTES = 256 << 20  # a million photos have some 200 MB
SCHEMA_VERSION = 1
ALIKE_SHARE = (
    0.2  # of the photos in one group of near-duplicates: more are not one part
)
# By the numbers TRAIN and HELD_OUT.
SUBSETS: tuple[Literal["train"], Literal["val"]] = ("train", "val")


class SplitRule(StrEnum):
    """Where the subsets come from."""

    OWN = "own"  # the dataset brings train and val
    HELD_OUT = "held-out"  # a share of the photos that it brings


class UnlabelledUse(StrEnum):
    """What photos are used for that no label file describes."""

    LEAVE_OUT = "leave-out"  # neither trained nor measured on
    GOOD = "good"  # as good parts, as some trainers take every photo without a file


class PhotoPlace(BaseModel):
    """Subset and group of one photo."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Path below the dataset's folder.")
    side: Literal["train", "val"]
    group: int = Field(ge=0, description="Photos with the same number stay together.")
    pixels: Sha256 | None = Field(
        None,
        exclude_if=lambda pixels: pixels is None,
        description="Hash of the decoded pixels.",
    )


class SplitRecord(BaseModel):
    """``split.json``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    rule: SplitRule
    seed: int = Field(description="Of what was held out.")
    pattern: str | None = Field(None, description="What --group was.")
    like: str | None = Field(None, description="What --split-like was.")
    unlabelled: UnlabelledUse = Field(
        UnlabelledUse.GOOD,
        description="What --unlabelled was; version 0.1 took every photo as good.",
    )
    bit_depth: int | None = Field(
        None,
        description="Bits that hold data in photos of more than 8 bits a channel; null "
        "= there are none.",
    )
    photos: dict[Sha256, PhotoPlace] = Field(description="By the hash of the file.")

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        """Refuse a text that no ``--group`` could have been."""
        compiled(pattern or "")
        return pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """The user's options for the split of the photos."""

    seed: int = 0  # decides which photos are held out, among equal ones
    # regular expression that names a photo's group; None = by likeness
    pattern: str | None = None
    like: SplitRecord | None = None  # an earlier record to keep; None = there is none
    # the run that `like` comes from, for messages and the record
    like_name: str | None = None
    unlabelled: UnlabelledUse = UnlabelledUse.LEAVE_OUT
    # bits that hold data in photos of more than 8 bits a channel; None = the fewest
    # that hold all values
    bit_depth: int | None = None


def read_split_record(run: Path) -> SplitRecord:
    """Return how an earlier run divided its photos.

    Raises:
        DatasetError: There is no record, or it cannot be read.
    """
    path = run / SPLIT_NAME
    try:
        record = SplitRecord.model_validate_json(read_regular(path, SPLIT_MAX_BYTES))
    except (OSError, ValidationError) as exc:
        raise DatasetError(
            f"{path}: cannot be read.",
            why=str(exc).splitlines()[0],
            fix="Give the folder of a run that this version trained.",
        ) from exc
    if record.schema_version > SCHEMA_VERSION:
        raise DatasetError(
            f"{path}: schema {record.schema_version} is newer than {SCHEMA_VERSION}.",
            why="It was written by a newer version.",
            fix="Update this installation.",
        )
    return record


@dataclass(frozen=True, slots=True)
class SplitAssignment:
    """The assignment of photos to subsets that is in force."""

    # for `split.json`: every photo that training sees, and its subset
    record: SplitRecord
    groups: Mapping[str, int]  # SHA-256 to the group that stays together, of all photos
    # SHA-256 to the group of near-duplicates; the pattern does not count
    near: Mapping[str, int]
    # near-duplicates were assigned photo by photo, because otherwise one subset would
    # have no defect
    splits_groups: bool
    # SHA-256 to the scene: frames of one scene differ by the camera's noise only
    scenes: Mapping[str, int] = field(default_factory=dict)
    # SHA-256 of a photo with boxes and of a photo of a good part that are nearly the
    # same picture
    contradictions: tuple[tuple[str, str], ...] = ()

    def scenes_of(self, photos: Iterable[SplittablePhoto]) -> set[Hashable]:
        """Return the scenes that photos show."""
        return {self.scenes.get(photo.sha256, photo.sha256) for photo in photos}

    def subset(self, photo: SplittablePhoto) -> int:
        """Return ``TRAIN`` or ``HELD_OUT`` for a photo that training sees."""
        return SUBSETS.index(self.record.photos[photo.sha256].side)

    def groups_of(self, photos: Sequence[SplittablePhoto]) -> list[int]:
        """Return the group of each photo, for ``folds``."""
        return [self.groups[photo.sha256] for photo in photos]

    def named_groups_of(self, photos: Sequence[SplittablePhoto]) -> list[int | None]:
        """Return the group that the pattern names for each photo; None = it names none.

        Photos that it does not name have groups by likeness, which say nothing of lots
        or designs.
        """
        places = [self.record.photos.get(photo.sha256) for photo in photos]
        paths = [place.name if place else "" for place in places]
        if self.record.pattern is None:
            return [None] * len(photos)
        names = group_names(paths, self.record.pattern)
        return [
            None if name is None or place is None else self.groups[photo.sha256]
            for photo, place, name in zip(photos, places, names, strict=True)
        ]

    def parts_of(self, photos: Sequence[SplittablePhoto]) -> dict[str, Hashable]:
        """Return the part of each photo, by SHA-256: its named group, or its likeness.

        Near-duplicates are one part, but where photos of a fixed view are all alike:
        there frames of one scene are, or no two photos where these are alike, too.
        """
        parts: dict[str, Hashable] = {photo.sha256: photo.sha256 for photo in photos}
        for groups in (self.near, self.scenes):
            numbers = [groups.get(photo.sha256, photo.sha256) for photo in photos]
            largest = max(Counter(numbers).values(), default=0)
            if largest <= max(1, ALIKE_SHARE * len(photos)):
                parts = dict(zip(parts, numbers, strict=True))
                break
        named = zip(photos, self.named_groups_of(photos), strict=True)
        return parts | {p.sha256: ("group", n) for p, n in named if n is not None}

    def with_held_out(self, held_out: Sequence[SplittablePhoto]) -> "SplitAssignment":
        """Return the same photos with other subsets: all but some are trained on."""
        out = {photo.sha256 for photo in held_out}
        photos = {
            name: place.model_copy(update={"side": SUBSETS[name in out]})
            for name, place in self.record.photos.items()
        }
        record = self.record.model_copy(update={"photos": photos})
        return replace(self, record=record)

    @property
    def sha256(self) -> str:
        """Hash of the subset of every photo."""
        places = sorted((n, p.side) for n, p in self.record.photos.items())
        return hashlib.sha256(repr(places).encode()).hexdigest()

    def summary(self) -> dict[str, object]:
        """Return what ``run.json`` has of it; ``split.json`` has the photos."""
        places = self.record.photos.values()
        return {
            **self.record.model_dump(mode="json", exclude={"photos"}),
            "groups": len({place.group for place in places}),
            "photos": {s: sum(place.side == s for place in places) for s in SUBSETS},
            "tears_groups": self.splits_groups,
        }


def split_options_of(run: Path) -> SplitOptions:
    """Return the options that divide a run's dataset as the run did.

    A run of an older version has no record: photos without a label were good then.

    Raises:
        DatasetError: The record cannot be read.
    """
    if not (run / SPLIT_NAME).exists():
        return SplitOptions(unlabelled=UnlabelledUse.GOOD, bit_depth=FULL_DEPTH)
    like = read_split_record(run)
    return SplitOptions(
        seed=like.seed,
        pattern=like.pattern,
        like=like,
        like_name=str(run),
        unlabelled=like.unlabelled,
        bit_depth=like.bit_depth or FULL_DEPTH,  # without: as version 0.1 read them
    )


def write_split_record(run: Path, assignment: SplitAssignment) -> None:
    """Write ``split.json`` into a folder that exists.

    Raises:
        OSError: It cannot be written.
    """
    text = assignment.record.model_dump_json(indent=1) + "\n"
    write_atomically(run / SPLIT_NAME, text.encode())
