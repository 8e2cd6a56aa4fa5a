"""The measurements of a frame, and statistics of the earlier ones. Pure."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FLAT_RANGE = 2  # grey levels: a row of one colour, after a codec
FLAT_STD = 6.0  # grey levels: a picture half filled by a decoder has more
FILL_MIN = 0.125  # share of the height: a smaller fill may be the scene itself
TEXTURE_MIN = 5  # least range of a row, in every earlier frame, that shows texture
TEXTURED_ROWS_MIN = 0.75  # share of the filled rows: a rail may be among them
GREEN_LEAD = 60  # how much greener than red and blue: YUV 0,0,0 becomes 0,135,0
GREY_FILL = 128  # the level that a JPEG decoder writes where data is missing
GLARE_LEVEL = 250  # a uniform area may also be a reflection of the light
HISTORY_FRAMES = 10  # until so many were added, the scene is not known well enough
SEAM_NEAR_ROWS = 3  # the camera may vibrate

Grey = npt.NDArray[np.uint8]  # [H, W]


@dataclass(frozen=True, slots=True)
class Appearance:
    """A measured frame."""

    size_px: tuple[int, int]  # width and height of the frame
    mean: float  # mean grey level, 0..255
    std: float
    saturated: float  # share of the scene that is almost white
    sharpness: float  # variance of the Laplacian, divided by that of the grey levels
    is_identical: bool  # no byte differs from the frame measured before
    row_range: Grey  # range of grey levels in each row of the scene, [R]
    fill: float  # share of the height, from below, that has one and the same colour
    fill_color: tuple[int, int, int]  # that colour, BGR
    seams: tuple[int, ...]  # rows of the scene at which the frame appears cut
    scene: Grey  # the frame, shrunk and grey, [R, C]

    @property
    def contrast(self) -> float:
        """Standard deviation by mean: independent of the brightness of the light."""
        return self.std / (self.mean + 1)


@dataclass(slots=True)
class Scene:
    """Summary of the usable frames of a camera so far."""

    frames: int = 0
    # least range of grey levels of each row, [R]; None = no frame
    row_floor: Grey | None = None
    # rows where the scene itself appears cut
    seams: set[int] = field(default_factory=set)

    def add(self, appearance: Appearance) -> None:
        """Add a usable frame; a frame of another size starts a new scene."""
        rows = appearance.row_range
        if self.row_floor is None or self.row_floor.shape != rows.shape:
            self.frames, self.row_floor, self.seams = 0, rows, set()
        self.row_floor = np.minimum(self.row_floor, rows)
        self.seams.update(appearance.seams)
        self.frames += 1

    def is_torn(self, appearance: Appearance) -> bool:
        """Return whether a frame has a fill or a seam that this scene does not have."""
        floor = self.row_floor
        if floor is None or floor.shape != appearance.row_range.shape:
            return False
        if self.frames < HISTORY_FRAMES:
            return False
        is_glare = min(appearance.fill_color) >= GLARE_LEVEL
        if FILL_MIN <= appearance.fill < 1 and not is_glare:
            filled = floor[round(len(floor) * (1 - appearance.fill)) :]
            textured = np.count_nonzero(filled >= TEXTURE_MIN)
            return bool(textured >= TEXTURED_ROWS_MIN * len(filled))
        return any(
            all(abs(seam - known) > SEAM_NEAR_ROWS for known in self.seams)
            for seam in appearance.seams
        )


def has_decoder_fill(appearance: Appearance) -> bool:
    """Return whether the rest of a frame has the colour of a decoder's missing data."""
    if appearance.fill < FILL_MIN:
        return False
    blue, green, red = (int(level) for level in appearance.fill_color)
    is_green = green - max(blue, red) >= GREEN_LEAD and max(blue, red) < GREEN_LEAD
    is_grey = all(abs(level - GREY_FILL) <= 1 for level in (blue, green, red))
    # A frame that is grey as a whole may show a grey part.
    return is_green or (is_grey and appearance.fill < 1 and appearance.std > FLAT_STD)
