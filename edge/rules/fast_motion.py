"""Notices defects that move too far from frame to frame to be followed. Pure.

The tracker follows a defect for ``STEP_SHARE`` of the frame's width per frame. On a
faster belt, or with fewer frames, each sighting is a new defect, and k of n is never
reached. Such a defect still shows: in three frames in a row a box of about the same
size is displaced by the same large step twice. Nuisances jump too, but not evenly: most
passages (frames in a row with detections) must show such steps.
"""

from collections import deque

import numpy as np

from edge.rules.tracker import DRIFT_SHARE, STEP_SHARE
from models.boxes import FloatArray

PASSAGES = 5  # the last ones, without a confirmed defect among them
EVEN_MIN = 3  # of these: fewer may be coincidences
BOXES_MAX = 4  # of a frame: more make even steps likely by chance
SIZE_FACTOR = 1.5  # a larger change of a box is another defect


class FastMotion:
    """The steps of defects through the frames of one camera."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, FloatArray]] = deque(maxlen=3)
        # the step in each of the last passages, as a share of the frame's width; 0 =
        # it was not even; replaced as a whole, because another thread reads it
        self._passages: tuple[float, ...] = ()
        self._current: float | None = None  # step in this passage; None = empty frame

    @property
    def step_share(self) -> float | None:
        """Step per frame as a share of the frame's width; None = slow, or unknown."""
        even = [step for step in self._passages if step]
        return float(np.median(even)) if len(even) >= EVEN_MIN else None

    def update(
        self, boxes: FloatArray, frame_id: int, width_px: int, *, is_confirmed: bool
    ) -> None:
        """Take the detections of the next inspected frame.

        Args:
            boxes: ``[N, 4]`` float32, xyxy, pixels of the frame; the best first.
            frame_id: The source's own frame number.
            is_confirmed: The frame confirms a defect: defects are followed.
        """
        if is_confirmed:
            self._passages = ()
        self._frames.append((frame_id, boxes[:BOXES_MAX]))
        if not len(boxes):
            if self._current is not None:
                self._passages = (*self._passages, self._current)[-PASSAGES:]
            self._current = None
            return
        step_px = self._even_step_px(width_px) if len(self._frames) == 3 else 0.0
        self._current = step_px / width_px or self._current or 0.0

    def _even_step_px(self, width_px: int) -> float:
        """Return the large step that a box made twice; 0 = there is none."""
        (first_id, a), (middle_id, b), (last_id, c) = self._frames
        elapsed = middle_id - first_id
        if (
            elapsed < 1
            or last_id - middle_id != elapsed
            or not len(a) * len(b) * len(c)
        ):
            return 0.0
        first = _centres(b)[None] - _centres(a)[:, None]  # [A, B, 2]
        second = _centres(c)[None] - _centres(b)[:, None]  # [B, C, 2]
        change = np.linalg.norm(second[None] - first[:, :, None], axis=-1)  # [A, B, C]
        steps = np.linalg.norm(first, axis=-1) / elapsed  # [A, B]
        even = change <= DRIFT_SHARE * width_px * elapsed
        even &= (_alike(a, b) & (steps > STEP_SHARE * width_px))[:, :, None]
        even &= _alike(b, c)[None]
        found = even.any(axis=2)
        return float(np.median(steps[found])) if found.any() else 0.0


def _centres(boxes: FloatArray) -> FloatArray:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2, np.float32)


def _alike(a: FloatArray, b: FloatArray) -> np.ndarray:
    """Return which pairs of boxes have about the same size, ``[A, B]`` bool."""
    side_a = (a[:, 2:] - a[:, :2]).max(axis=1)[:, None]
    side_b = (b[:, 2:] - b[:, :2]).max(axis=1)[None]
    return np.asarray(
        np.maximum(side_a, side_b) <= SIZE_FACTOR * np.minimum(side_a, side_b)
    )
