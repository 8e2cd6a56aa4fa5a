"""A folder of pictures as a triggered camera: every picture is one part.

The daemon watches it for more pictures, and never inspects one twice, see
``folder_watch``; with ``--exit-at-end`` it is read once. No picture is dropped: one is
published only when the previous one was taken, while the next is already decoded.
"""

import time
from pathlib import Path

from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.sources.folder_watch import POLL_S, Candidate, FolderWatch
from edge.cameras.sources.picture_list import (
    list_pictures,
    other_pictures,
    pictures_below,
)
from edge.frame import Pixels
from models.errors import CameraError
from models.pictures import (
    PICTURE_SUFFIXES,
    BitDepthError,
    PictureError,
    read_picture,
)

NO_DEPTH = (
    "it has more than 8 bits a channel, and the package states no bit depth: its model "
    "was trained on 8 bits"
)
POISONED = "reading it stopped the camera's process twice"


def read_pixels(path: Path, bit_depth: int | None = None) -> Pixels | str:
    """Return a picture, ``[H, W, 3]`` uint8 BGR, or why it cannot be read.

    Args:
        bit_depth: Bits that hold data in a picture of more than 8 bits a channel.
    """
    try:
        return read_picture(path, bit_depth)
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except BitDepthError as exc:
        return NO_DEPTH if bit_depth is None else str(exc)
    except PictureError as exc:
        return str(exc)


def run_folder(plan: CapturePlan, frame_publisher: FramePublisher) -> None:
    """Publish every picture of a folder, then return; or watch it without an end.

    Raises:
        CameraError: The folder cannot be read, or has no picture and is not watched.
    """
    frame_publisher.extend_deadline(plan.open_timeout_ms)
    parts = _Parts(plan, frame_publisher)
    if plan.watches:
        _watch(plan, frame_publisher, parts)
        return
    pictures = _pictures_of(plan)
    _warn_of_others(plan, frame_publisher)
    frame_publisher.wait_until_enabled()
    for frame_id in range(plan.first_frame_id, len(pictures)):
        path = pictures[frame_id]
        pixels, bit_depth = parts.read(frame_id, path)
        parts.publish(frame_id, path, pixels, bit_depth)


def _watch(plan: CapturePlan, frame_publisher: FramePublisher, parts: "_Parts") -> None:
    """Publish pictures as they come.

    Raises:
        CameraError: The folder cannot be read.
    """
    watch = FolderWatch(Path(plan.source.address), plan.inspected)
    frame_publisher.wait_until_enabled()
    frame_id = plan.first_frame_id
    while True:
        frame_publisher.extend_deadline(plan.open_timeout_ms)  # a list over a network
        picture = _next_picture(plan, watch)
        frame_publisher.set_idle(is_idle=picture is None)
        if picture is None:
            _warn_of_others(plan, frame_publisher)
            frame_publisher.wait_until(time.monotonic_ns() + round(POLL_S * 1e9))
            continue
        pixels, bit_depth = parts.read(frame_id, picture.path)
        is_fault = isinstance(pixels, str)
        if watch.is_changed(picture) or (is_fault and watch.postpone(picture)):
            continue
        watch.finish(picture)
        parts.publish(frame_id, picture.path, pixels, bit_depth, picture.digest)
        frame_id += 1


def _next_picture(plan: CapturePlan, watch: FolderWatch) -> Candidate | None:
    try:
        return watch.next(time.monotonic(), time.time())
    except OSError as exc:
        raise _unreadable(plan, exc) from exc


def _warn_of_others(plan: CapturePlan, frame_publisher: FramePublisher) -> None:
    folder = Path(plan.source.address)
    try:
        warnings = [other_pictures(folder), pictures_below(folder)]
    except OSError as exc:
        raise _unreadable(plan, exc) from exc
    frame_publisher.set_warnings([warning for warning in warnings if warning])


class _Parts:
    """Reads and publishes pictures at the pace of the plan."""

    def __init__(self, plan: CapturePlan, frame_publisher: FramePublisher) -> None:
        self._plan, self._publisher = plan, frame_publisher
        self._period_ns = int(1e9 / plan.fps) if plan.fps else 0
        self._due_ns = 0

    def read(self, frame_id: int, path: Path) -> tuple[Pixels | str, int | None]:
        """Return a picture, or why it cannot be read, and the bit depth used."""
        publisher = self._publisher
        publisher.start_read(frame_id, self._plan.read_timeout_ms)
        bit_depth = publisher.bit_depth
        if frame_id == self._plan.poisoned_frame_id:
            return POISONED, bit_depth
        return read_pixels(path, bit_depth), bit_depth

    def publish(
        self,
        frame_id: int,
        path: Path,
        pixels: Pixels | str,
        bit_depth: int | None,
        digest: str = "",
    ) -> None:
        """Publish a picture when it is due and the previous one was taken.

        Args:
            bit_depth: With which it was read.
            digest: Digest of a picture in a watched folder; empty where none is kept.
        """
        publisher = self._publisher
        self._due_ns = self._due_ns or time.monotonic_ns()
        publisher.wait_until(self._due_ns)
        stamp = stamp_now(frame_id, path.stem, digest)
        publisher.wait_until_taken()
        is_poisoned = frame_id == self._plan.poisoned_frame_id
        if not is_poisoned and publisher.bit_depth != bit_depth:  # a new model
            pixels = read_pixels(path, publisher.bit_depth)
        if not self._period_ns:  # without a pace, taking the previous is the trigger
            stamp = stamp_now(frame_id, path.stem, digest)
        if isinstance(pixels, str):
            publisher.publish_fault(f"{path.name}: {pixels}", stamp)
        else:
            publisher.publish(pixels, stamp)
        self._due_ns = max(self._due_ns + self._period_ns, stamp.captured_ns)


def _pictures_of(plan: CapturePlan) -> list[Path]:
    folder = Path(plan.source.address)
    try:
        pictures, others = list_pictures(folder), other_pictures(folder)
    except OSError as exc:
        raise _unreadable(plan, exc) from exc
    if not pictures:
        raise plan.fault(
            "there is no picture in this folder.",
            why=f"Expected {', '.join(sorted(PICTURE_SUFFIXES))}."
            + (f" There are {others}." if others else ""),
            fix="Give a folder that contains pictures itself, not in subfolders.",
        )
    return pictures


def _unreadable(plan: CapturePlan, exc: OSError) -> CameraError:
    return plan.fault(
        "the folder cannot be read.",
        why=exc.strerror or str(exc),
        fix="Give the path of an existing folder with pictures.",
    )
