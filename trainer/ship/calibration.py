"""Which photos INT8 is calibrated with, and how they become the model's input.

The ranges of activations come from the training photos, through the letterbox that the
daemon uses. Good parts are included: most parts on the line are good.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.boxes import FloatArray
from models.errors import DatasetError
from models.files import sha256_of
from models.preprocess import letterbox, planar
from models.tiles import Tiles
from trainer.data.dataset import Photo, read_photo
from trainer.data.sampling.tiles import PhotoTile, cut_photo, read_tile

CALIBRATION_PHOTOS = 128  # NNCF's authors advise 100 to 300
LEAST_PHOTOS = 100  # or all that the run was trained with
LEAST_GOOD_SHARE = 0.25  # where there are so many good photos


@dataclass(frozen=True, slots=True)
class Calibration:
    """The photos that set the ranges."""

    photos: tuple[Photo, ...]
    seed: int  # seed of their choice, for the manifest
    input_height_px: int
    input_width_px: int
    tiles: Tiles | None = None  # how photos are cut; None = not at all

    def read(self, photo: Photo) -> FloatArray:
        """Return one photo, or a tile of it, as the input, ``[1, 3, H, W]`` float32."""
        if self.tiles:
            return planar(read_tile(_tile_of(photo, self.tiles), self.tiles))
        images, _ = letterbox(
            read_photo(photo), self.input_height_px, self.input_width_px
        )
        return images

    def record(self) -> dict[str, object]:
        """Return the entry of the manifest."""
        return {
            "seed": self.seed,
            "images": len(self.photos),
            "good_images": sum(photo.is_good for photo in self.photos),
            "photos_sha256": [photo.sha256 for photo in self.photos],
        }


def _tile_of(photo: Photo, tiles: Tiles) -> PhotoTile:
    """Return one tile of a photo, one with a defect where the photo has any."""
    cut = cut_photo(photo, tiles) or [PhotoTile(photo, tiles.corners()[0], photo)]
    fitting = [tile for tile in cut if tile.as_photo.is_good == photo.is_good] or cut
    return fitting[int(photo.sha256[:8], 16) % len(fitting)]


def choose_calibration(
    photos: Sequence[Photo],
    *,
    seed: int,
    input_height_px: int,
    input_width_px: int,
    tiles: Tiles | None = None,
    count: int = CALIBRATION_PHOTOS,
) -> Calibration:
    """Choose at most ``count`` photos: a seeded sample, good parts included."""
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
    return Calibration(chosen, seed, input_height_px, input_width_px, tiles)


def own_photos(folder: Path, photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Return the training photos that a folder holds copies of.

    Args:
        folder: Searched with its sub-folders; hidden files are skipped.

    Raises:
        DatasetError: A file there is not one of them, or there are too few.
    """
    try:
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        hashes = {path: sha256_of(path) for path in files}
    except OSError as exc:
        raise DatasetError(
            f"--calibration {folder}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give a folder of photos that this user may read.",
        ) from exc
    known = {photo.sha256: photo for photo in photos}
    foreign = [path for path, sha256 in hashes.items() if sha256 not in known]
    if foreign:
        raise DatasetError(
            f"--calibration {folder}: {len(foreign)} of {len(files)} files are not "
            f"photos that this run was trained with, for example {foreign[0].name}.",
            why="Ranges from other photos fit another product, and INT8 would miss "
            "defects.",
            fix="Give unchanged training photos only, or leave --calibration out.",
        )
    chosen = {sha256: known[sha256] for sha256 in hashes.values()}
    least = min(LEAST_PHOTOS, len(known))
    if len(chosen) < least:
        raise DatasetError(
            f"--calibration {folder}: {len(chosen)} different photos are too few.",
            why=f"At least {least} are needed: {LEAST_PHOTOS}, or all that the run "
            "was trained with.",
            fix="Add training photos, good parts too, or leave --calibration out.",
        )
    return tuple(chosen.values())
