"""One frame of a camera: pixels, number and time of capture."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # [H, W, 3] BGR
# [h, w] scores of the class unknown over a frame; 255 = score 1
ScoreMap = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Number, time and part of a frame."""

    frame_id: int  # counted by the source; never decreases during one run of the daemon
    captured_ns: int  # monotonic clock
    captured_wall_ns: int  # wall clock, since 1970 UTC
    part_id: str | None = None  # set by a triggered source only
    picture: str = ""  # digest of a picture in a watched folder


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """A frame in the shared memory; its pixels are valid until it is released."""

    # [H, W, 3] uint8 BGR, a view; None where the frame is unreadable
    pixels: Pixels | None
    stamp: Stamp
    fault: str = ""  # why there are no pixels; empty otherwise

    @property
    def captured_at(self) -> datetime:
        """Wall clock of the capture, UTC."""
        return datetime.fromtimestamp(self.stamp.captured_wall_ns / 1e9, UTC)
