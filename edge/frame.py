"""One frame of a camera, and what is known of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # [H, W, 3] BGR


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is known of a frame besides its pixels.

    Attributes:
        frame_id: The source's own number.
        captured_ns: Monotonic clock of the machine.
        captured_wall_ns: Wall clock, since 1970 UTC.
        part_id: The part, for a triggered source.
    """

    frame_id: int
    captured_ns: int
    captured_wall_ns: int
    part_id: str | None = None


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """A frame in the slot; its pixels are valid until the slot is released.

    Attributes:
        pixels: ``[H, W, 3]`` uint8 BGR, a view; none where it could not be read.
        stamp: Number, time and part.
        fault: Why there are no pixels; empty else.
    """

    pixels: Pixels | None
    stamp: Stamp
    fault: str = ""

    @property
    def captured_at(self) -> datetime:
        """Wall clock of the capture, UTC."""
        return datetime.fromtimestamp(self.stamp.captured_wall_ns / 1e9, UTC)
