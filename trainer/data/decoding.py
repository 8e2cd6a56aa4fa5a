"""Threads that decode pictures, with a limit for the memory of all of them.

One picture of 400 million pixels takes some gigabytes; as many at once as there are
cores would take a hundred. Small pictures are decoded on every core, large ones one
after the other.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from models.files import read_regular
from models.picture_header import read_header
from models.pictures import PICTURE_MAX_BYTES
from models.value_types import PIXELS_MAX

RECHECK_S = 10.0  # a wait always has an end; a release wakes it at once


def decoding_threads() -> ThreadPoolExecutor:
    """Return a thread for each core."""
    return ThreadPoolExecutor(os.cpu_count() or 1)


class Budget:
    """An amount that threads share; one that asks for more than all of it waits.

    It then runs alone, as any largest picture does.

    Args:
        total: What may be used at the same time.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._changed = Condition()

    @contextmanager
    def held(self, amount: int) -> Iterator[None]:
        """Use an amount inside of the block; wait until it is free."""
        with self._changed:
            while self._used and self._used + amount > self._total:
                self._changed.wait(RECHECK_S)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


class DecodingBudget:
    """What the pictures that are decoded at the same time may take.

    Files and pixels are counted apart. A thread asks for its file first: the threads
    that have their pixels always come to an end.
    """

    def __init__(self) -> None:
        self._files = Budget(PICTURE_MAX_BYTES)
        self._pixels = Budget(PIXELS_MAX)

    @contextmanager
    def content_of(self, path: Path) -> Iterator[bytes]:
        """Yield the content of a picture file, to be decoded in the block.

        Raises:
            OSError: The file cannot be read, or is larger than ``PICTURE_MAX_BYTES``.
        """
        with self._files.held(min(path.stat().st_size, PICTURE_MAX_BYTES)):
            content = read_regular(path, PICTURE_MAX_BYTES)
            width, height = read_header(content).size_px or (0, 0)
            # More pixels than the limit are refused before they are decoded.
            with self._pixels.held(min(width * height, PIXELS_MAX)):
                yield content
