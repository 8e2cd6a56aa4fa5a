"""Fractal noise for drawn surfaces."""

import numpy as np

from trainer.data.synthetic.raster import Plane, resize


def standardize(plane: Plane) -> Plane:
    """Return the plane with mean 0 and deviation 1."""
    deviation = float(plane.std()) + 1e-6
    return ((plane - float(plane.mean())) / deviation).astype(np.float32)


def fractal(
    rng: np.random.Generator, size_px: int, *, octaves: int, first: int, decay: float
) -> Plane:
    """Return smooth noise of several octaves with mean 0 and deviation 1."""
    total: Plane = np.zeros((size_px, size_px), np.float32)
    weight, cells = 1.0, first
    for _ in range(octaves):
        cells = min(cells, size_px)
        coarse = rng.standard_normal((cells + 1, cells + 1), dtype=np.float32)
        total += weight * resize(coarse, size_px, size_px)
        weight, cells = weight * decay, cells * 2
    return standardize(total)
