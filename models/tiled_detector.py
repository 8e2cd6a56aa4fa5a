"""Runs a graph on a large picture tile by tile, with the interface of any detector.

Its input is the whole picture and its output the outputs of all tiles side by side. Its
callers, the daemon's queue included, do not handle tiles: only
``models.detector.decode_output`` does.
"""

from collections.abc import Callable, Sequence

import numpy as np

from models.boxes import FloatArray
from models.detector import Detector
from models.errors import PackageError
from models.inference import Inference, ParallelDetector
from models.preprocess import Frame
from models.tiles import Tiles


class TiledDetector:
    """Runs the tiles of a picture one after the other.

    Args:
        inner: The graph; its input has a tile's size.
        tiles: How a picture is cut.
    """

    def __init__(self, inner: Detector, tiles: Tiles) -> None:
        if inner.input_size_px != (tiles.tile_height_px, tiles.tile_width_px):
            msg = f"a graph of {inner.input_size_px} px does not fit {tiles}"
            raise ValueError(msg)
        self._inner, self.tiles = inner, tiles
        self.input_size_px: tuple[int, int] = tiles.picture_size_px

    def infer(self, image: Frame) -> FloatArray:
        """Run the graph on every tile; see ``models.detector.Detector.infer``.

        Returns:
            ``[4 + C, count * A]`` float32, boxes in pixels of their tile.
        """
        corners = self.tiles.corners()
        outputs = [self._inner.infer(self.tiles.cut(image, at)) for at in corners]
        return np.concatenate(outputs, axis=1)


class ParallelTiledDetector(TiledDetector):
    """Runs the tiles of a picture at the same time, if the runtime has the streams."""

    def __init__(self, inner: Detector, tiles: Tiles) -> None:
        super().__init__(inner, tiles)
        if not isinstance(inner, ParallelDetector):
            raise TypeError("the runtime runs one picture at a time")
        self._parallel: ParallelDetector = inner

    def open_request(self) -> "TiledRequest":
        """Return one more request, with one request of the graph for each tile."""
        count = self.tiles.count
        return TiledRequest(
            self.tiles, [self._parallel.open_request() for _ in range(count)]
        )


class TiledRequest:
    """One picture in flight; see ``models.inference.Inference``.

    All its tiles are queued at once: the runtime runs as many at the same time as it
    has streams.

    Args:
        tiles: How the picture is cut.
        inner: One request for each tile.
    """

    def __init__(self, tiles: Tiles, inner: Sequence[Inference]) -> None:
        self._tiles, self._inner = tiles, inner
        self.image: Frame = np.zeros((*tiles.picture_size_px, 3), np.uint8)

    @property
    def is_idle(self) -> bool:
        """See ``Inference.is_idle``."""
        return all(request.is_idle for request in self._inner)

    @property
    def is_done(self) -> bool:
        """See ``Inference.is_done``."""
        return all(request.is_done for request in self._inner)

    def start(self, when_done: Callable[[], None]) -> None:
        """Queue every tile; see ``Inference.start``.

        ``when_done`` is called once for each tile; the caller checks ``is_done``.
        """
        pairs = zip(self._inner, self._tiles.corners(), strict=True)
        for request, corner in pairs:
            np.copyto(request.image, self._tiles.cut(self.image, corner))
            request.start(when_done)

    def result(self) -> FloatArray:
        """Return the outputs side by side; see ``Inference.result``."""
        outputs, fault = [], None
        for request in self._inner:  # all of them: each must be idle afterwards
            try:
                outputs.append(request.result())
            except PackageError as error:
                fault = error
        if fault:
            raise fault
        return np.concatenate(outputs, axis=1)


def tiled(detector: Detector, tiles: Tiles | None) -> Detector:
    """Return a detector that runs a graph on each tile of a picture.

    Args:
        tiles: How a picture is cut; None = the detector itself is returned.

    Raises:
        ValueError: The graph's input does not have a tile's size.
    """
    if tiles is None:
        return detector
    if isinstance(detector, ParallelDetector):
        return ParallelTiledDetector(detector, tiles)
    return TiledDetector(detector, tiles)
