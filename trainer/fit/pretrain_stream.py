"""The numbered batches that a trunk is pretrained on.

Batch ``i`` of seed ``s`` is always the same, whoever draws it and in which order, so
that an interrupted training goes on where it was.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from trainer.data.synthetic.stream import sample

ENLARGED_SHARE = 0.4
"""Share of pictures that are drawn smaller and enlarged: the same defects, coarser."""
LARGEST_SCALE = 2.2
SMALLEST_SCENE_PX = 80
CHUNK = 16
"""Batches that are ordered at once."""

Row = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Image ``[S, S, 3]`` BGR, boxes ``[G, 4]`` xyxy px, labels ``[G]``."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What decides the pictures of a stream.

    Attributes:
        sizes_px: Sides of the square pictures; each batch has one of them.
        batch: Pictures in a batch.
        seed: Of everything.
    """

    sizes_px: tuple[int, ...]
    batch: int
    seed: int


def draw_row(rng: np.random.Generator, size_px: int) -> Row:
    """Return one picture, perhaps enlarged.

    Args:
        rng: Source of chance.
        size_px: Side of the picture, multiple of 32.
    """
    scale = 1.0
    if rng.random() < ENLARGED_SHARE:
        scale = min(rng.uniform(1.0, LARGEST_SCALE), size_px / SMALLEST_SCENE_PX)
    scene_px = round(size_px / scale)
    image, boxes, labels = sample(rng, scene_px)
    if scene_px == size_px:
        return image, boxes, labels
    method = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    large = cv2.resize(image, (size_px, size_px), interpolation=method)
    boxes = (boxes * (size_px / scene_px)).astype(np.float32)
    return np.asarray(large, np.uint8), boxes, labels


def draw_batch(lesson: Lesson, number: int) -> list[Row]:
    """Return one batch of a stream.

    Args:
        lesson: Which stream.
        number: Of the batch, from 0.

    Returns:
        ``lesson.batch`` pictures of one size; no box is below 4 px.
    """
    rng = np.random.default_rng([lesson.seed, number])
    size_px = int(rng.choice(lesson.sizes_px))
    return [draw_row(rng, size_px) for _ in range(lesson.batch)]


def numbered_batches(
    lesson: Lesson, numbers: Sequence[int], workers: int, *, ahead: bool
) -> Iterator[list[Row]]:
    """Yield batches in order, drawn by other processes.

    Args:
        lesson: Which stream.
        numbers: Of the batches.
        workers: Processes that draw.
        ahead: Draw the next ones while these are used: right beside a GPU. On a CPU
            training wants all cores to itself (it is three times slower beside
            another process), so there one waits for the other.

    Yields:
        One batch a number.
    """
    spawn = multiprocessing.get_context("spawn")
    chunks = [numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(workers, spawn, _one_thread) as pool:

        def order(index: int) -> list[Future[list[Row]]]:
            chunk = chunks[index] if index < len(chunks) else ()
            return [pool.submit(draw_batch, lesson, number) for number in chunk]

        ordered = order(0)
        for index in range(len(chunks)):
            batches = [batch.result() for batch in ordered]
            ordered = order(index + 1) if ahead else []
            yield from batches
            ordered = ordered or order(index + 1)


def _one_thread() -> None:
    """Keep OpenCV's own threads off: the workers are the threads."""
    cv2.setNumThreads(0)
