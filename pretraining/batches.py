"""The numbered batches that a backbone is pretrained on.

Batch ``i`` of seed ``s`` is always the same, in whichever process and order it is
drawn, so that an interrupted training continues with the next batch.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pretraining.stream import draw_sample

# share of pictures that are drawn smaller and enlarged: the same defects, coarser
ENLARGED_SHARE = 0.4
LARGEST_SCALE = 2.2
SMALLEST_SCENE_PX = 80
CHUNK = 16  # batches that are submitted at once

# image [S, S, 3] BGR, boxes [G, 4] xyxy px, labels [G]
Sample = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """The settings that determine the pictures of a stream."""

    # sides of the square pictures; each batch has one of them
    sizes_px: tuple[int, ...]
    batch: int
    seed: int


def draw_scaled_sample(rng: np.random.Generator, size_px: int) -> Sample:
    """Return one picture, for a share of them enlarged from a smaller one.

    Args:
        size_px: Side of the picture, multiple of 32.
    """
    scale = 1.0
    if rng.random() < ENLARGED_SHARE:
        scale = min(rng.uniform(1.0, LARGEST_SCALE), size_px / SMALLEST_SCENE_PX)
    scene_px = round(size_px / scale)
    image, boxes, labels = draw_sample(rng, scene_px)
    if scene_px == size_px:
        return image, boxes, labels
    method = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    large = cv2.resize(image, (size_px, size_px), interpolation=method)
    boxes = (boxes * (size_px / scene_px)).astype(np.float32)
    return np.asarray(large, np.uint8), boxes, labels


def draw_batch(config: StreamConfig, number: int) -> list[Sample]:
    """Return one batch of a stream.

    Args:
        number: Position in the stream, from 0.

    Returns:
        ``config.batch`` pictures of one size; no box is below 4 px.
    """
    rng = np.random.default_rng([config.seed, number])
    size_px = int(rng.choice(config.sizes_px))
    return [draw_scaled_sample(rng, size_px) for _ in range(config.batch)]


def numbered_batches(
    config: StreamConfig, numbers: Sequence[int], workers: int, *, ahead: bool
) -> Iterator[list[Sample]]:
    """Yield batches in order, drawn by other processes.

    Args:
        ahead: Draw the next batches while these are used, for training on a GPU. On a
            CPU a training step takes three times as long beside another process, so
            there drawing and training take turns.

    Yields:
        One batch for each number.
    """
    spawn = multiprocessing.get_context("spawn")
    chunks = [numbers[i : i + CHUNK] for i in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(workers, spawn, _disable_opencv_threads) as pool:

        def submit(index: int) -> list[Future[list[Sample]]]:
            chunk = chunks[index] if index < len(chunks) else ()
            return [pool.submit(draw_batch, config, number) for number in chunk]

        submitted = submit(0)
        for index in range(len(chunks)):
            batches = [batch.result() for batch in submitted]
            submitted = submit(index + 1) if ahead else []
            yield from batches
            submitted = submitted or submit(index + 1)


def _disable_opencv_threads() -> None:
    cv2.setNumThreads(0)  # the processes use all cores already
