"""What is wrong with a camera's pictures: rules on measured frames. Pure.

Two questions, two answers. *May this frame be inspected?* is asked of every frame that
is looked at: a picture that cannot show the part (frozen, black, white, covered, torn)
is **fake**, and nobody may say "ok" of it. *Is the camera ill?* is an alarm, and takes
its time both ways, so that one bad frame raises none and a flickering lamp raises one.

Without a baseline only what is wrong with any scene is judged; what is judged against
a baseline (covered, over-exposed, blurred, moved, dark, bright) needs one. Time comes
in with each frame.

Source:
    The effects and their size are measured in ``bench/camera_health.py``.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from edge.cameras.health.baseline import Background, Baseline
from edge.cameras.health.scene import Appearance, Scene, has_decoder_fill

# Grey levels: black has noise, white has none. Of 600 pictures of real boards, all
# but white between thin lines, the palest has 5.2, and an empty one 0.
BLACK_STD, WHITE_STD = 5.0, 2.0
FROZEN_LOOKS = 3  # identical ones after the first, however long they took
WINDOW_LOOKS = 9  # median over them: one odd part changes nothing
COVERED_SHARE = 0.25  # of the least contrast ever learned
COVERED_MIN_STD = 4.0  # a scene with less cannot be told from a cover
BLUR_ON, BLUR_OFF = 0.4, 0.55  # share of the least sharpness learned
MOVED_ON, MOVED_OFF = 0.45, 0.6  # likeness of the still background
SATURATED_MORE, SATURATED_OFF = 0.3, 0.15  # share of the frame above the most learned
SATURATED_FAKE = 0.8  # share of the frame: nothing is left to see
ALARM_LOOKS = 2  # one odd picture of a slow source is no alarm
EMPTIES_SLOWER = 2  # an alarm goes after so many times the time it took to come


class Condition(IntFlag):
    """What can be wrong; several at once. The numbers are known to the slot."""

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


NOTHING = Condition(0)
FAKE = Condition(31)  # frozen, black, white, covered, torn
_SPELLED = {
    Condition.OVEREXPOSED: "over-exposed",
    Condition.UNSAVED: "baseline-unsaved",
}


def names_of(conditions: int) -> tuple[str, ...]:
    """Return conditions in the words of messages, the worst first.

    Args:
        conditions: A set, as the number that is in the slot.

    >>> names_of(Condition.MOVED | Condition.BLACK)
    ('black', 'moved')
    """
    return tuple(
        _SPELLED.get(each, each.name.lower() if each.name else "")
        for each in Condition
        if each & conditions
    )


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """From where on something is wrong.

    Attributes:
        frozen_after_s: Identical frames for so long; 0 = never.
        black_below: Mean grey level of a flat frame; 0 = never.
        white_above: Mean grey level of a flat frame; 256 = never.
        brightness_tolerance: Share beyond what was learned.
        alarm_after_s: How long something must be wrong.
    """

    frozen_after_s: float = 5.0
    black_below: float = 12.0
    white_above: float = 250.0
    brightness_tolerance: float = 0.3
    alarm_after_s: float = 1.0


@dataclass(slots=True)
class Alarm:
    """Hysteresis of one condition: a vessel that fills while it is seen.

    It fills in the time that raises the alarm and empties in twice that time; in
    between nothing changes. What is seen in one of three looks raises it sooner or
    later, and it stays raised until there was peace for long enough.

    Attributes:
        is_on: Whether it is raised.
        level_s: How full the vessel is.
    """

    is_on: bool = False
    level_s: float = 0

    def update(
        self, elapsed_s: float, after_s: float, *, is_seen: bool, is_certain: bool
    ) -> None:
        """Take one look into account.

        Args:
            elapsed_s: Since the look before.
            after_s: How long it must be seen; above 0.
            is_seen: Whether it is seen now.
            is_certain: Being seen is enough.
        """
        step_s = min(elapsed_s, after_s / ALARM_LOOKS)  # parts may be hours apart
        if is_seen:
            self.level_s = after_s if is_certain else self.level_s + step_s
        else:
            self.level_s -= step_s / EMPTIES_SLOWER
        self.level_s = min(after_s, max(0.0, self.level_s))
        if self.level_s in {0.0, after_s}:
            self.is_on = self.level_s > 0


class QualityRules:
    """The rules for one camera.

    Args:
        limits: From where on something is wrong.
        baseline: What was learned at commissioning; none = only what is wrong with
            any scene is judged.
        is_triggered: Every frame is another part: identical ones are not frozen.

    Attributes:
        alarms: What the camera suffers from now.
    """

    def __init__(
        self, limits: QualityLimits, baseline: Baseline | None, *, is_triggered: bool
    ) -> None:
        self.alarms = NOTHING
        self._limits, self._is_triggered = limits, is_triggered
        self._each = {condition: Alarm() for condition in Condition}
        self._identical, self._identical_since_ns = 0, 0
        self._scene = Scene()
        self._last_ns = 0
        self._window: deque[tuple[float, float, float]] = deque(maxlen=WINDOW_LOOKS)
        self.adopt(baseline)

    def adopt(self, baseline: Baseline | None) -> None:
        """Judge against another baseline from now on.

        Args:
            baseline: What was learned; none = nothing.
        """
        self._baseline = baseline
        self._background = Background(baseline) if baseline else None
        if baseline is not None:
            floor = np.asarray(baseline.row_floor)
            self._scene = Scene(baseline.looks, floor, set(baseline.seams))

    def look(self, seen: Appearance, now_ns: int) -> Condition:
        """Return what makes this frame a fake; update the alarms.

        Args:
            seen: The frame, measured.
            now_ns: Monotonic clock of its capture.

        Returns:
            Nothing where the frame may be inspected.
        """
        elapsed_s = max(0, now_ns - self._last_ns) / 1e9 if self._last_ns else 0.0
        fake = self._fake(seen, now_ns)
        self._last_ns = now_ns
        ill = fake
        if not fake:
            if not self._is_triggered:  # where every picture is another part, what
                self._scene.add(seen)  # was before says nothing of what may come
            ill |= self._against_baseline(seen)
        else:  # nothing new can be said of what is not seen
            ill |= self.alarms & ~FAKE
        for condition, alarm in self._each.items():
            alarm.update(
                elapsed_s,
                self._limits.alarm_after_s,
                is_seen=bool(condition & ill),
                is_certain=condition is Condition.FROZEN,  # it took its time already
            )
        self.alarms = Condition(
            sum(condition for condition, alarm in self._each.items() if alarm.is_on)
        )
        return fake

    def _fake(self, seen: Appearance, now_ns: int) -> Condition:
        """Return why a frame cannot show the part."""
        limits = self._limits
        is_frozen = self._is_frozen(seen, now_ns)
        # A sensor at one of its limits may well repeat itself: that is not frozen.
        if seen.std < BLACK_STD and seen.mean < limits.black_below:
            return Condition.BLACK
        if seen.std < WHITE_STD and seen.mean > limits.white_above:
            return Condition.WHITE
        fake = Condition.FROZEN if is_frozen else NOTHING
        baseline = self._fitting(seen)
        if baseline is not None:
            much = max(SATURATED_FAKE, baseline.saturated_high + SATURATED_MORE)
            if seen.saturated > much:
                return fake | Condition.OVEREXPOSED
            if _is_covered(seen, baseline):
                return fake | Condition.COVERED
        if has_decoder_fill(seen) or self._scene.is_torn(seen):
            return fake | Condition.TORN
        return fake

    def _is_frozen(self, seen: Appearance, now_ns: int) -> bool:
        """Return whether the same picture came for too long."""
        if not seen.is_identical or self._is_triggered:
            self._identical = 0
            return False
        if self._identical == 0:
            self._identical_since_ns = self._last_ns
        self._identical += 1
        limit_s = self._limits.frozen_after_s
        is_long = now_ns - self._identical_since_ns >= limit_s * 1e9
        return limit_s > 0 and is_long and self._identical >= FROZEN_LOOKS

    def _fitting(self, seen: Appearance) -> Baseline | None:
        """Return the baseline, if it was learned in frames of this size."""
        baseline = self._baseline
        is_fitting = baseline is not None and baseline.size_px == seen.size_px
        return baseline if is_fitting else None

    def _against_baseline(self, seen: Appearance) -> Condition:
        """Return what differs from what was learned, over the last looks."""
        if self._baseline is None or self._background is None:
            return NOTHING
        baseline = self._fitting(seen)
        if baseline is None:
            self._window.clear()
            return Condition.RESIZED
        likeness = self._background.likeness(seen.scene)
        self._window.append((seen.mean, seen.sharpness, seen.saturated))
        mean, sharpness, saturated = np.median(self._window, axis=0)
        ill = NOTHING
        if saturated - baseline.saturated_high > self._level(
            Condition.OVEREXPOSED, SATURATED_MORE, SATURATED_OFF
        ):
            ill |= Condition.OVEREXPOSED
        if sharpness < baseline.sharpness_low * self._level(
            Condition.BLURRED, BLUR_ON, BLUR_OFF
        ):
            ill |= Condition.BLURRED
        if likeness < self._level(Condition.MOVED, MOVED_ON, MOVED_OFF):
            ill |= Condition.MOVED
        return ill | self._brightness(float(mean), baseline)

    def _brightness(self, mean: float, baseline: Baseline) -> Condition:
        """Return whether the light has drifted."""
        wide = self._limits.brightness_tolerance
        dark = self._level(Condition.DARK, wide, wide / 2)
        bright = self._level(Condition.BRIGHT, wide, wide / 2)
        if mean < baseline.mean_low * (1 - dark):
            return Condition.DARK
        if mean > baseline.mean_high * (1 + bright):
            return Condition.BRIGHT
        return NOTHING

    def _level(self, condition: Condition, on: float, off: float) -> float:
        """Return the limit: another one while the alarm is raised."""
        return off if self._each[condition].is_on else on


def _is_covered(seen: Appearance, baseline: Baseline) -> bool:
    """Return whether something stands so near that it has neither edge nor shade."""
    return (
        baseline.std_low >= COVERED_MIN_STD
        and seen.contrast < COVERED_SHARE * baseline.contrast_low
    )
