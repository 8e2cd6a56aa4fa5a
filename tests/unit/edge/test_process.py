import random

import numpy as np

from edge.cameras.process import PAUSE_MAX_S, Pause


def test_pauses_grow_to_half_a_minute_and_tremble() -> None:
    pause = Pause(random.Random(0))
    pauses_s = [pause.next_ns() / 1e9 for _ in range(12)]
    nominal_s = [min(PAUSE_MAX_S, 0.5 * 2**n) for n in range(12)]
    ratios = np.array(pauses_s) / nominal_s
    assert ((ratios >= 0.5) & (ratios <= 1.5)).all()
    assert ratios.std() > 0.1
    assert pause.failures == 12


def test_after_a_frame_the_pause_is_short_again() -> None:
    pause = Pause(random.Random(0))
    for _ in range(9):
        pause.next_ns()
    pause.reset()
    assert pause.next_ns() <= 0.75e9
