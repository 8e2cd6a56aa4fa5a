"""Which photos INT8 is calibrated with, and how they reach the quantizer.

The ranges of activations are taken from the product's own training photos, through
the daemon's own letterbox. Good parts belong to it: they are what the line sees.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.boxes import FloatArray
from models.preprocess import letterbox
from trainer.data.dataset import Photo, read_photo

CALIBRATION_PHOTOS = 128  # NNCF's authors advise 100 to 300
LEAST_GOOD_SHARE = 0.25  # where there are that many


@dataclass(frozen=True, slots=True)
class Calibration:
    """The photos that set the ranges.

    Attributes:
        photos: In the order in which they are used.
        seed: That chose them.
        input_height_px: Height of the graph's input.
        input_width_px: Width of the graph's input.
    """

    photos: tuple[Photo, ...]
    seed: int
    input_height_px: int
    input_width_px: int

    def read(self, photo: Photo) -> FloatArray:
        """Return one photo as the graph's input, ``[1, 3, H, W]`` float32.

        Args:
            photo: One of ``photos``.
        """
        images, _ = letterbox(
            read_photo(photo), self.input_height_px, self.input_width_px
        )
        return images

    def record(self) -> dict[str, object]:
        """Return what the manifest keeps of it."""
        return {
            "seed": self.seed,
            "images": len(self.photos),
            "good_images": sum(photo.is_good for photo in self.photos),
            "photos_sha256": [photo.sha256 for photo in self.photos],
        }


Reader = Callable[[Photo], FloatArray]


def choose_calibration(
    photos: Sequence[Photo],
    *,
    seed: int,
    input_height_px: int,
    input_width_px: int,
    count: int = CALIBRATION_PHOTOS,
) -> Calibration:
    """Choose calibration photos: a seeded sample, good parts included.

    Args:
        photos: Training photos.
        seed: Of the shuffle.
        input_height_px: Height of the graph's input.
        input_width_px: Width of the graph's input.
        count: At most this many; all where there are fewer.
    """
    ordered = sorted(photos, key=lambda photo: photo.sha256)
    random.Random(seed).shuffle(ordered)  # noqa: S311 (no cryptography)
    good = [photo for photo in ordered if photo.is_good]
    defective = [photo for photo in ordered if not photo.is_good]
    if len(ordered) > count:
        share = max(len(good) / len(ordered), LEAST_GOOD_SHARE)
        wanted = max(round(count * share), count - len(defective))
        good = good[:wanted]
        defective = defective[: count - len(good)]
    taken = {id(photo) for photo in (*good, *defective)}
    chosen = tuple(photo for photo in ordered if id(photo) in taken)
    return Calibration(chosen, seed, input_height_px, input_width_px)
