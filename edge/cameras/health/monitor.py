"""Image quality monitor of one camera, in its own process, before frames are published.

The daemon's frame path pays nothing for it: a frame that must not be inspected is
published as an unreadable one, with the reason. Every frame gets a quick check of a few
samples; every n-th, every one that fails the quick check, and every one after an
unusable frame or during its alarm is measured.
"""

import json
from pathlib import Path

from edge.cameras.health.appearance import Measurer, may_be_unusable
from edge.cameras.health.baseline import Baseline, BaselineLearner
from edge.cameras.health.condition import UNUSABLE, Condition, QualityRules, names_of
from edge.cameras.settings import CameraHealthSettings
from edge.frame import Pixels, Stamp
from models.files import PRIVATE_FILE, write_atomically

SAVE_RETRY_NS = 10_000_000_000


class ImageQualityMonitor:
    """Finds the frames of one camera that must not be inspected.

    Args:
        baseline: Learned before; None = it is learned now, if the settings name a file.
        is_triggered: Every frame is a part, so every frame is measured.
    """

    def __init__(
        self,
        settings: CameraHealthSettings,
        baseline: Baseline | None,
        *,
        is_triggered: bool,
    ) -> None:
        self._path = settings.baseline
        self._every = 1 if is_triggered else settings.every_n_frames
        self._measurer = Measurer()
        baseline = baseline or _read_again(self._path)
        self._rules = QualityRules(settings, baseline, is_triggered=is_triggered)
        learns = self._path is not None and baseline is None
        self._learner = BaselineLearner(settings.learn_frames) if learns else None
        self._unsaved: Baseline | None = None
        self._save_again_ns = 0
        self._unmeasured = 0  # frames since the last measured one
        self._was_unusable = True  # so that the first frame is measured

    @property
    def conditions(self) -> Condition:
        """The conditions of the camera whose alarm is raised."""
        is_unsaved = self._unsaved is not None
        return self._rules.conditions | (Condition.UNSAVED if is_unsaved else 0)

    def fault_of(self, pixels: Pixels, stamp: Stamp) -> str:
        """Return why a frame must not be inspected; empty = it may. It is only read."""
        self._unmeasured += 1
        is_suspect = self._was_unusable or self._rules.conditions & UNUSABLE
        is_due = is_suspect or self._unmeasured >= self._every
        if not (is_due or may_be_unusable(pixels)):
            return ""
        self._unmeasured = 0
        appearance = self._measurer.measure(pixels)
        unusable = self._rules.evaluate(appearance, stamp.captured_ns)
        self._was_unusable = bool(unusable)
        if not unusable and self._learner is not None:
            learned = self._learner.add(appearance)
            if learned is not None:
                self._learner, self._unsaved = None, learned
                self._rules.set_baseline(learned)
        if self._unsaved is not None and stamp.captured_ns >= self._save_again_ns:
            self._save(self._unsaved, stamp.captured_ns)
        return ", ".join(names_of(unusable))

    def _save(self, baseline: Baseline, now_ns: int) -> None:
        """Write a baseline; a failure is a condition of the camera, and retried."""
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                content = json.dumps(baseline.as_document()).encode()
                write_atomically(self._path, content, PRIVATE_FILE)
        except OSError:
            self._save_again_ns = now_ns + SAVE_RETRY_NS
        else:
            self._unsaved = None


def _read_again(path: Path | None) -> Baseline | None:
    """Return the baseline that an earlier process of the same daemon has learned."""
    if path is None or not path.exists():
        return None
    from edge.cameras.health.baseline_file import read_baseline  # noqa: PLC0415 (pydantic)

    return read_baseline(path)
