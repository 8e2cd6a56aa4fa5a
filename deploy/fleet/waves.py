"""Which line PCs are flashed next: one, then a quarter, then the rest. Pure.

A wave starts only after the one before it has put the package in force on all PCs that
it needs: PCs that are off or outside of their window do not count, others take their
place. A PC that failed is tried again alone, before any other.

Source:
    Staged rollouts; ``serial: [1, "25%", "100%"]`` with ``max_fail_percentage: 0`` in
    an Ansible playbook.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

FIRST_WAVE = 1
SECOND_WAVE_SHARE = 4  # a quarter


class PcOutcome(StrEnum):
    """How far a package came on one PC."""

    STARTED = "started"  # and no result: the workstation was interrupted
    GOOD = "good"  # in force and proven
    BAD = "bad"  # refused or rolled back
    UNKNOWN = "unknown"  # the PC could not be reached


@dataclass(frozen=True, slots=True)
class Wave:
    """The PCs that may be flashed at the same time.

    Attributes:
        number: 1 for the first PC, 2 for a quarter of all, 3 for the rest.
        names: PCs in the order of the inventory.
    """

    number: int
    names: tuple[str, ...]


# Which of the PCs without the package come first.
ORDER = {PcOutcome.BAD: 0, PcOutcome.STARTED: 1, None: 2, PcOutcome.UNKNOWN: 2}


def next_wave(
    names: Sequence[str],
    outcomes: Mapping[str, PcOutcome],
    left_out: Collection[str] = (),
) -> Wave | None:
    """Return the next wave; None if no PC is left.

    Args:
        names: All PCs, each once, in the order of the inventory.
        outcomes: What is known of this package; a PC that is missing was not tried.
        left_out: PCs that are not tried now.
    """
    waiting = [
        name
        for name in names
        if outcomes.get(name) is not PcOutcome.GOOD and name not in left_out
    ]
    waiting.sort(key=lambda name: ORDER[outcomes.get(name)])
    if not waiting:
        return None
    good = sum(outcomes.get(name) is PcOutcome.GOOD for name in names)
    number, size = _wave_after(good, len(names))
    if outcomes.get(waiting[0]) is PcOutcome.BAD:
        size = FIRST_WAVE
    return Wave(number, tuple(waiting[:size]))


def plan_waves(
    names: Sequence[str],
    outcomes: Mapping[str, PcOutcome],
    left_out: Collection[str] = (),
) -> list[Wave]:
    """Return all waves that follow if no PC fails; see ``next_wave``."""
    waves, known = [], dict(outcomes)
    while wave := next_wave(names, known, left_out):
        waves.append(wave)
        known |= dict.fromkeys(wave.names, PcOutcome.GOOD)
    return waves


def wave_ends(count: int) -> tuple[int, int, int]:
    """Return how many PCs have the package after each wave.

    Args:
        count: Number of all PCs.

    >>> wave_ends(20)
    (1, 6, 20)
    """
    quarter = -(-count // SECOND_WAVE_SHARE)
    return min(FIRST_WAVE, count), min(FIRST_WAVE + quarter, count), count


def _wave_after(good: int, count: int) -> tuple[int, int]:
    """Return number and size of the wave after so many good PCs."""
    for number, end in enumerate(wave_ends(count), 1):
        if good < end:
            return number, end - good
    return len(wave_ends(count)), 0
