"""The common motion is learned from matches, and given up when it is contradicted."""

import numpy as np

from edge.rules.motion import TRUST_MAX, CommonMotion
from models.boxes import FloatArray


def velocity(x: float, y: float = 0) -> FloatArray:
    return np.array([x, y], np.float32)


def learned(times: int, x: float = 40) -> CommonMotion:
    motion = CommonMotion()
    for _ in range(times):
        motion.update([velocity(x)])
    return motion


def test_first_motion_is_used_unchanged() -> None:
    motion = learned(1)
    assert motion.velocity is not None
    assert motion.velocity.tolist() == [40, 0]
    assert motion.trust == 1


def test_frame_in_which_nothing_moves_changes_nothing() -> None:
    motion = learned(2)
    motion.update([])
    assert (motion.trust, motion.velocity is None) == (2, False)


def test_median_ignores_one_false_match() -> None:
    motion = CommonMotion()
    motion.update([velocity(40), velocity(41), velocity(300, 90)])
    assert motion.velocity is not None
    assert motion.velocity.tolist() == [41, 0]


def test_trusted_motion_changes_less_with_one_frame() -> None:
    changes = []
    for times in (1, TRUST_MAX):
        motion = learned(times)
        motion.update([velocity(50)])
        assert motion.velocity is not None
        changes.append(float(motion.velocity[0]) - 40)
    assert changes[0] == 5
    assert changes[1] == 2


def test_trust_in_a_motion_is_bounded() -> None:
    assert learned(50).trust == TRUST_MAX


def test_unlike_motion_lowers_the_trust_and_keeps_the_velocity() -> None:
    motion = learned(TRUST_MAX)
    motion.update([velocity(-40)])
    assert motion.velocity is not None
    assert motion.velocity.tolist() == [40, 0]
    assert motion.trust == TRUST_MAX - 2


def test_motion_without_trust_is_discarded() -> None:
    motion = learned(TRUST_MAX)
    motion.contradict()
    motion.contradict()
    assert (motion.velocity, motion.trust) == (None, 0)
