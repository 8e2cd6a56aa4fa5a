"""``provenance.json``: where the photos of an export of the dashboard come from.

It lies beside the labels. ``graftline merge`` keeps it, and leaves out photos that no
person has judged or labelled. Readers keep unknown fields and refuse a newer
``schema_version``.
"""

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.messages import ModelInForce
from models.value_types import Share

SCHEMA_VERSION: Final = 1
PROVENANCE_NAME: Final = "provenance.json"
PROVENANCE_MAX_BYTES: Final = 64 << 20


class _Part(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class PhotoVerdict(StrEnum):
    """What people say that a photo shows."""

    DEFECT = "defect"  # the boxes are right
    GOOD = "good"  # every alert of it was a false alarm
    NONE = "none"  # no person has judged it, or not all of its alerts


class ProvenBox(_Part):
    """One box that the model drew."""

    label: str
    score: Share
    box_px: tuple[float, float, float, float] = Field(
        description="xyxy, pixels of the exported photo."
    )


class AlertOrigin(_Part):
    """An alert that showed the photo, and what a person says of it."""

    id: str
    at: AwareDatetime = Field(description="When it happened, UTC.")
    site: str
    line: str
    station: str
    camera: str
    frame_id: int = Field(ge=0)
    part_id: str | None = None
    model: ModelInForce
    detections: tuple[ProvenBox, ...]
    verdict: str = Field(
        default="", description="real-defect, false-alarm or other-class; empty: none."
    )
    verdict_label: str = Field(
        default="", description="The right class where the verdict is other-class."
    )
    judged_by: str = ""
    judged_at: AwareDatetime | None = None


class PhotoOrigin(_Part):
    """One photo of the export."""

    photo: str = Field(description="Path below the folder of the export, with '/'.")
    verdict: PhotoVerdict
    is_thumbnail: bool = Field(
        description="It is the small picture of the alert, not the camera's frame."
    )
    labelled: tuple[ProvenBox, ...] = Field(
        default=(), description="The boxes in the label file of the export."
    )
    alerts: tuple[AlertOrigin, ...]


class SkippedAlert(_Part):
    """An alert that is not in the export."""

    id: str
    reason: str


class Provenance(_Part):
    """``provenance.json``."""

    schema_version: int = SCHEMA_VERSION
    exported_at: AwareDatetime
    exported_by: str
    version: str = Field(default="", description="Version of Graftline.")
    photos: dict[str, PhotoOrigin] = Field(
        description="By the SHA-256 of the photo's file."
    )
    skipped: tuple[SkippedAlert, ...] = ()
