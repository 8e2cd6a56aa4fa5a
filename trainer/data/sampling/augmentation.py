"""Augmentation and batches, on boxes and pixels together.

It uses torchvision.transforms.v2, which transforms boxes with the picture. A part may
have any orientation under the camera, so flips and quarter turns give realistic
pictures. Scale and crop change its position; brightness and contrast vary as the light
does from day to day.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from models.boxes import Boxes, IntArray
from models.preprocess import Frame, letterbox_image
from models.value_types import PAD_VALUE
from trainer.data.dataset import Photo, read_photo
from trainer.data.sample import Batch, BoxTarget
from trainer.data.sampling.copy_paste import DefectBank, paste_defects

MIN_VISIBLE_SHARE = 0.5  # a box cut to less than half is not a useful example
CACHE_MAX_BYTES = 3 << 30  # decoded photos kept in memory; beyond, read each time
SCALE_RANGE = (0.75, 1.25)  # measured in the prototype
PASTED_GOOD, PASTED_DEFECTIVE = 0.6, 0.5  # share of photos that get more defects
PHOTOMETRIC_JITTER = 0.2  # largest change of brightness and of contrast, as a share
PHOTOS_PER_GOOD = 3  # at most one good part for three defective ones in an epoch


class Transpose(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Transposes picture and boxes: with both flips, all eight orientations."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401, ARG002 (torchvision's signature)
        """Return a picture or boxes mirrored at the diagonal."""
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            height, width = inpt.canvas_size
            turned = inpt.as_subclass(Tensor)[:, [1, 0, 3, 2]]
            return tv_tensors.BoundingBoxes(
                turned,
                format=inpt.format,
                canvas_size=(width, height),
                clamping_mode=inpt.clamping_mode,
            )
        if isinstance(inpt, tv_tensors.Image):
            return tv_tensors.Image(inpt.transpose(-1, -2).contiguous())
        return inpt


def augmentation(height_px: int, width_px: int, *, turns: bool = True) -> v2.Transform:
    """Return the augmentation of whole photos for an input of this size.

    Args:
        turns: Also by 90 degrees, where the input is square.
    """
    return v2.Compose(
        [
            *flips_and_rotations(turns=turns and height_px == width_px),
            v2.ScaleJitter((height_px, width_px), SCALE_RANGE, antialias=False),
            v2.RandomCrop((height_px, width_px), pad_if_needed=True, fill=PAD_VALUE),
            photometric_jitter(),
        ]
    )


def flips_and_rotations(*, turns: bool) -> list[v2.Transform]:
    """Return the flips, and the quarter turns where the picture may be turned."""
    flips: list[v2.Transform] = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    return [*flips, *([v2.RandomApply([Transpose()], p=0.5)] if turns else [])]


def photometric_jitter() -> v2.Transform:
    """Return a change of brightness and contrast, for every other picture."""
    return v2.RandomApply(
        [v2.ColorJitter(PHOTOMETRIC_JITTER, PHOTOMETRIC_JITTER)], p=0.5
    )


class TrainingPhotos(Dataset[tuple[Tensor, BoxTarget]]):
    """Photos of a split, decoded, letterboxed and augmented.

    Args:
        pastes: Put defects of other photos onto some, most often onto good parts.
        turns: Photos and pasted defects are also turned by 90 degrees.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        height_px: int,
        width_px: int,
        *,
        pastes: bool = False,
        turns: bool = True,
    ) -> None:
        self.photos, self.turns = list(photos), turns
        self._size = (height_px, width_px)
        self._augment = augmentation(height_px, width_px, turns=turns)
        room = len(self.photos) * height_px * width_px * 3
        self._cache: dict[int, Frame] | None = {} if room < CACHE_MAX_BYTES else None
        labels = [photo.labels for photo in self.photos] if pastes else []
        self._bank = DefectBank(labels, self._read_with_boxes, turns=turns)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, BoxTarget]:
        """Return one augmented photo.

        Returns:
            ``[3, H, W]`` uint8 BGR and the boxes that are still half visible.
        """
        return augmented(*self.unaugmented(index), self._augment)

    def unaugmented(self, index: int) -> tuple[Frame, Boxes, IntArray]:
        """Return one photo at the input's scale, pasted defects included.

        Returns:
            ``[H, W, 3]`` uint8 BGR without padding; boxes ``[G, 4]`` float32, xyxy, in
            its pixels; labels ``[G]`` int64.
        """
        content, boxes = self._read_with_boxes(index)
        labels = self.photos[index].labels
        share = PASTED_GOOD if self.photos[index].is_good else PASTED_DEFECTIVE
        if self._bank and float(torch.rand(())) < share:
            rng = np.random.default_rng(int(torch.randint(1 << 31, ())))
            return paste_defects(content, boxes, labels, self._bank, rng)
        return content, boxes, labels

    def _read_with_boxes(self, index: int) -> tuple[Frame, Boxes]:
        """Return the letterboxed picture and its boxes at the same scale."""
        photo, picture = self.photos[index], self._read(index)
        height, width = picture.shape[:2]
        scale = min(height / photo.height_px, width / photo.width_px)
        return picture, photo.boxes * np.float32(scale)

    def _read(self, index: int) -> Frame:
        """Return the letterboxed picture, from memory where there is room."""
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        picture, mapping = letterbox_image(read_photo(self.photos[index]), *self._size)
        height, width = mapping.content_size_px
        picture = np.ascontiguousarray(picture[:height, :width])
        if self._cache is not None:
            self._cache[index] = picture
        return picture


