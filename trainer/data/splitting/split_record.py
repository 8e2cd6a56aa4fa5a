"""Which photos are trained on and which are measured on, and why: ``split.json``.

A dataset that brings train and val keeps them. Where there is no val with a defect, a
fifth of the photos is held out: whole groups, each class on both sides, by content and
seed. A flat ``good/`` beside a train split is divided by the sorted SHA-256, even ones
train, odd ones are measured on; photos of one group follow the first of them, or what
is labelled of the same part.

The division is recorded, because content alone cannot keep it when photos are added: a
new photo changes what every class wants, and the hash of the group that it joins. With
a record every photo that is known keeps its side, and a group of which any photo was
measured on stays there as a whole: nothing that was measured on is ever trained on.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import DatasetError
from models.files import write_atomically
from models.manifest import Sha256
from trainer.data.splitting.stratify import Divisible

SPLIT_NAME = "split.json"
SCHEMA_VERSION = 1
SIDES: tuple[Literal["train"], Literal["val"]] = ("train", "val")  # TRAIN, HELD_OUT


class SplitRule(StrEnum):
    """Who divided the photos."""

    OWN = "own"  # the dataset brings train and val
    HELD_OUT = "held-out"  # a fifth of the photos that it brings


class PhotoPlace(BaseModel):
    """Where one photo went."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Path below the dataset's folder.")
    side: Literal["train", "val"]
    group: int = Field(ge=0, description="Photos with the same number stay together.")


class SplitRecord(BaseModel):
    """``split.json``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = SCHEMA_VERSION
    rule: SplitRule
    seed: int = Field(description="Of what was held out.")
    pattern: str | None = Field(None, description="What --group was.")
    like: str | None = Field(None, description="What --split-like was.")
    photos: dict[Sha256, PhotoPlace] = Field(description="By the hash of the file.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """What the user asked for.

    Attributes:
        seed: Of what is held out.
        pattern: Regular expression that names a photo's group.
        like: An earlier division to keep.
        like_name: Where it came from.
    """

    seed: int = 0
    pattern: str | None = None
    like: SplitRecord | None = None
    like_name: str | None = None


def read_split(run: Path) -> SplitRecord:
    """Return how an earlier run divided its photos.

    Args:
        run: Its folder.

    Raises:
        DatasetError: There is no record, or it cannot be read.
    """
    path = run / SPLIT_NAME
    try:
        record = SplitRecord.model_validate_json(path.read_bytes())
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
    """The division in force.

    Attributes:
        record: For ``split.json``: every photo that training sees, and its side.
        groups: SHA-256 to the group that is not torn, of all photos.
        near: SHA-256 to near-duplicates, whatever the pattern says.
        tears_groups: Near-duplicates had to be parted, photo by photo: there was no
            other way to have defects on both sides.
    """

    record: SplitRecord
    groups: Mapping[str, int]
    near: Mapping[str, int]
    tears_groups: bool

    def side(self, photo: Divisible) -> int:
        """Return ``TRAIN`` or ``HELD_OUT``.

        Args:
            photo: One that training sees.
        """
        return SIDES.index(self.record.photos[photo.sha256].side)

    def groups_of(self, photos: Sequence[Divisible]) -> list[int]:
        """Return the group of each photo, for ``folds``.

        Args:
            photos: Of the dataset.
        """
        return [self.groups[photo.sha256] for photo in photos]

    def divided_as(self, held_out: Sequence[Divisible]) -> "SplitAssignment":
        """Return the same photos on other sides: all but some are trained on.

        Args:
            held_out: Of those that training sees.
        """
        out = {photo.sha256 for photo in held_out}
        photos = {
            name: place.model_copy(update={"side": SIDES[name in out]})
            for name, place in self.record.photos.items()
        }
        record = self.record.model_copy(update={"photos": photos})
        return replace(self, record=record)

    @property
    def sha256(self) -> str:
        """Hash of who is on which side."""
        places = sorted((n, p.side) for n, p in self.record.photos.items())
        return hashlib.sha256(repr(places).encode()).hexdigest()

    def summary(self) -> dict[str, object]:
        """Return what a run's record says of it; ``split.json`` has the photos."""
        places = self.record.photos.values()
        return {
            **self.record.model_dump(mode="json", exclude={"photos"}),
            "groups": len({place.group for place in places}),
            "photos": {s: sum(place.side == s for place in places) for s in SIDES},
            "tears_groups": self.tears_groups,
        }


def split_of(run: Path) -> SplitOptions:
    """Return the wishes that divide a run's dataset as the run did.

    Args:
        run: Its folder; one of an older version has no record and wishes nothing.

    Raises:
        DatasetError: The record cannot be read.
    """
    if not (run / SPLIT_NAME).exists():
        return SplitOptions()
    like = read_split(run)
    return SplitOptions(
        seed=like.seed, pattern=like.pattern, like=like, like_name=str(run)
    )


def write_split(run: Path, division: SplitAssignment) -> None:
    """Write ``split.json``.

    Args:
        run: Folder; exists.
        division: In force.

    Raises:
        OSError: It cannot be written.
    """
    text = division.record.model_dump_json(indent=1) + "\n"
    write_atomically(run / SPLIT_NAME, text.encode())
