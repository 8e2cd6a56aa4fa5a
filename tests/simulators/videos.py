"""Small video files whose frames show their number or a defect."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from models.preprocess import Frame
from tests.simulators.packages import part_picture


def write_video(
    path: Path, frames: int, fps: float, picture_of: Callable[[int], Frame]
) -> None:
    """Write a video.

    Args:
        path: ``.avi``; every frame is a separate JPEG.
        frames: How many.
        fps: Its own pace.
        picture_of: Frame number to picture, all of one size.
    """
    height, width = picture_of(0).shape[:2]
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), code, fps, (width, height))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture_of(number))
    writer.release()


def defect_between(first: int, last: int) -> Callable[[int], Frame]:
    """Return frames of which some show one defect that does not move.

    A sensor has noise: identical frames would be a frozen camera.
    """

    def picture_of(number: int) -> Frame:
        part = part_picture((4, 5)) if first <= number <= last else part_picture()
        noise = np.random.default_rng(number).integers(0, 8, part.shape, np.uint8)
        return np.maximum(part, noise + 56)

    return picture_of


def number_of(pixels: Frame) -> int:
    """Return the number that ``numbered`` wrote into a frame."""
    bits = pixels[16, 16:272:32, 0] > 128
    return int(np.packbits(bits)[0])


def numbered(number: int) -> Frame:
    """Return a frame that shows its number (0..255) as eight squares.

    A grey slope above them is in every frame, so that no frame is black or white.
    """
    pixels = np.zeros((32, 256 + 32, 3), np.uint8)
    for bit, is_set in enumerate(np.unpackbits(np.uint8([number]))):
        if is_set:
            pixels[:, bit * 32 : bit * 32 + 32] = 255
    pixels[:6] = np.linspace(20, 230, 256 + 32)[:, None]
    return pixels
