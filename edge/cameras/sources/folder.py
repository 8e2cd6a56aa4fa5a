"""A folder of pictures as a triggered camera: every picture is one part.

None is dropped: a picture is handed over only when the one before was taken, while
the next is already being decoded.
"""

import re
from pathlib import Path

from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.frame import Pixels
from models.pictures import DamagedPictureError, read_picture

PICTURE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
POISONED = "reading it stopped the camera's process twice"


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``part-2`` before ``part-10``.

    Args:
        path: A picture.
    """
    pieces = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in pieces)


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order.

    Args:
        folder: The folder; folders inside it are left out.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    ]
    return sorted(pictures, key=natural_key)


def read_pixels(path: Path) -> Pixels | str:
    """Return a picture, ``[H, W, 3]`` uint8 BGR, or why there is none."""
    try:
        return read_picture(path)
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except DamagedPictureError as exc:
        return str(exc)


def run_folder(plan: CapturePlan, feed: FramePublisher) -> None:
    """Hand over every picture of a folder, then return.

    Args:
        plan: What to do.
        feed: Way to the daemon.

    Raises:
        CameraError: The folder cannot be read, or holds no picture.
    """
    feed.back_within(plan.open_timeout_ms)
    pictures = _open(plan)
    feed.wait_until_wanted()
    period_ns = int(1e9 / plan.fps) if plan.fps else 0
    due_ns = stamp_now(0).captured_ns
    for frame_id in range(plan.first_frame_id, len(pictures)):
        path = pictures[frame_id]
        feed.wait_until(due_ns)
        stamp = stamp_now(frame_id, path.stem)
        feed.reads(frame_id, plan.read_timeout_ms)
        is_poisoned = frame_id == plan.poisoned_frame_id
        pixels = POISONED if is_poisoned else read_pixels(path)
        feed.wait_until_taken()
        if not period_ns:  # without a pace, the daemon's readiness is the trigger
            stamp = stamp_now(frame_id, path.stem)
        if isinstance(pixels, str):
            feed.publish_fault(f"{path.name}: {pixels}", stamp)
        else:
            feed.publish(pixels, stamp)
        due_ns = max(due_ns + period_ns, stamp.captured_ns)


def _open(plan: CapturePlan) -> list[Path]:
    """Return the pictures of the plan's folder."""
    folder = Path(plan.source.address)
    try:
        pictures = list_pictures(folder)
    except OSError as exc:
        raise plan.fault(
            "the folder cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give the path of an existing folder with pictures.",
        ) from exc
    if not pictures:
        raise plan.fault(
            "there is no picture in this folder.",
            why=f"Looked for {', '.join(sorted(PICTURE_SUFFIXES))}.",
            fix="Give a folder that holds pictures itself, not in folders inside it.",
        )
    return pictures
