"""The frame path: frame, model, decision, and on to the next frame.

::

    camera ──slot──▶ turn ──▶ detect ──▶ decide ──▶ recorder ──▶ evidence, outbox
    (process)        fair     one model   k of n     (thread)
                     round    for all     or part

One thread does all of this for all cameras, and nothing here waits for the network.
A frame is looked at where the camera put it; it is copied only when it shows a defect.
"""

import logging
import time
from collections.abc import Sequence

from edge.cameras.slot import CameraFrame, Pixels
from edge.counters import LatencyHistogram
from edge.decision import FrameContext, verdict_kind
from edge.lane import Lane
from edge.model import LoadedModel
from edge.recorder import Decision, Recorder
from models.detections import Detections
from models.errors import PackageError

logger = logging.getLogger(__name__)


class Pipeline:
    """Inspects the frames of all cameras with one model.

    Args:
        model: The model to begin with.
        lanes: The cameras.
        recorder: Who writes decisions down.

    Attributes:
        model: The model in force.
        fault: Why it gives no answers; empty = it does.
        infer_latency: What a frame takes in the model.
        sheds_frames: Free-running cameras skip every second frame.
    """

    def __init__(
        self, model: LoadedModel, lanes: Sequence[Lane], recorder: Recorder
    ) -> None:
        self.model = model
        self.fault = ""
        self.infer_latency = LatencyHistogram()
        self.sheds_frames = False
        self._lanes = tuple(lanes)
        self._recorder = recorder

    def turn(self) -> int:
        """Inspect the newest frame of each camera that has one.

        No camera gets a second frame before every other had its first: a fast one
        cannot starve a slow one.

        Returns:
            Number of frames taken.
        """
        taken = 0
        for lane in self._lanes:
            frame = lane.camera.take()
            if frame is not None:
                taken += 1
                if not (self.sheds_frames and lane.sheds()):
                    self._inspect(lane, frame)
                lane.camera.release()
        return taken

    def _inspect(self, lane: Lane, frame: CameraFrame) -> None:
        """Decide one frame."""
        if frame.pixels is None:
            lane.counters.unreadable += 1
            self._decide(lane, frame, None, reason=frame.fault)
            return
        try:
            began_ns = time.monotonic_ns()
            found = self.model.detect(frame.pixels)
            self.infer_latency.record(time.monotonic_ns() - began_ns)
        except PackageError as exc:  # no answer is not the answer "ok"
            self._note_fault(str(exc))
            lane.counters.unreadable += 1
            self._decide(lane, frame, None, reason=exc.what)
            return
        self._note_fault("")
        if not lane.camera.is_whole():  # overwritten meanwhile: it showed two moments
            lane.counters.torn += 1
            return
        if not lane.camera.is_triggered:
            found = lane.confirm(found, frame.stamp, frame.pixels.shape[1])
        self._decide(lane, frame, found)

    def _note_fault(self, fault: str) -> None:
        """Remember what is wrong with the model; log it when it changes."""
        if fault != self.fault:
            self.fault = fault
            if fault:
                logger.error("model_failed reason=%r", fault)
            else:
                logger.info("model_recovered")

    def _decide(
        self,
        lane: Lane,
        frame: CameraFrame,
        found: Detections | None,
        reason: str = "",
    ) -> None:
        """Count the decision, and hand it over if it is worth a word."""
        decided_ns = time.monotonic_ns()
        is_part = lane.camera.is_triggered
        if found is not None:
            lane.counters.inspected_one(frame.stamp.captured_ns, decided_ns)
        if is_part:
            lane.counters.verdicts[verdict_kind(found)] += 1
        shows_defect = found is not None and len(found) > 0
        if is_part or shows_defect:
            decision = Decision(
                frame=_context(lane, frame, decided_ns),
                counters=lane.counters,
                model=self.model.in_force,
                label_names=self.model.labels,
                detections=found,
                pixels=_copy(frame.pixels) if shows_defect else None,
                is_part=is_part,
                reason=reason,
            )
            self._recorder.record(decision)


def _context(lane: Lane, frame: CameraFrame, decided_ns: int) -> FrameContext:
    """Return where and when a frame was taken, in the words of messages."""
    height, width = frame.pixels.shape[:2] if frame.pixels is not None else (0, 0)
    return FrameContext(
        camera=lane.camera.name,
        frame_id=frame.stamp.frame_id,
        part_id=frame.stamp.part_id,
        captured_ns=frame.stamp.captured_ns,
        captured_at=frame.captured_at,
        decided_ns=decided_ns,
        frame_width_px=width,
        frame_height_px=height,
    )


def _copy(pixels: Pixels | None) -> Pixels | None:
    """Return a picture that outlives the camera's slot."""
    return None if pixels is None else pixels.copy()
