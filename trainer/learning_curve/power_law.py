"""An error that falls with the number of photos: ``a + b * n ** -c``.

``a`` is the error that no number of photos removes, ``b`` what they remove, ``c`` how
fast. For each exponent of a grid the best ``a`` and ``b`` that are not negative have a
closed form; the exponent with the least weighted squares is used. So hundreds of
resamples are fitted at once, and no fit can diverge.

Source:
    Power laws of generalization: Hestness et al., arXiv:1712.00409; what is measured
    of many learning curves: Viering and Loog, arXiv:2103.10948; how many more data a
    detector needs: Mahmood et al., arXiv:2207.01725.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.1, 2.0, 76)  # steps of 4 %; never 0: more photos help


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """B curves, each through its own set of points."""

    floor: Numbers  # [B] error that stays with any number of photos
    scale: Numbers  # [B] error that photos remove, at the reference
    exponent: Numbers  # [B] how fast it falls
    reference: float  # number of photos that `scale` is for
    squares: Numbers  # [B] weighted squared distance of the points from the curve

    def at(self, photos: float) -> Numbers:
        """Return the error with so many photos, above 0; ``[B]``."""
        error: Numbers = (
            self.floor + self.scale * (photos / self.reference) ** -self.exponent
        )
        return error

    def photos_for(self, error: float) -> Numbers:
        """Return the photos that an error needs, infinity if unreachable; ``[B]``."""
        reachable = (self.floor < error) & (self.scale > 0)
        room = np.where(reachable, error - self.floor, 1.0)
        scale = np.where(reachable, self.scale, 1.0)
        needed = self.reference * (scale / room) ** (1 / self.exponent)
        flat = np.where(self.floor <= error, self.reference, np.inf)
        found: Numbers = np.where(reachable, needed, flat)
        return found


def fit(photos: Numbers, errors: Numbers, spread: Numbers) -> PowerLaws:
    """Return the curve with the least weighted squares for each set of points.

    Args:
        photos: ``[S]`` ascending, above 0; the last one is the reference.
        errors: ``[B, S]`` 0..1, B sets of points.
        spread: ``[S]`` standard deviation of each point, above 0.
    """
    weight = spread**-2
    x = (photos / photos[-1]) ** -EXPONENTS[:, None]  # [K, S]
    w, wx, wxx = weight.sum(), x @ weight, x**2 @ weight  # [], [K], [K]
    we, wee = errors @ weight, errors**2 @ weight  # [B]
    wxe = errors @ (x * weight).T  # [B, K]
    scale = (w * wxe - wx * we[:, None]) / (w * wxx - wx**2)
    floor = (we[:, None] - scale * wx) / w
    # The optimum with both not negative lies inside, or on an edge: floor 0 or scale 0.
    inside = (scale >= 0) & (floor >= 0)
    zero = np.zeros_like(scale)
    mean = np.broadcast_to((we / w)[:, None], scale.shape)
    floors = np.stack((np.where(inside, floor, mean), zero, mean))  # [3, B, K]
    scales = np.stack((np.where(inside, scale, zero), wxe / wxx, zero))
    squares = (
        wee[:, None]
        - 2 * floors * we[:, None]
        - 2 * scales * wxe
        + floors**2 * w
        + 2 * floors * scales * wx
        + scales**2 * wxx
    )
    count = len(errors)
    best = squares.transpose(1, 0, 2).reshape(count, -1).argmin(axis=1)
    kind, step = np.divmod(best, len(EXPONENTS))
    row = np.arange(count)
    return PowerLaws(
        floors[kind, row, step],
        scales[kind, row, step],
        EXPONENTS[step],
        float(photos[-1]),
        squares[kind, row, step].clip(0),
    )
