"""Looks at the frames of one camera, in its own process, before they are handed over.

The daemon's frame path pays nothing for it: a frame that must not be inspected comes
to it as one that could not be read, with the reason. Every frame gets a glance; every
n-th, every odd one, and every one after a fake or during its alarm gets a look.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from edge.cameras.health.appearance import Measurer, is_odd
from edge.cameras.health.baseline import Baseline, BaselineLearner
from edge.cameras.health.condition import (
    FAKE,
    Condition,
    QualityLimits,
    QualityRules,
    names_of,
)
from edge.frame import Pixels, Stamp
from models.files import write_atomically

SAVE_AGAIN_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class ImageQualityPlan:
    """How to look at the frames of one camera. Plain values.

    Attributes:
        every_n_frames: A look at each n-th frame; a part is always looked at.
        limits: From where on something is wrong.
        learn_looks: How many sound frames make a baseline.
        baseline_path: Where the baseline is kept; none = nothing is learned.
        baseline: What was learned before; none = it is learned now.
    """

    every_n_frames: int = 5
    limits: QualityLimits = field(default_factory=QualityLimits)
    learn_looks: int = 200
    baseline_path: Path | None = None
    baseline: Baseline | None = None


class ImageQualityMonitor:
    """The eye on one camera.

    Args:
        plan: How to look.
        is_triggered: Every frame is a part.
    """

    def __init__(self, plan: ImageQualityPlan, *, is_triggered: bool) -> None:
        self._plan = plan
        self._every = 1 if is_triggered else plan.every_n_frames
        self._measurer = Measurer()
        baseline = plan.baseline or _learned_meanwhile(plan.baseline_path)
        self._judge = QualityRules(plan.limits, baseline, is_triggered=is_triggered)
        learns = plan.baseline_path is not None and baseline is None
        self._learner = BaselineLearner(plan.learn_looks) if learns else None
        self._unsaved: Baseline | None = None
        self._save_again_ns = 0
        self._unlooked = 0
        self._is_fake = True  # of the frame before the first nothing is known

    @property
    def alarms(self) -> int:
        """What the camera suffers from now, as the slot has it."""
        unsaved = 0 if self._unsaved is None else Condition.UNSAVED
        return int(self._judge.alarms | unsaved)

    def fault_of(self, pixels: Pixels, stamp: Stamp) -> str:
        """Return why a frame must not be inspected; empty = it may be.

        Args:
            pixels: ``[H, W, 3]`` uint8 BGR; read only.
            stamp: When it was captured.
        """
        self._unlooked += 1
        is_doubtful = self._is_fake or self._judge.alarms & FAKE
        is_due = is_doubtful or self._unlooked >= self._every
        if not (is_due or is_odd(pixels)):
            return ""
        self._unlooked = 0
        seen = self._measurer.measure(pixels)
        fake = self._judge.look(seen, stamp.captured_ns)
        self._is_fake = bool(fake)
        if not fake and self._learner is not None:
            self._adopt(self._learner.add(seen))
        if self._unsaved is not None and stamp.captured_ns >= self._save_again_ns:
            self._save(self._unsaved, stamp.captured_ns)
        return ", ".join(names_of(fake))

    def _adopt(self, learned: Baseline | None) -> None:
        """Judge against a baseline that is complete, from now on."""
        if learned is not None:
            self._learner = None
            self._unsaved = learned
            self._judge.adopt(learned)

    def _save(self, baseline: Baseline, now_ns: int) -> None:
        """Write a baseline; a disk that takes nothing is tried again, and told."""
        path = self._plan.baseline_path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(baseline.as_document()).encode())
        except OSError:  # told as a condition of the camera
            self._save_again_ns = now_ns + SAVE_AGAIN_NS
        else:
            self._unsaved = None


def _learned_meanwhile(path: Path | None) -> Baseline | None:
    """Return what a process before this one has learned for the same daemon."""
    if path is None or not path.exists():
        return None
    from edge.cameras.health.baseline_file import read_baseline  # noqa: PLC0415 (pydantic)

    return read_baseline(path)
