"""A folder of pictures as a triggered camera: every picture is one part.

No picture is dropped: one is published only when the previous one was taken, while the
next is already decoded.
"""

import re
from pathlib import Path

from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.frame import Pixels
from models.counted import counted
from models.pictures import (
    OTHER_PICTURE_SUFFIXES,
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


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``part-2`` before ``part-10``."""
    pieces = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in pieces)


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order; its subfolders are ignored.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    ]
    return sorted(pictures, key=natural_key)


def other_pictures(folder: Path) -> str:
    """Return a sentence on pictures in formats that are not read; empty = none.

    Raises:
        OSError: It is not a folder, or cannot be read.
    """
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in OTHER_PICTURE_SUFFIXES
    )
    if not names:
        return ""
    return (
        f"{counted(len(names), 'picture')} in a format that is not read, the "
        f"first {names[0]}"
    )


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
    """Publish every picture of a folder, then return.

    Raises:
        CameraError: The folder cannot be read, or has no picture.
    """
    frame_publisher.extend_deadline(plan.open_timeout_ms)
    pictures = _pictures_of(plan)
    if others := other_pictures(Path(plan.source.address)):
        frame_publisher.set_warnings([others])
    frame_publisher.wait_until_enabled()
    period_ns = int(1e9 / plan.fps) if plan.fps else 0
    due_ns = stamp_now(0).captured_ns
    for frame_id in range(plan.first_frame_id, len(pictures)):
        path = pictures[frame_id]
        frame_publisher.wait_until(due_ns)
        stamp = stamp_now(frame_id, path.stem)
        frame_publisher.start_read(frame_id, plan.read_timeout_ms)
        is_poisoned = frame_id == plan.poisoned_frame_id
        bit_depth = frame_publisher.bit_depth
        pixels = POISONED if is_poisoned else read_pixels(path, bit_depth)
        frame_publisher.wait_until_taken()
        if not is_poisoned and frame_publisher.bit_depth != bit_depth:  # a new model
            pixels = read_pixels(path, frame_publisher.bit_depth)
        if not period_ns:  # without a pace, taking the previous picture is the trigger
            stamp = stamp_now(frame_id, path.stem)
        if isinstance(pixels, str):
            frame_publisher.publish_fault(f"{path.name}: {pixels}", stamp)
        else:
            frame_publisher.publish(pixels, stamp)
        due_ns = max(due_ns + period_ns, stamp.captured_ns)


def _pictures_of(plan: CapturePlan) -> list[Path]:
    folder = Path(plan.source.address)
    try:
        pictures, others = list_pictures(folder), other_pictures(folder)
    except OSError as exc:
        raise plan.fault(
            "the folder cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give the path of an existing folder with pictures.",
        ) from exc
    if not pictures:
        raise plan.fault(
            "there is no picture in this folder.",
            why=f"Expected {', '.join(sorted(PICTURE_SUFFIXES))}."
            + (f" There are {others}." if others else ""),
            fix="Give a folder that contains pictures itself, not in subfolders.",
        )
    return pictures
