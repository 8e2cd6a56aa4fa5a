"""A frame as the rules see it, and what the frames before it were like. Pure."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FLAT_RANGE = 2  # grey levels: a row of one colour, through a codec
FLAT_STD = 6.0  # grey levels: half a picture and half a fill have more
FILL_MIN = 0.125  # share of the height: less may be the scene itself
FILL_IN_TEXTURE = 5  # grey levels in a row, always, until now
FILL_IN_TEXTURE_SHARE = 0.75  # of these rows: a rail may be among them
GREEN_LEAD = 60  # how much greener than red and blue: YUV 0,0,0 becomes 0,135,0
GREY_FILL = 128  # what a JPEG decoder gives where there is nothing
GLARE_LEVEL = 250  # a light makes an even area too
HISTORY_LOOKS = 10  # before they no scene is known well enough
SEAM_NEAR_ROWS = 3  # a vibrating camera

Grey = npt.NDArray[np.uint8]  # [H, W]


@dataclass(frozen=True, slots=True)
class Appearance:
    """A frame, measured.

    Attributes:
        size_px: Width and height of the frame.
        mean: Mean grey level, 0..255.
        std: Standard deviation of the grey levels.
        saturated: Share of the scene that is as good as white.
        sharpness: Variance of the Laplacian by that of the grey levels.
        is_identical: Not one byte differs from the frame looked at before.
        row_range: Range of grey levels in each row of the scene, ``[R]``.
        fill: Share of the height, from below, that has one and the same colour.
        fill_color: That colour, BGR.
        seams: Rows of the scene at which the frame looks cut.
        scene: The scene, ``[R, C]``.
    """

    size_px: tuple[int, int]
    mean: float
    std: float
    saturated: float
    sharpness: float
    is_identical: bool
    row_range: Grey
    fill: float
    fill_color: tuple[int, int, int]
    seams: tuple[int, ...]
    scene: Grey

    @property
    def contrast(self) -> float:
        """Standard deviation by mean: the same in weak light and in strong."""
        return self.std / (self.mean + 1)


@dataclass(slots=True)
class Scene:
    """What sound frames of this camera looked like until now.

    Attributes:
        looks: How many.
        row_floor: Least range of grey levels of each row, ``[R]``.
        seams: Rows where the scene itself looks cut.
    """

    looks: int = 0
    row_floor: Grey | None = None
    seams: set[int] = field(default_factory=set)

    def add(self, seen: Appearance) -> None:
        """Remember a sound frame; another size is another scene.

        Args:
            seen: The frame.
        """
        rows = seen.row_range
        if self.row_floor is None or self.row_floor.shape != rows.shape:
            self.looks, self.row_floor, self.seams = 0, rows, set()
        self.row_floor = np.minimum(self.row_floor, rows)
        self.seams.update(seen.seams)
        self.looks += 1

    def is_torn(self, seen: Appearance) -> bool:
        """Return whether a frame is broken in a way that this scene is not.

        Args:
            seen: The frame.
        """
        floor = self.row_floor
        if floor is None or floor.shape != seen.row_range.shape:
            return False
        if self.looks < HISTORY_LOOKS:
            return False
        is_glare = min(seen.fill_color) >= GLARE_LEVEL
        if FILL_MIN <= seen.fill < 1 and not is_glare:
            filled = floor[round(len(floor) * (1 - seen.fill)) :]
            in_texture = np.count_nonzero(filled >= FILL_IN_TEXTURE)
            return bool(in_texture >= FILL_IN_TEXTURE_SHARE * len(filled))
        return any(
            all(abs(seam - known) > SEAM_NEAR_ROWS for known in self.seams)
            for seam in seen.seams
        )


def has_decoder_fill(seen: Appearance) -> bool:
    """Return whether the rest of a frame is what decoders put for nothing.

    Args:
        seen: The frame.
    """
    if seen.fill < FILL_MIN:
        return False
    blue, green, red = (int(level) for level in seen.fill_color)
    is_green = green - max(blue, red) >= GREEN_LEAD and max(blue, red) < GREEN_LEAD
    is_grey = all(abs(level - GREY_FILL) <= 1 for level in (blue, green, red))
    # A whole grey frame may be a grey part.
    return is_green or (is_grey and seen.fill < 1 and seen.std > FLAT_STD)
