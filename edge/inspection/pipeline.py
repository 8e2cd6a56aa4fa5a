"""The frame path: frame, model, decision, and on to the next frame.

::

    camera ──slot──▶ turn ──▶ take off ──▶ land ──▶ decide ──▶ recorder ──▶ evidence,
    (process)        fair     one model    in       k of n     (thread)     outbox
                     round    for all      order    or part

One thread does all of this for all cameras, and nothing here waits for the network.
Inference runs beside it: as soon as an answer is there, the next frame takes off, and
only then is the answer decided. A frame never waits for a free place in the model: it
is taken, the newest, when there is one. Several frames of one camera are on their way
only where its frames cannot grow old meanwhile, or where it is alone.
"""

import logging
import select
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from edge.counters import LatencyHistogram
from edge.delivery.recorder import Decision, DecisionRecorder
from edge.frame import CameraFrame
from edge.inspection.camera_channel import CameraChannel, RuleResult
from edge.inspection.in_flight import (
    FrameBufferPool,
    InFlightFrame,
    InFlightQueues,
    WakeupEvent,
)
from edge.inspection.model import LoadedModel
from edge.rules.alert_message import FrameContext, verdict_kind
from edge.rules.part_counter import CountedPart
from models.errors import PackageError
from models.inference import Inference
from models.preprocess import letterbox_into

TORN = "the frame was overwritten while it was looked at"
logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.05


