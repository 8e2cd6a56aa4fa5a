import random

import numpy as np

from edge.backoff import Backoff
from edge.cameras.supervisor import PAUSE_MAX_S, PAUSE_MIN_S, PAUSE_PATIENT_S


def camera_pauses() -> Backoff:
    return Backoff(PAUSE_MIN_S, PAUSE_MAX_S, random.Random(0).random)


def test_pauses_grow_to_half_a_minute_and_tremble() -> None:
    pauses = camera_pauses()
    pauses_s = [pauses.next_s() for _ in range(12)]
    nominal_s = [min(PAUSE_MAX_S, 0.5 * 2**n) for n in range(12)]
    ratios = np.array(pauses_s) / nominal_s
    assert ((ratios >= 0.5) & (ratios <= 1.5)).all()
    assert ratios.std() > 0.1


def test_after_a_reset_the_pause_is_short_again() -> None:
    pauses = camera_pauses()
    for _ in range(9):
        pauses.next_s()
    pauses.reset()
    assert pauses.next_s() <= 0.75


def test_limited_pauses_stay_short_and_the_next_one_is_long() -> None:
    pauses = camera_pauses()
    limited = [pauses.next_s(PAUSE_PATIENT_S) for _ in range(20)]
    assert max(limited) <= 1.5
    assert pauses.next_s() > 10
