"""The common motion of everything on a belt, learned from matched tracks. Pure."""

from dataclasses import dataclass

import numpy as np

from edge.rules.association import JITTER_PX
from models.boxes import FloatArray

# Bounds how slowly a trusted motion adapts, and how many contradictions discard it.
TRUST_MAX = 4
# Share of the common speed: a larger difference is another motion, or noise.
UNLIKE_SHARE = 0.75
CONTRADICTION_COST = 2  # discards a motion that is wrong about as often as right


@dataclass(slots=True)
class CommonMotion:
    """The common velocity of everything that moves."""

    velocity: FloatArray | None = None  # [2] pixels per frame; None while unknown
    trust: int = 0  # recent confirmations minus contradictions, 0 to `TRUST_MAX`

    def update(self, velocities: list[FloatArray]) -> None:
        """Learn from the velocities of what moved in one frame.

        Velocities that are wholly unlike the trusted motion do not change it, they
        only cost trust; without trust the motion is discarded. The higher the trust,
        the less one frame changes the velocity.
        """
        if not velocities:
            return
        # The median: one false match among several does not move it.
        measured = np.median(np.stack(velocities), axis=0)  # [2]
        known = measured if self.velocity is None else self.velocity
        if np.linalg.norm(measured - known) > max(
            JITTER_PX, UNLIKE_SHARE * float(np.linalg.norm(known))
        ):
            self.contradict()
            return
        # A box that jumps to another end of its defect resembles motion for one frame,
        # so a new measurement never gets more than half of the weight.
        share = 1 / (1 + max(1, self.trust))
        self.velocity = np.asarray(known + share * (measured - known), np.float32)
        self.trust = min(self.trust + 1, TRUST_MAX)

    def contradict(self) -> None:
        """Reduce the trust; discard the velocity when no trust is left."""
        self.trust -= CONTRADICTION_COST
        if self.trust <= 0:
            self.velocity, self.trust = None, 0