class Pipeline:
    """Inspects the frames of all cameras with one model.

    Args:
        model: The model to begin with.
        lanes: The cameras.
        recorder: Who writes decisions down.

    Attributes:
        model: The model in force; frames on their way keep the one they began with.
        fault: Why it gives no answers; empty = it does.
        lanes: The cameras; replaced as a whole, between two turns.
        hear: Takes commands that have arrived; called after a frame was taken and
            before it is known whose it is, so that none overtakes its command.
        infer_latency: What a frame takes in the model.
        sheds_frames: Free-running cameras skip every second frame.
    """

    def __init__(
        self,
        model: LoadedModel,
        lanes: Sequence[CameraChannel],
        recorder: DecisionRecorder,
    ) -> None:
        self.model = model
        self.fault = ""
        self.lanes = tuple(lanes)
        self.hear: Callable[[], None] = _hear_nothing
        self.infer_latency = LatencyHistogram()
        self.sheds_frames = False
        self._recorder = recorder
        self._first = 0  # the lane whose turn it is
        self._queues, self._copies, self._bell = (
            InFlightQueues(),
            FrameBufferPool(),
            WakeupEvent(),
        )

    @property
    def is_idle(self) -> bool:
        """Whether no frame is on its way."""
        return len(self._queues) == 0

    def turn(self) -> int:
        """Start the newest frame of each camera for which there is room, decide others.

        No camera gets a second frame before every other had its first: a fast one
        cannot starve a slow one.

        Returns:
            Number of frames taken or decided, whichever is more; 0 = nothing to do.
        """
        self._bell.silence()
        now_ns = time.monotonic_ns()
        taken = self._take_off()
        for lane in self.lanes:
            self._miss(lane, lane.overdue(now_ns))
        self._queues.land()
        decided = 0
        for flight in self._queues.landed():
            self._finish(flight)
            decided += 1
        return max(taken, decided)

    def wait(self, timeout_s: float) -> None:
        """Wait until an answer is there, or a frame for which there is room.

        Args:
            timeout_s: Longest wait.
        """
        bells = [self._bell.fd]
        if self._room() is not None:
            open_ = [lane.camera for lane in self.lanes if self._may_take_off(lane)]
            bells += [fd for camera in open_ if (fd := camera.wakeup_fd) is not None]
        select.select(bells, [], [], timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Decide what is on its way; take no more.

        Args:
            timeout_s: Longest wait.

        Returns:
            Whether nothing is on its way any more.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_idle and time.monotonic() < deadline:
            select.select([self._bell.fd], [], [], LOOK_AGAIN_S)
            self._bell.silence()
            self._queues.land()
            for flight in self._queues.landed():
                self._finish(flight)
        return self.is_idle

    def _take_off(self) -> int:
        """Start one frame of each camera, as far as there is room for them."""
        taken, count = 0, len(self.lanes)
        for position in range(self._first, self._first + count):
            lane = self.lanes[position % count]
            request = self._room()
            if request is None:
                self._first = position % count  # it is the first one next time
                break
            if not self._may_take_off(lane):
                continue
            frame = lane.camera.take_frame()
            if frame is not None:
                taken += 1
                self._admit(lane, frame, request)
        return taken

    def _admit(
        self, lane: CameraChannel, frame: CameraFrame, request: Inference
    ) -> None:
        """Start a frame if it is wanted, behind the parts that were missed before."""
        self.hear()
        missed, wanted = lane.admit(frame)
        self._miss(lane, missed)
        if wanted is None or (self.sheds_frames and lane.sheds()):
            lane.camera.release()
        else:
            self._start(lane, wanted, request)

    def _miss(self, lane: CameraChannel, parts: Iterable[CameraFrame]) -> None:
        """Have each part that nobody will inspect get its verdict, in its turn."""
        for part in parts:
            self._queues.add(InFlightFrame(lane, part, self.model, was_seen=False))

    def give_up(self, lane: CameraChannel, reason: str) -> None:
        """Give the parts that wait at a camera, or are in view, their verdicts now.

        Args:
            lane: Its camera; nothing of it is on its way any more.
            reason: Why they are not inspected.
        """
        if lane.triggers is not None:
            for part in lane.triggers.give_up(reason):
                flight = InFlightFrame(lane, part, self.model, was_seen=False)
                self._decide(flight, None, reason=part.fault)
        left = lane.finish()
        if left:
            self._judge(lane, left)

    def _room(self) -> Inference | None:
        """Return a request of the model that is idle."""
        requests = self.model.requests
        if not any(request.is_idle for request in requests):
            self._queues.land()
        return next((request for request in requests if request.is_idle), None)

    def _may_take_off(self, lane: CameraChannel) -> bool:
        """Return whether a camera may send one more frame on its way."""
        is_patient = lane.makes_parts or len(self.lanes) == 1
        return is_patient or self._queues.of(lane) == 0

    def _start(
        self, lane: CameraChannel, frame: CameraFrame, request: Inference
    ) -> None:
        """Copy one frame out of the slot, give the slot back, and start."""
        flight = InFlightFrame(lane, frame, self.model)
        if frame.pixels is not None:
            pixels = self._copies.copy(frame.pixels)
            if not lane.camera.is_whole():  # overwritten meanwhile: two moments in one
                lane.counters.torn += 1
                lane.camera.release()
                self._copies.give_back(pixels)
                if lane.makes_parts:
                    self._miss(lane, [replace(frame, pixels=None, fault=TORN)])
                return
            flight.frame = replace(frame, pixels=pixels)
        lane.camera.release()
        if flight.frame.pixels is not None:
            flight.box = letterbox_into(request.image, flight.frame.pixels)
            flight.request = request
            flight.started_ns = time.monotonic_ns()
            request.start(self._bell.ring)
        self._queues.add(flight)

    def _finish(self, flight: InFlightFrame) -> None:
        """Decide one frame that has landed."""
        lane, frame = flight.lane, flight.frame
        if frame.pixels is None:
            lane.counters.unreadable += flight.was_seen
            self._decide(flight, None, reason=frame.fault)
            return
        try:
            found = flight.found()
            self.infer_latency.record(flight.landed_ns - flight.started_ns)
        except PackageError as exc:  # no answer is not the answer "ok"
            self._note_fault(str(exc))
            lane.counters.unreadable += 1
            self._decide(flight, None, reason=exc.what)
        else:
            self._note_fault("")
            told = lane.decide(found, frame.stamp, frame.pixels, flight.model)
            if told.left:
                self._judge(lane, told.left)
            self._decide(flight, told)

    def _judge(self, lane: CameraChannel, part: CountedPart) -> None:
        """Hand over the verdict of a counted part."""
        lane.count_verdict(part.verdict, part.stamp)
        frame = CameraFrame(None, part.stamp)
        decision = Decision(
            frame=_context(lane, frame, time.monotonic_ns(), part.part_id),
            counters=lane.counters,
            model=self.model.in_force,
            label_names=self.model.labels,
            detections=None,
            pixels=None,
            is_part=True,
            reason=part.reason,
            verdict=part.verdict,
        )
        self._recorder.record(decision)

    def _note_fault(self, fault: str) -> None:
        """Remember what is wrong with the model; log it when it changes."""
        if fault != self.fault:
            self.fault = fault
            if fault:
                logger.error("model_failed reason=%r", fault)
            else:
                logger.info("model_recovered")

    def _decide(
        self, flight: InFlightFrame, told: RuleResult | None, reason: str = ""
    ) -> None:
        """Count the decision, and hand it over if it is worth a word."""
        lane, frame = flight.lane, flight.frame
        decided_ns = time.monotonic_ns()
        is_part = lane.makes_parts
        found = told.detections if told else None
        if found is not None:
            lane.counters.record_decision(frame.stamp.captured_ns, decided_ns)
        if is_part:
            lane.count_verdict(verdict_kind(found), frame.stamp)
        shows_defect = found is not None and len(found) > 0
        if not shows_defect:
            self._copies.give_back(frame.pixels)
        if is_part or shows_defect:
            decision = Decision(
                frame=_context(lane, frame, decided_ns, told.part_id if told else None),
                counters=lane.counters,
                model=flight.model.in_force,
                label_names=flight.model.labels,
                detections=found,
                pixels=frame.pixels if shows_defect else None,
                is_part=is_part,
                reason=reason,
                regions=told.regions if told else (),
                suppressed=told.suppressed if told else (),
            )
            self._recorder.record(decision)


def _hear_nothing() -> None:
    """Stand for commands where there are none."""


def _context(
    lane: CameraChannel, frame: CameraFrame, decided_ns: int, part_id: str | None
) -> FrameContext:
    """Return where and when a frame was taken, in the words of messages."""
    height, width = frame.pixels.shape[:2] if frame.pixels is not None else (0, 0)
    return FrameContext(
        camera=lane.camera.name,
        frame_id=frame.stamp.frame_id,
        part_id=part_id or frame.stamp.part_id,
        captured_ns=frame.stamp.captured_ns,
        captured_at=frame.captured_at,
        decided_ns=decided_ns,
        frame_width_px=width,
        frame_height_px=height,
    )
