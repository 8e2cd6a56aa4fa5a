"""The frame path: frame, model, decision, and on to the next frame.

::

    camera ──buffer──▶ submit ──▶ collect ──▶ decide ──▶ recorder ──▶ evidence,
    (process)          fair       one model   rules in   (thread)     outbox
                       rounds     for all     order

One thread does all of this for all cameras, and nothing here waits for the network.
Inference runs in parallel: as soon as an output is available, the next frame is
submitted, and only then is the completed frame decided. A frame never waits for a free
request of the model: the newest one is taken when a request is free. Several frames of
one camera are in flight only if its frames do not become outdated (parts), or if it is
the only camera.
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
    InFlightQueue,
    WakeupEvent,
)
from edge.inspection.model import LoadedModel
from edge.inspection.trial import Trial, detect_again
from edge.rules.alert_message import FrameContext, verdict_kind
from edge.rules.part_counter import CountedPart
from models.detections import Detections
from models.errors import PackageError
from models.inference import Inference
from models.preprocess import letterbox_into

TORN = "the frame was overwritten while it was copied"
logger = logging.getLogger(__name__)

DRAIN_POLL_S = 0.05


class Pipeline:
    """Inspects the frames of all cameras with one model.

    Args:
        poll_commands: Executes the commands that have arrived. Called after a frame
            was taken and before it is assigned to a part, so that no frame overtakes
            its command.

    Attributes:
        model: The model in force; frames in flight keep the one they started with.
        fault: Why the model gives no output; empty = no fault.
        trial: The trial of another model; None = there is none.
        infer_latency: Durations of one frame in the model.
    """

    def __init__(
        self,
        model: LoadedModel,
        channels: Sequence[CameraChannel],
        recorder: DecisionRecorder,
        *,
        poll_commands: Callable[[], None] = lambda: None,
        sheds_frames: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model = model
        self.fault = ""
        self.trial: Trial | None = None
        self.channels = tuple(channels)
        self.infer_latency = LatencyHistogram()
        self._recorder = recorder
        self._poll_commands, self._sheds_frames = poll_commands, sheds_frames
        self._first = 0  # index of the channel that is served first
        self._in_flight, self._buffers = InFlightQueue(), FrameBufferPool()
        self._wakeup = WakeupEvent()

    def swap_model(self, model: LoadedModel) -> None:
        """Inspect with another model from the next frame on."""
        self.model = model

    def swap_channels(self, channels: Sequence[CameraChannel]) -> None:
        """Replace all channels; called between two rounds."""
        self.channels = tuple(channels)

    @property
    def is_idle(self) -> bool:
        """Whether no frame is in flight."""
        return len(self._in_flight) == 0

    def run_once(self) -> int:
        """Submit the newest frame of each camera, as requests are free; decide others.

        No camera submits a second frame before every other had a turn: a fast camera
        cannot starve a slow one.

        Returns:
            Number of frames taken or decided, whichever is more; 0 = nothing to do.
        """
        self._wakeup.clear()
        # Read before the frames are taken: a frame that arrives in time must count.
        now_ns = time.monotonic_ns()
        taken = self._submit_round()
        for channel in self.channels:
            self._append_missed(channel, channel.pop_overdue_parts(now_ns))
        return max(taken, self._decide_completed())

    def wait(self, timeout_s: float) -> None:
        """Wait for an output, or for a frame if a request is free."""
        fds = [self._wakeup.fd]
        if self._free_request() is not None:
            ready = [each.camera for each in self.channels if self._may_submit(each)]
            fds += [fd for camera in ready if (fd := camera.wakeup_fd) is not None]
        select.select(fds, [], [], timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Decide the frames in flight, take no more; return whether none is left."""
        deadline = time.monotonic() + timeout_s
        while not self.is_idle and time.monotonic() < deadline:
            select.select([self._wakeup.fd], [], [], DRAIN_POLL_S)
            self._wakeup.clear()
            self._decide_completed()
        return self.is_idle

    def abandon_parts(self, channel: CameraChannel, reason: str) -> None:
        """Record the verdicts of parts that wait for a frame, or are in view, now.

        Args:
            channel: Its camera; none of its frames is in flight any more.
        """
        for part in channel.abandon_parts(reason):
            in_flight = InFlightFrame(channel, part, self.model, is_captured=False)
            self._record(in_flight, None, reason=part.fault)
        finished = channel.finish_part()
        if finished:
            self._record_counted_part(channel, finished)

    def _submit_round(self) -> int:
        """Submit one frame of each camera while requests are free; return how many."""
        taken, count = 0, len(self.channels)
        for position in range(self._first, self._first + count):
            channel = self.channels[position % count]
            request = self._free_request()
            if request is None:
                self._first = position % count  # it is served first in the next round
                break
            if not self._may_submit(channel):
                continue
            frame = channel.camera.take_frame()
            if frame is not None:
                taken += 1
                self._admit(channel, frame, request)
        return taken

    def _admit(
        self, channel: CameraChannel, frame: CameraFrame, request: Inference
    ) -> None:
        """Submit a frame if it is to be inspected, behind the parts missed before."""
        self._poll_commands()
        if channel.wants_snapshot and frame.pixels is not None:
            channel.keep_snapshot(frame.pixels)
        missed, wanted = channel.assign_part(frame)
        self._append_missed(channel, missed)
        if wanted is None or (self._sheds_frames() and channel.should_skip()):
            channel.camera.release()
        else:
            self._submit(channel, wanted, request)

    def _append_missed(
        self, channel: CameraChannel, parts: Iterable[CameraFrame]
    ) -> None:
        """Queue missed parts, so that verdicts are recorded in the order of parts."""
        for part in parts:
            in_flight = InFlightFrame(channel, part, self.model, is_captured=False)
            self._in_flight.append(in_flight)

    def _free_request(self) -> Inference | None:
        """Return an idle request of the model; None = all are busy."""
        requests = self.model.requests
        if not any(request.is_idle for request in requests):
            self._in_flight.collect()
        return next((request for request in requests if request.is_idle), None)

    def _may_submit(self, channel: CameraChannel) -> bool:
        """Return whether a camera may have one more frame in flight."""
        # A part's frame does not become outdated, and a single camera takes no request
        # from another camera.
        is_patient = channel.inspects_parts or len(self.channels) == 1
        return is_patient or self._in_flight.count(channel) == 0

    def _submit(
        self, channel: CameraChannel, frame: CameraFrame, request: Inference
    ) -> None:
        """Start the inference of one frame, copy the frame, and release its buffer."""
        in_flight = InFlightFrame(channel, frame, self.model)
        if frame.pixels is None:
            channel.camera.release()
            self._in_flight.append(in_flight)
            return
        in_flight.letterbox = letterbox_into(request.image, frame.pixels)
        if not channel.camera.is_whole():  # overwritten meanwhile: mixed frames
            channel.camera.release()
            self._reject_torn(channel, frame)
            return
        in_flight.request = request
        in_flight.started_ns = time.monotonic_ns()
        request.start(self._wakeup.set)
        # Only now: the model does not wait for the copy, which the evidence needs.
        pixels = self._buffers.acquire_copy(frame.pixels)
        is_whole = channel.camera.is_whole()
        channel.camera.release()
        self._in_flight.append(in_flight)
        if is_whole:
            in_flight.frame = replace(frame, pixels=pixels)
        else:
            self._buffers.release(pixels)
            in_flight.is_dropped = True  # its request is busy until the result is read
            self._reject_torn(channel, frame)

    def _reject_torn(self, channel: CameraChannel, frame: CameraFrame) -> None:
        """Count a frame that the camera overwrote; its part is not inspected."""
        channel.counters.torn += 1
        if channel.inspects_parts:
            torn = replace(frame, pixels=None, fault=TORN)
            self._append_missed(channel, [torn])

    def _decide_completed(self) -> int:
        """Decide all completed frames; return how many."""
        self._in_flight.collect()
        decided = 0
        for in_flight in self._in_flight.pop_completed():
            self._decide(in_flight)
            decided += 1
        return decided

    def _decide(self, in_flight: InFlightFrame) -> None:
        """Apply the rules to one completed frame and record the result."""
        channel, frame = in_flight.channel, in_flight.frame
        if in_flight.is_dropped:
            return
        if frame.pixels is None:
            channel.counters.unreadable += in_flight.is_captured
            self._record(in_flight, None, reason=frame.fault)
            return
        try:
            detections = self._detections_of(in_flight)
        except PackageError as exc:  # no output is not the verdict "ok"
            self._set_fault(str(exc))
            channel.counters.unreadable += 1
            self._record(in_flight, None, reason=exc.what)
            return
        self._set_fault("")
        regions = channel.region_map(in_flight.model)
        if self.trial is not None:
            self.trial.add_decided(in_flight, detections, regions)
        result = channel.apply_rules(detections, frame.stamp, frame.pixels, regions)
        if result.finished_part:
            self._record_counted_part(channel, result.finished_part)
        self._record(in_flight, result)

    def _detections_of(self, in_flight: InFlightFrame) -> Detections:
        """Return the detections of a completed frame.

        Where a model in trial fails, the old one is put back and inspects the frame.

        Raises:
            PackageError: The model gave no output, or one that is not finite.
        """
        channel = in_flight.channel
        regions = channel.region_map(in_flight.model)
        try:
            detections = in_flight.decode(regions.lowest_thresholds)
        except PackageError as exc:
            base = self.trial.rescue(in_flight, exc) if self.trial else None
            if base is None:
                raise
            self.swap_model(base)
            in_flight.model, in_flight.output = base, None
            return detect_again(in_flight, base, channel.region_map(base))
        self.infer_latency.record(in_flight.completed_ns - in_flight.started_ns)
        return detections

    def _set_fault(self, fault: str) -> None:
        """Keep the model's fault; log it when it changes."""
        if fault != self.fault:
            self.fault = fault
            if fault:
                logger.error("model_failed reason=%r", fault)
            else:
                logger.info("model_recovered")

    def _record(
        self, in_flight: InFlightFrame, result: RuleResult | None, reason: str = ""
    ) -> None:
        """Count the decision; record it if it is a part or shows a defect."""
        channel, frame = in_flight.channel, in_flight.frame
        decided_ns = time.monotonic_ns()
        is_part = channel.inspects_parts
        detections = result.detections if result else None
        if detections is not None:
            channel.counters.record_decision(frame.stamp.captured_ns, decided_ns)
        if is_part:
            channel.count_verdict(verdict_kind(detections), frame.stamp)
        shows_defect = detections is not None and len(detections) > 0
        if not shows_defect:
            self._buffers.release(frame.pixels)
        if is_part or shows_defect:
            part_id = result.part_id if result else None
            decision = Decision(
                frame=_context(channel, frame, decided_ns, part_id),
                counters=channel.counters,
                model=in_flight.model.in_force,
                label_names=in_flight.model.labels,
                detections=detections,
                pixels=frame.pixels if shows_defect else None,
                is_part=is_part,
                reason=reason,
                regions=result.regions if result else (),
                suppressed=result.suppressed if result else (),
                heat_map=in_flight.heat_map(detections) if detections else None,
                unknown=in_flight.model.unknown,
            )
            self._recorder.record(decision)

    def _record_counted_part(self, channel: CameraChannel, part: CountedPart) -> None:
        channel.count_verdict(part.verdict, part.stamp)
        frame = CameraFrame(None, part.stamp)
        decision = Decision(
            frame=_context(channel, frame, time.monotonic_ns(), part.part_id),
            counters=channel.counters,
            model=self.model.in_force,
            label_names=self.model.labels,
            detections=None,
            pixels=None,
            is_part=True,
            reason=part.reason,
            verdict=part.verdict,
        )
        self._recorder.record(decision)


def _context(
    channel: CameraChannel, frame: CameraFrame, decided_ns: int, part_id: str | None
) -> FrameContext:
    height, width = frame.pixels.shape[:2] if frame.pixels is not None else (0, 0)
    return FrameContext(
        camera=channel.camera.name,
        frame_id=frame.stamp.frame_id,
        part_id=part_id or frame.stamp.part_id,
        captured_ns=frame.stamp.captured_ns,
        captured_at=frame.captured_at,
        decided_ns=decided_ns,
        frame_width_px=width,
        frame_height_px=height,
        picture=frame.stamp.picture,
    )
