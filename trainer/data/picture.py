"""Decodes a photo; what its pixels show: a cut-off end, no colour, their identity."""

import hashlib

import numpy as np

from models.pictures import (
    JPEG_START,
    PictureError,
    decode_pixels,
    least_depth,
    to_frame,
)
from models.preprocess import Frame

FILLER = 128  # libjpeg decodes missing blocks as zeros: mid-grey in all channels
SHORTEST_FILLER_PX = 16  # the widest block that JPEG codes at once
FEWEST_PARTIAL_ROWS = 8  # of the last row of blocks with data: the lowest block
MIXED_ROWS = 2  # at its edge, where colour is smoothed over two blocks
STEP_PX = 8  # every 8th pixel is enough to find colour
GREY_TOLERANCE = 2  # what coding a grey picture in colour costs, in levels


def decode_photo(content: bytes, bit_depth: int | None) -> tuple[Frame, int | None]:
    """Return a photo with 8 bits a channel, and the bit depth that it was read with.

    Args:
        content: The whole file.
        bit_depth: Bits that hold data in a file with more than 8 bits a channel; None =
            the fewest that hold its values.

    Returns:
        ``[H, W, 3]`` uint8 BGR; the depth is None for a file of 8 bits.

    Raises:
        PictureError: It cannot be read, or has values above the bit depth.
    """
    pixels, depth = decode_pixels(content), None
    if pixels.dtype != np.uint8:
        depth = bit_depth or least_depth(int(pixels.max()))
    frame = to_frame(pixels, depth)
    if ends_in_filler(content, frame):
        raise PictureError("cut off: its end is only the grey that decoders fill in")
    return frame, depth


def pixels_sha256(picture: Frame) -> str:
    """Return a hash of the pixels: the same for a copy in another file format.

    Metadata, the kind of compression without loss and an EXIF orientation that was
    applied to the pixels do not count. It takes 0.9 ms for 640 x 640.
    """
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def ends_in_filler(content: bytes, picture: Frame) -> bool:
    """Return whether the end of a JPEG is grey that a decoder filled in.

    A transfer that broke off leaves the last row of blocks incomplete: real pixels,
    then filler up to its end, and filler in all rows below. A frame or a plain
    background of the very same grey ends at a straight line instead. A progressive JPEG
    that is cut off becomes coarse, not grey, and is not recognized.

    Args:
        picture: ``[H, W, 3]`` uint8, decoded, EXIF orientation applied.

    Source:
        jdhuff.c of libjpeg: "just leave the MCU set to zeroes. This way, we return
        uniform gray for the remainder of the segment."
    """
    if not content.startswith(JPEG_START):
        return False
    turned = (np.rot90(picture, turns) for turns in range(4))
    return any(_ends_in_filler(side) for one in turned for side in (one, one[:, ::-1]))


def _ends_in_filler(picture: Frame) -> bool:
    """Return the same for a picture coded from top left to bottom right."""
    if not (picture[-1, -SHORTEST_FILLER_PX:] == FILLER).all():
        return False
    filler = (picture == FILLER).all(axis=2)  # [H, W]
    lengths = np.where(filler.all(axis=1), filler.shape[1], filler[:, ::-1].argmin(1))
    rows = np.flatnonzero(lengths < SHORTEST_FILLER_PX)
    if not len(rows):
        return False
    rest = lengths[rows[-1] + 1 :]  # below the last row of real pixels only
    partial, below = rest[:FEWEST_PARTIAL_ROWS], rest[SHORTEST_FILLER_PX + MIXED_ROWS :]
    width = filler.shape[1]
    return bool((partial < width).all() and (below == width).all())


def is_grey(picture: Frame) -> bool:
    """Return whether a picture, ``[H, W, 3]`` uint8, shows no colour."""
    sample = picture[::STEP_PX, ::STEP_PX].astype(np.int16)
    return int(np.ptp(sample, axis=2).max()) <= GREY_TOLERANCE
