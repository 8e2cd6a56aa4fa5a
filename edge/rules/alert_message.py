"""The content of alert and verdict messages, built from a frame's detections.

Pure: no clock, no file. A new field of every alert is declared in
``models.messages.AlertData`` and filled in ``build_alert``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.boxes import clip
from models.detections import Detections
from models.messages import (
    AlertData,
    AlertDetection,
    ModelInForce,
    VerdictData,
    VerdictKind,
    fit_reason,
)

NS_PER_MS = 1_000_000
PX_DECIMALS = 2  # more digits would only make the message longer
SHARE_DECIMALS = 5  # 0.02 px of a 1920 px frame


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """The sender of a message."""

    site: str
    line: str
    station: str  # name of the station; one daemon
    boot_id: str
    clock_synchronized: bool
    model: ModelInForce


@dataclass(frozen=True, slots=True)
class FrameContext:
    """Where and when a frame was captured."""

    camera: str
    frame_id: int  # the source's own frame number, from 0
    part_id: str | None  # name of the part; None in free run
    captured_ns: int
    captured_at: datetime  # wall clock, UTC, aware
    decided_ns: int  # monotonic clock, when the detections were known
    frame_width_px: int
    frame_height_px: int
    picture: str = ""  # digest of a picture in a watched folder

    @property
    def age_ms(self) -> float:
        """Milliseconds from capture to decision, never negative."""
        return max(0, self.decided_ns - self.captured_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True)
class AlertPictures:
    """The pictures of an alert: paths on the line PC, and the hash of its thumbnail."""

    evidence: str | None = None  # path of the full picture; None = it was not kept
    thumbnail_sha256: str | None = None  # of the JPEG that goes with it; None = none
    heat_map: str | None = None  # path of the heat map of `unknown`; None = none


def verdict_kind(detections: Detections | None) -> VerdictKind:
    """Return the verdict of a triggered part; None = it could not be inspected."""
    if detections is None:  # never "ok" for a part that was not inspected
        return VerdictKind.NOT_INSPECTED
    return VerdictKind.DEFECT if len(detections) else VerdictKind.OK


def build_alert(
    station: StationIdentity,
    frame: FrameContext,
    detections: Detections,
    label_names: Sequence[str],
    *,
    pictures: AlertPictures,
    regions: Sequence[str] = (),
    suppressed: int = 0,
) -> AlertData:
    """Return the content of an alert.

    Args:
        detections: At least one, with ``boxes_frame``.
        pictures: What was kept of the frame.
        regions: Name of the region of each detection; empty = no names.
        suppressed: Alerts of this kind that were suppressed since the last one.
    """
    return AlertData(
        site=station.site,
        line=station.line,
        station=station.station,
        boot_id=station.boot_id,
        camera=frame.camera,
        part_id=frame.part_id,
        frame_id=frame.frame_id,
        captured_at=frame.captured_at,
        captured_ns=frame.captured_ns,
        decided_ns=frame.decided_ns,
        frame_age_ms=round(frame.age_ms, 3),
        clock_synchronized=station.clock_synchronized,
        model=station.model,
        frame_width_px=frame.frame_width_px,
        frame_height_px=frame.frame_height_px,
        detections=_alert_detections(frame, detections, label_names, regions),
        thumbnail_sha256=pictures.thumbnail_sha256,
        evidence=pictures.evidence,
        heat_map=pictures.heat_map,
        suppressed=suppressed,
    )


def build_verdict(
    station: StationIdentity,
    frame: FrameContext,
    detections: Detections | None,
    *,
    reason: str = "",
    verdict: VerdictKind | None = None,
) -> VerdictData:
    """Return the content of a verdict of a triggered or counted part.

    Args:
        detections: Defects of the part; None = it was not inspected.
        verdict: Verdict of a counted part; None = it follows from the detections.
    """
    return VerdictData(
        site=station.site,
        line=station.line,
        station=station.station,
        boot_id=station.boot_id,
        camera=frame.camera,
        part_id=frame.part_id,
        frame_id=frame.frame_id,
        verdict=verdict or verdict_kind(detections),
        reason=fit_reason(reason),
        captured_at=frame.captured_at,
        captured_ns=frame.captured_ns,
        clock_synchronized=station.clock_synchronized,
    )


def _alert_detections(
    frame: FrameContext,
    detections: Detections,
    label_names: Sequence[str],
    regions: Sequence[str],
) -> tuple[AlertDetection, ...]:
    size = (frame.frame_width_px, frame.frame_height_px)
    boxes_px = clip(detections.boxes, *size).astype(np.float64)  # [N, 4]
    boxes_norm = (boxes_px / np.array(size * 2)).clip(0, 1)  # [N, 4]
    scores = detections.scores.astype(np.float64).clip(0, 1)  # [N]
    return tuple(
        AlertDetection(
            label=label_names[label],
            score=round(score, SHARE_DECIMALS),
            box_px=_rounded(box_px, PX_DECIMALS),
            box_norm=_rounded(box_norm, SHARE_DECIMALS),
            region=region,
        )
        for label, score, box_px, box_norm, region in zip(
            detections.labels.tolist(),
            scores.tolist(),
            boxes_px.tolist(),
            boxes_norm.tolist(),
            regions or [""] * len(detections),
            strict=True,
        )
    )


def _rounded(values: list[float], decimals: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(value, decimals) for value in values)
    return x1, y1, x2, y2
