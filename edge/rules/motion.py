"""The one motion of everything on a belt, learned from what was followed. Pure."""

from dataclasses import dataclass

import numpy as np

from edge.rules.association import JITTER_PX
from models.boxes import FloatArray

TRUST_MAX = 4
UNLIKE_SHARE = 0.75  # of the common velocity: beyond, it is another motion or none


@dataclass(slots=True)
class CommonMotion:
    """The common velocity of everything that moves.

    Attributes:
        velocity: ``[2]`` pixels per frame; none while unknown.
        trust: How often it was right of late.
    """

    velocity: FloatArray | None = None
    trust: int = 0

    def seen(self, velocities: list[FloatArray]) -> None:
        """Learn from what moved in one frame.

        What is wholly unlike the motion that was right so far does not bend it: it
        takes trust away, and a motion without trust is learned anew. The more often
        it was right, the less one frame bends it.
        """
        if not velocities:
            return
        fresh = np.median(np.stack(velocities), axis=0)  # [2]
        before = fresh if self.velocity is None else self.velocity
        if np.linalg.norm(fresh - before) > max(
            JITTER_PX, UNLIKE_SHARE * float(np.linalg.norm(before))
        ):
            self.contradicted()
            return
        # A box that jumps to another end of its defect looks like motion, for once.
        share = 1 / (1 + max(1, self.trust))
        self.velocity = np.asarray(before + share * (fresh - before), np.float32)
        self.trust = min(self.trust + 1, TRUST_MAX)

    def contradicted(self) -> None:
        """Forget it after having been wrong about as often as right."""
        self.trust -= 2
        if self.trust <= 0:
            self.velocity, self.trust = None, 0
