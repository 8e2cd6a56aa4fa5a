"""The comparison of a camera's rules with the model in force, kept up to date.

It is repeated when the model changes, when the first frame shows the camera's real
size, and while parts pass. A change is logged once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edge.inspection.model import LoadedModel
from edge.rules.coverage import (
    CameraRules,
    SilentRule,
    inspected_sides,
    silent_confirmation,
    silent_parts,
    silent_rules,
)
from edge.rules.fast_motion import FastMotion
from edge.rules.part_counter import PartCounter
from edge.rules.tracker import Tracker
from models.messages import ModelInForce

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RuleComparison:
    """The comparison of one camera."""

    rules: CameraRules
    reported: frozenset[str] = frozenset()  # silent rules that are in the log
    # what the silent rules below were determined for; None = not yet
    _compared: tuple[ModelInForce, tuple[int, int] | None] | None = None
    _silent: tuple[SilentRule, ...] = ()
    # while frames are inspected: the first figures stay while the cause is the same
    _while_inspecting: tuple[SilentRule, ...] = ()
    # the last certain value stays while the motion is not known
    _frames_to_cross: float | None = None

    def update(
        self,
        model: LoadedModel,
        frame_size_px: tuple[int, int] | None,
        tracker: Tracker,
        fast_motion: FastMotion,
        part_counter: PartCounter | None,
        *,
        confirmed: int,
    ) -> tuple[SilentRule, ...]:
        """Return the silent rules for a model.

        Args:
            frame_size_px: None before the first frame.
            tracker: Knows the common motion.
            part_counter: None where parts are not counted.
            confirmed: Defects that k of n has confirmed under these rules.
        """
        compared = (model.in_force, frame_size_px)
        if compared != self._compared:
            self._silent = silent_rules(self.rules, model.known, frame_size_px)
            self._compared = compared
        silent = self._silent
        if frame_size_px is not None:
            width_share, height_share = inspected_sides(self.rules)
            crossing = tracker.frames_to_cross(
                frame_size_px[0] * width_share, frame_size_px[1] * height_share
            )
            self._frames_to_cross = crossing or self._frames_to_cross
            now = silent_confirmation(
                self.rules,
                model.known,
                frame_size_px,
                frames_of_parts=part_counter.frames_of_parts if part_counter else (),
                frames_to_cross=self._frames_to_cross,
                step_share=fast_motion.step_share,
                has_confirmed=confirmed > 0,
            )
            if part_counter:
                now += silent_parts(self.rules, part_counter.count, confirmed)
            if _causes(now) != _causes(self._while_inspecting):
                self._while_inspecting = now
            silent += self._while_inspecting
        self._log(silent)
        return silent

    def _log(self, silent: Sequence[SilentRule]) -> None:
        current = frozenset(map(str, silent))
        for rule in sorted(current - self.reported):
            logger.warning("rule_is_silent rule=%r", rule)
        for rule in sorted(self.reported - current):
            logger.info("rule_is_not_silent rule=%r", rule)
        self.reported = current


def _causes(rules: Sequence[SilentRule]) -> list[str]:
    return [rule.cause for rule in rules]
