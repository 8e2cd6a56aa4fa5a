"""Saves frames of a camera as photos to train on, before there is any model.

The camera is opened in a process, as in the daemon. Its checks of frames are off: a
photo shows what the camera delivers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.cameras.frame_publisher import GRACE_MS, CapturePlan
from edge.cameras.supervisor import START_LIMIT_NS, CameraProcess, wait_for_frames
from edge.control.signals import StopSignal
from edge.frame import Pixels
from models.errors import CameraError, DatasetError
from models.files import make_folder, write_atomically
from models.messages import CameraState

if TYPE_CHECKING:
    from models.boxes import FloatArray

WAIT_S = 0.05
GRID_PX = 32  # two frames are compared on this many cells a side
# A cell is the mean of many pixels: the noise of a camera changes it by less than one.
CHANGED_LEVELS = 8  # grey levels of 255
STILL_S = 10.0  # without a change for this long a message is shown
JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """What to save."""

    folder: Path
    count: int  # photos, then it ends
    every_s: float  # least time from one photo to the next
    is_jpeg: bool = False  # smaller files than PNG, with small losses


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What was saved."""

    folder: Path
    photos: int
    wanted: int
    unchanged: int  # frames left out because they were like the last photo
    ended_by: str  # count, source or signal

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "folder": str(self.folder),
            "photos": self.photos,
            "wanted": self.wanted,
            "unchanged": self.unchanged,
            "ended_by": self.ended_by,
        }


class FrameSelection:
    """Decides which frames become photos: not too many, and none like the last one.

    Args:
        every_s: Least time from one photo to the next.

    Attributes:
        unchanged: Frames left out because they were like the last photo.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s, self.unchanged = every_s, 0
        self._last_s: float | None = None
        self._last: FloatArray | None = None

    def takes(self, pixels: Pixels, at_s: float) -> bool:
        """Return whether a frame becomes a photo; the next one is compared with it.

        Args:
            pixels: ``[H, W, 3]`` BGR.
            at_s: Time of the capture, monotonic clock.
        """
        if self._last_s is not None and at_s - self._last_s < self._every_s:
            return False
        size = (GRID_PX, GRID_PX)
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        cells = np.asarray(small, np.float32).mean(axis=2)
        if self._last is not None and abs(cells - self._last).max() < CHANGED_LEVELS:
            self.unchanged += 1
            return False
        self._last_s, self._last = at_s, cells
        return True


def capture_photos(
    plan: CapturePlan,
    options: CaptureOptions,
    stop: StopSignal,
    on_photo: Callable[[int], None],
    show: Callable[[str], None],
) -> CaptureResult:
    """Save frames until there are enough, the source ends, or a signal comes.

    A camera that is lost after its first frame is opened again, as in the daemon.

    Args:
        on_photo: Called with the number of photos after each.
        show: Prints a message.

    Raises:
        CameraError: No frame came in time, or the source has none.
        DatasetError: A photo cannot be written; those before it are kept.
    """
    _make(options.folder)
    camera, selection = CameraProcess(plan), FrameSelection(options.every_s)
    capture = _Capture(camera, selection, options, on_photo, show)
    try:
        camera.supervise(time.monotonic_ns())
        camera.enable()
        ended_by = capture.run(stop)
    finally:
        camera.stop()
    return CaptureResult(
        options.folder, capture.photos, options.count, selection.unchanged, ended_by
    )


class _Capture:
    """One run; see ``capture_photos``."""

    def __init__(
        self,
        camera: CameraProcess,
        selection: FrameSelection,
        options: CaptureOptions,
        on_photo: Callable[[int], None],
        show: Callable[[str], None],
    ) -> None:
        self._camera, self._selection, self._options = camera, selection, options
        self._on_photo, self._show = on_photo, show
        self.photos = 0
        self._has_frame = self._is_lost = False
        self._changed_s = time.monotonic()
        plan = camera.plan
        timeouts_s = (plan.open_timeout_ms + plan.read_timeout_ms + GRACE_MS) / 1000
        self._first_due_s = self._changed_s + START_LIMIT_NS / 1e9 + timeouts_s

    def run(self, stop: StopSignal) -> str:
        """Return what ended it."""
        while self.photos < self._options.count:
            if stop:
                return "signal"
            if self._camera.state is CameraState.ENDED:
                if not self._has_frame:
                    raise self._no_frame("The source ended without a readable frame.")
                return "source"
            self._take()
            self._camera.supervise(time.monotonic_ns())
            self._note_state()
            wait_for_frames([self._camera], WAIT_S)
        return "count"

    def _take(self) -> None:
        """Save the newest frame if it is to be saved."""
        frame = self._camera.take_frame()
        if frame is None or frame.pixels is None:
            self._camera.release()
            return
        self._has_frame = True
        pixels = frame.pixels.copy()
        is_whole = self._camera.is_whole()
        stamp = frame.stamp
        self._camera.release()
        now_s = time.monotonic()
        if is_whole and self._selection.takes(pixels, stamp.captured_ns / 1e9):
            self._save(pixels, stamp.captured_wall_ns)
            self._changed_s = now_s
        elif now_s - self._changed_s > max(STILL_S, 2 * self._options.every_s):
            self._show("the picture does not change; waiting")
            self._changed_s = float("inf")  # it is said once, until it changes

    def _note_state(self) -> None:
        """Report a camera that is lost or back; refuse one that never had a frame."""
        is_lost = self._camera.state is CameraState.LOST
        if not self._has_frame and (is_lost or time.monotonic() > self._first_due_s):
            if is_lost:
                raise self._camera.error()
            raise self._no_frame("It was not open, or had no frame, at the time limit.")
        if is_lost != self._is_lost:
            name, error = self._camera.name, self._camera.error()
            back = f"camera {name}: it is back"
            self._show(f"{error.what} It is opened again." if is_lost else back)
        self._is_lost = is_lost

    def _no_frame(self, why: str) -> CameraError:
        return CameraError(
            f"{self._camera.plan.source.redacted}: no frame.",
            why=why,
            fix="Check cable, power and network of the camera, or the file.",
        )

    def _save(self, pixels: Pixels, wall_ns: int) -> None:
        suffix = ".jpg" if self._options.is_jpeg else ".png"
        quality = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        parameters = quality if self._options.is_jpeg else ()
        content = cv2.imencode(suffix, pixels, parameters)[1].tobytes()
        at = datetime.fromtimestamp(wall_ns / 1e9, UTC)
        time_name = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"
        path = _free_name(
            self._options.folder / f"{self._camera.name}-{time_name}", suffix
        )
        try:
            write_atomically(path, content, durable=False)
        except OSError as exc:
            raise _unwritable(path, exc, self.photos) from exc
        self.photos += 1
        self._on_photo(self.photos)


def _free_name(stem: Path, suffix: str) -> Path:
    """Return a path that does not exist: no photo is overwritten."""
    path, number = stem.with_name(stem.name + suffix), 2
    while path.exists():
        path, number = stem.with_name(f"{stem.name}-{number}{suffix}"), number + 1
    return path


def _make(folder: Path) -> None:
    try:
        make_folder(folder)
    except OSError as exc:
        raise _unwritable(folder, exc, 0) from exc


def _unwritable(path: Path, cause: OSError, photos: int) -> DatasetError:
    kept = f" The {photos} before it are there." if photos else ""
    return DatasetError(
        f"{path}: cannot be written.",
        why=f"{cause.strerror or cause}.{kept}",
        fix="Free space on the disk, or give another folder with --out.",
    )