def augmented(
    content: Frame, boxes: Boxes, labels: IntArray, transform: v2.Transform
) -> tuple[Tensor, BoxTarget]:
    """Return a picture and its boxes after a transform of both.

    Args:
        boxes: ``[G, 4]`` float32, xyxy, pixels; they may reach over the edge.
        labels: ``[G]`` int64.

    Returns:
        ``[3, h, w]`` uint8 and the boxes that are still half visible.
    """
    image = tv_tensors.Image(torch.from_numpy(content).permute(2, 0, 1))
    unclipped = tv_tensors.BoundingBoxes(
        torch.from_numpy(boxes),
        format=tv_tensors.BoundingBoxFormat.XYXY,
        canvas_size=content.shape[:2],
        clamping_mode=None,  # not clipped, so that the visible share is known
    )
    picture, moved = (
        plain.as_subclass(Tensor) for plain in transform(image, unclipped)
    )
    kept = visible(moved, picture.shape[-2], picture.shape[-1])
    return picture, BoxTarget(moved[kept].clone(), torch.from_numpy(labels)[kept])


def visible(boxes: Tensor, height_px: int, width_px: int) -> Tensor:
    """Clip boxes to the picture, in place; return whether enough is left, ``[G]``.

    Args:
        boxes: ``[G, 4]`` float32, xyxy, pixels, not clipped yet; changed.
    """
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes[:, 0::2].clamp_(0, width_px)
    boxes[:, 1::2].clamp_(0, height_px)
    left = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return left > MIN_VISIBLE_SHARE * whole


class EpochSampler(Sampler[int]):
    """Every defective photo once, and a share of the good ones, shuffled.

    Attributes:
        epoch: Counted from 1 while training; decides the order together with the seed.
    """

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        self._bad = [i for i, photo in enumerate(photos) if not photo.is_good]
        self._good = [i for i, photo in enumerate(photos) if photo.is_good]
        self._good_count = min(
            len(self._good), max(1, len(self._bad) // PHOTOS_PER_GOOD)
        )
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of photos in an epoch."""
        return len(self._bad) + self._good_count

    def __iter__(self) -> Iterator[int]:
        """Yield positions; the same for the same seed and epoch."""
        yield from self.order()

    def order(self, turn: int = 0) -> list[int]:
        """Return positions; the same for the same seed, epoch and turn.

        Args:
            turn: Number of the order where an epoch needs several.
        """
        rng = np.random.default_rng([self._seed, self.epoch, *([turn] if turn else [])])
        good = rng.permutation(self._good)[: self._good_count]
        chosen = np.concatenate((self._bad, good)).astype(int)
        return [int(index) for index in rng.permutation(chosen)]


def collate(rows: list[tuple[Tensor, BoxTarget]]) -> Batch:
    """Return a batch, ``[N, 3, H, W]`` uint8 and N targets.

    Args:
        rows: ``[3, H, W]`` uint8 and target each.
    """
    return torch.stack([row[0] for row in rows]), [row[1] for row in rows]


def make_loader(
    photos: Dataset[Any],
    batches: Sampler[Any],
    workers: int,
    collate_fn: Callable[[list[Any]], Batch],
) -> DataLoader[Batch]:
    """Return a loader that gives one pass over ``batches`` each time.

    Args:
        batches: Yields the indices of each batch.
        workers: Processes that augment; 0 = this one.
        collate_fn: Makes a batch of items of ``photos``.
    """
    return DataLoader(
        photos,
        batch_sampler=batches,
        collate_fn=collate_fn,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
