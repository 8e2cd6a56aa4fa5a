"""What a photo of an export shows, from all alerts of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dashboard.history.learning import LearningAlert
from dashboard.history.reviews import OperatorVerdict, renamed_labels
from models.label_files import LabelledBox, LabelledPicture
from models.messages import AlertDetection
from models.photo_provenance import (
    AlertOrigin,
    PhotoOrigin,
    PhotoVerdict,
    ProvenBox,
)

IMAGES_FOLDER, GOOD_FOLDER = "images", "good"
DIGEST_CHARS = 16  # of a file's name


@dataclass(frozen=True, slots=True)
class ExportedPhoto:
    """One photo of an export.

    Attributes:
        sha256: Hash of its file.
    """

    sha256: str
    labelled: LabelledPicture
    origin: PhotoOrigin

    @property
    def is_good(self) -> bool:
        """Whether it shows a good part; it is in no label file then."""
        return self.origin.verdict is PhotoVerdict.GOOD


def exported_photo(
    alerts: Sequence[LearningAlert],
    sha256: str,
    size_px: tuple[int, int],
    *,
    is_thumbnail: bool,
) -> ExportedPhoto:
    """Return a photo with the boxes and the verdict of its alerts.

    Boxes that a person has confirmed have no score in the label file: there, a score
    marks what only a model drew.

    Args:
        alerts: All that show it, at least one.
        sha256: Hash of its file.
        size_px: tuple[int, int] of the file; the boxes of an alert are shares of it.
    """
    verdict = _verdict(alerts)
    boxes = tuple(
        box
        for alert in alerts
        if alert.verdict != OperatorVerdict.FALSE_ALARM
        for box in _boxes(alert, size_px)
    )
    if verdict is PhotoVerdict.DEFECT:  # confirmed: no prediction any more
        shown = tuple(replace(box, score=None) for box in boxes)
    else:
        shown = boxes
    folder = GOOD_FOLDER if verdict is PhotoVerdict.GOOD else IMAGES_FOLDER
    data = alerts[0].event.data
    place = f"{data.site}-{data.line}-{data.station}-{data.camera}"
    name = f"{folder}/{place}-{sha256[:DIGEST_CHARS]}.jpg"
    labelled = LabelledPicture(name, *size_px, shown)
    origin = PhotoOrigin(
        photo=name,
        verdict=verdict,
        is_thumbnail=is_thumbnail,
        labelled=tuple(
            ProvenBox(label=box.label, score=box.score or 0, box_px=box.box_xyxy)
            for box in boxes
        ),
        alerts=tuple(_origin(alert, size_px) for alert in alerts),
    )
    return ExportedPhoto(sha256, labelled, origin)


def _verdict(alerts: Sequence[LearningAlert]) -> PhotoVerdict:
    verdicts = {alert.verdict for alert in alerts}
    if "" in verdicts:
        return PhotoVerdict.NONE
    if verdicts == {OperatorVerdict.FALSE_ALARM.value}:
        return PhotoVerdict.GOOD
    return PhotoVerdict.DEFECT


def _boxes(alert: LearningAlert, size_px: tuple[int, int]) -> list[LabelledBox]:
    """Return the boxes of an alert, with the class that a person gave."""
    found = alert.event.data.detections
    renamed: set[str] = set()
    if alert.verdict == OperatorVerdict.OTHER_CLASS:
        renamed = renamed_labels({each.label for each in found})
    return [
        LabelledBox(
            alert.verdict_label if each.label in renamed else each.label,
            _box_px(each, size_px),
            each.score,
        )
        for each in found
    ]


def _box_px(
    detection: AlertDetection, size_px: tuple[int, int]
) -> tuple[float, float, float, float]:
    width, height = size_px
    x1, y1, x2, y2 = detection.box_norm
    return (
        round(x1 * width, 2),
        round(y1 * height, 2),
        round(x2 * width, 2),
        round(y2 * height, 2),
    )


def _origin(alert: LearningAlert, size_px: tuple[int, int]) -> AlertOrigin:
    data = alert.event.data
    return AlertOrigin(
        id=alert.id,
        at=_moment(alert.happened_ms),
        site=data.site,
        line=data.line,
        station=data.station,
        camera=data.camera,
        frame_id=data.frame_id,
        part_id=data.part_id,
        model=data.model,
        detections=tuple(
            ProvenBox(label=each.label, score=each.score, box_px=_box_px(each, size_px))
            for each in data.detections
        ),
        verdict=alert.verdict,
        verdict_label=alert.verdict_label,
        judged_by=alert.judged_by,
        judged_at=_moment(alert.judged_ms) if alert.judged_ms else None,
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
