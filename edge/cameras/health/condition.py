"""Rules on measured frames: which are unusable, and when a camera is degraded. Pure.

There are two results. *Is this frame unusable?* is decided for every measured frame: a
picture that cannot show the part (frozen, black, white, covered, torn) is **unusable**,
and must not be inspected. *Is the camera degraded?* is an alarm with hysteresis, so
that one bad frame raises no alarm and a flickering lamp raises only one.

Without a baseline only conditions that are wrong in any scene are detected; covered,
over-exposed, blurred, moved, dark and bright need one. Time comes in with each frame.

Source:
    The effects and their size are measured in ``bench/camera_health.py``.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

import numpy as np

from edge.cameras.health.baseline import Background, Baseline
from edge.cameras.health.scene import Appearance, Scene, has_decoder_fill

# Standard deviation in grey levels. A frame is black only if it is darker than
# ``black_below`` and its standard deviation is below this; white only if it is brighter
# than ``white_above`` and its standard deviation is below this. A black frame has
# noise, a white one does not. Of 600 pictures of real boards, which are almost white
# between thin lines, the brightest has 5.2; an empty picture has 0.
BLACK_STD_MAX, WHITE_STD_MAX = 5.0, 2.0
FROZEN_FRAMES = 3  # identical frames after the first, at any frame rate
MEDIAN_FRAMES = 9  # one unusual part must not change the median
COVERED_SHARE = 0.25  # of the least contrast ever learned
COVERED_MIN_STD = 4.0  # a scene with less cannot be distinguished from a cover
BLUR_ON, BLUR_OFF = 0.4, 0.55  # share of the least sharpness learned
MOVED_ON, MOVED_OFF = 0.45, 0.6  # similarity of the still background
SATURATED_ON, SATURATED_OFF = 0.3, 0.15  # share of the frame above the most learned
SATURATED_UNUSABLE = 0.8  # share of the frame: nothing else can be seen
ALARM_FRAMES = 2  # one bad frame of a slow source raises no alarm
DRAIN_RATIO = 2  # an alarm clears after this multiple of ``alarm_after_s``


class Condition(IntFlag):
    """What can be wrong with a camera; several can apply at once.

    The values are written to the frame buffer.
    """

    FROZEN = 1
    BLACK = 2
    WHITE = 4
    COVERED = 8
    TORN = 16
    OVEREXPOSED = 32
    BLURRED = 64
    MOVED = 128
    DARK = 256
    BRIGHT = 512
    RESIZED = 1024
    UNSAVED = 2048  # the baseline is learned, and cannot be written


NO_CONDITION = Condition(0)
UNUSABLE = (
    Condition.FROZEN
    | Condition.BLACK
    | Condition.WHITE
    | Condition.COVERED
    | Condition.TORN
)
_SPELLED = {
    Condition.OVEREXPOSED: "over-exposed",
    Condition.UNSAVED: "baseline-unsaved",
}


def names_of(conditions: int) -> tuple[str, ...]:
    """Return the names of a set of conditions in messages, the worst first.

    >>> names_of(Condition.MOVED | Condition.BLACK)
    ('black', 'moved')
    """
    return tuple(
        _SPELLED.get(each, each.name.lower() if each.name else "")
        for each in Condition
        if each & conditions
    )


class QualityLimits(Protocol):
    """The fields of ``CameraHealthSettings`` that the rules read.

    It is a protocol because that class has a path, and these rules import no
    ``pathlib``.
    """

    @property
    def frozen_after_s(self) -> float:
        """Duration of identical frames."""

    @property
    def black_below(self) -> float:
        """Mean grey level of a flat frame."""

    @property
    def white_above(self) -> float:
        """Mean grey level of a flat frame."""

    @property
    def brightness_tolerance(self) -> float:
        """Share beyond the learned range."""

    @property
    def alarm_after_s(self) -> float:
        """Duration of a condition that raises its alarm."""


@dataclass(slots=True)
class Alarm:
    """Hysteresis of one condition: a leaky integrator of the time it is detected.

    The level rises to its maximum in the time that raises the alarm and falls to zero
    in twice that time; in between nothing changes. A condition in more than one of
    three frames raises it eventually.
    """

    is_on: bool = False
    level_s: float = 0  # 0 to the time that raises it

    def update(
        self, elapsed_s: float, after_s: float, *, is_detected: bool, is_certain: bool
    ) -> None:
        """Take one frame into account.

        Args:
            elapsed_s: Since the previous frame.
            after_s: How long the condition must be detected; above 0.
            is_certain: One detection raises the alarm.
        """
        step_s = min(elapsed_s, after_s / ALARM_FRAMES)  # parts may be hours apart
        if is_detected:
            self.level_s = after_s if is_certain else self.level_s + step_s
        else:
            self.level_s -= step_s / DRAIN_RATIO
        self.level_s = min(after_s, max(0.0, self.level_s))
        if self.level_s in {0.0, after_s}:
            self.is_on = self.level_s > 0


class QualityRules:
    """The rules for one camera.

    Args:
        baseline: None = only conditions that are wrong in any scene are detected.
        is_triggered: Every frame is another part: identical ones are not frozen.

    Attributes:
        conditions: Those whose alarm is raised.
    """

    def __init__(
        self, limits: QualityLimits, baseline: Baseline | None, *, is_triggered: bool
    ) -> None:
        self.conditions = NO_CONDITION
        self._limits, self._is_triggered = limits, is_triggered
        self._alarms = {condition: Alarm() for condition in Condition}
        self._identical, self._identical_since_ns = 0, 0
        self._scene = Scene()
        self._last_ns = 0
        # Mean, sharpness and saturation of the last frames.
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=MEDIAN_FRAMES)
        self.set_baseline(baseline)

    def set_baseline(self, baseline: Baseline | None) -> None:
        """Compare with another baseline from now on; None = with no baseline."""
        self._baseline = baseline
        self._background = Background(baseline) if baseline else None
        if baseline is not None:
            floor = np.asarray(baseline.row_floor)
            self._scene = Scene(baseline.looks, floor, set(baseline.seams))

    def evaluate(self, appearance: Appearance, now_ns: int) -> Condition:
        """Return why this frame is unusable, and update the alarms.

        Args:
            now_ns: Monotonic clock of its capture.

        Returns:
            ``NO_CONDITION`` where the frame may be inspected.
        """
        elapsed_s = max(0, now_ns - self._last_ns) / 1e9 if self._last_ns else 0.0
        unusable = self._unusable(appearance, now_ns)
        self._last_ns = now_ns
        detected = unusable
        if not unusable:
            # In triggered mode every picture shows another part: the next one may
            # differ from the earlier ones in any way.
            if not self._is_triggered:
                self._scene.add(appearance)
            detected |= self._deviations(appearance)
        else:  # an unusable frame shows nothing about the other conditions
            detected |= self.conditions & ~UNUSABLE
        for condition, alarm in self._alarms.items():
            alarm.update(
                elapsed_s,
                self._limits.alarm_after_s,
                is_detected=bool(condition & detected),
                is_certain=condition is Condition.FROZEN,  # has its own time limit
            )
        self.conditions = Condition(
            sum(condition for condition, alarm in self._alarms.items() if alarm.is_on)
        )
        return unusable

    def _unusable(self, appearance: Appearance, now_ns: int) -> Condition:
        """Return why a frame cannot show the part."""
        limits, std, mean = self._limits, appearance.std, appearance.mean
        is_frozen = self._is_frozen(appearance, now_ns)
        # A saturated or dark sensor may repeat a frame exactly: that is not frozen.
        if std < BLACK_STD_MAX and mean < limits.black_below:
            return Condition.BLACK
        if std < WHITE_STD_MAX and mean > limits.white_above:
            return Condition.WHITE
        unusable = Condition.FROZEN if is_frozen else NO_CONDITION
        baseline = self._baseline_of_size(appearance)
        if baseline is not None:
            most = max(SATURATED_UNUSABLE, baseline.saturated_high + SATURATED_ON)
            if appearance.saturated > most:
                return unusable | Condition.OVEREXPOSED
            if _is_covered(appearance, baseline):
                return unusable | Condition.COVERED
        if has_decoder_fill(appearance) or self._scene.is_torn(appearance):
            return unusable | Condition.TORN
        return unusable

    def _is_frozen(self, appearance: Appearance, now_ns: int) -> bool:
        """Return whether the frames have been identical for too long."""
        if not appearance.is_identical or self._is_triggered:
            self._identical = 0
            return False
        if self._identical == 0:
            self._identical_since_ns = self._last_ns
        self._identical += 1
        limit_s = self._limits.frozen_after_s
        is_long = now_ns - self._identical_since_ns >= limit_s * 1e9
        # Two frames of a slow source may be far apart in time: the time alone does not
        # prove that the source is frozen.
        return limit_s > 0 and is_long and self._identical >= FROZEN_FRAMES

    def _baseline_of_size(self, appearance: Appearance) -> Baseline | None:
        """Return the baseline, if it was learned from frames of this size."""
        baseline = self._baseline
        is_same = baseline is not None and baseline.size_px == appearance.size_px
        return baseline if is_same else None

    def _deviations(self, appearance: Appearance) -> Condition:
        """Return what differs from the baseline, in the median of the last frames."""
        if self._baseline is None or self._background is None:
            return NO_CONDITION
        baseline = self._baseline_of_size(appearance)
        if baseline is None:
            self._recent.clear()
            return Condition.RESIZED
        similarity = self._background.similarity(appearance.scene)
        self._recent.append(
            (appearance.mean, appearance.sharpness, appearance.saturated)
        )
        mean, sharpness, saturated = np.median(self._recent, axis=0)
        detected = NO_CONDITION
        if saturated - baseline.saturated_high > self._limit(
            Condition.OVEREXPOSED, SATURATED_ON, SATURATED_OFF
        ):
            detected |= Condition.OVEREXPOSED
        if sharpness < baseline.sharpness_low * self._limit(
            Condition.BLURRED, BLUR_ON, BLUR_OFF
        ):
            detected |= Condition.BLURRED
        if similarity < self._limit(Condition.MOVED, MOVED_ON, MOVED_OFF):
            detected |= Condition.MOVED
        return detected | self._brightness(float(mean), baseline)

    def _brightness(self, mean: float, baseline: Baseline) -> Condition:
        tolerance = self._limits.brightness_tolerance
        # Half the limit while the alarm is raised: a drift around the limit raises one
        # alarm.
        dark = self._limit(Condition.DARK, tolerance, tolerance / 2)
        bright = self._limit(Condition.BRIGHT, tolerance, tolerance / 2)
        if mean < baseline.mean_low * (1 - dark):
            return Condition.DARK
        if mean > baseline.mean_high * (1 + bright):
            return Condition.BRIGHT
        return NO_CONDITION

    def _limit(self, condition: Condition, on: float, off: float) -> float:
        """Return the limit that applies while the alarm is raised, or is not."""
        return off if self._alarms[condition].is_on else on


def _is_covered(appearance: Appearance, baseline: Baseline) -> bool:
    """Return whether the contrast is so low that an object must cover the lens."""
    return (
        baseline.std_low >= COVERED_MIN_STD
        and appearance.contrast < COVERED_SHARE * baseline.contrast_low
    )
