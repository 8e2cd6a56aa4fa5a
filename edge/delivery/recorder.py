"""Writes decisions to the disk: evidence first, then the event. One thread.

The pipeline queues decisions and continues with the next frame: pictures are encoded
and written here. The queue is bounded; when defects arrive faster than the disk can
write them, the pipeline waits: a triggered camera is then slowed down, a free-running
one drops frames, and no alert is lost. An alert counts as raised when it is committed.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.counters import CameraCounters
from edge.delivery.evidence import EvidenceStore
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.frame import ScoreMap
from edge.rules.alert_message import (
    AlertPictures,
    FrameContext,
    StationIdentity,
    build_alert,
    build_verdict,
)
from models.detections import Detections
from models.messages import ModelInForce, VerdictKind
from models.preprocess import Frame
from models.topics import StationTopics

if TYPE_CHECKING:
    from concurrent.futures import Future

logger = logging.getLogger(__name__)

QUEUE_DECISIONS = 8  # at most 50 MB of frames in memory in full HD
POLL_S = 0.5
COMMIT_POLL_S = 0.02  # while events wait for their commit


@dataclass(frozen=True, slots=True)
class Decision:
    """The pipeline's decision on one frame.

    Attributes:
        counters: Counters of the frame's camera.
        model: Description of the model that inspected the frame.
        label_names: Names of the model's labels.
        detections: None if the frame was not inspected.
        pixels: ``[H, W, 3]`` uint8 BGR, a copy; None if there is no alert.
        is_part: A verdict is due.
        reason: Why it was not inspected.
        regions: Name of the region of each detection; empty = no regions.
        suppressed: Alerts that were suppressed before each; empty = no alert was.
        verdict: Verdict of a counted part; None = it follows from the detections.
        heat_map: ``[h, w]`` uint8, scores of the label ``unknown`` over the frame.
        unknown: That label; None = the model has none.
    """

    frame: FrameContext
    counters: CameraCounters
    model: ModelInForce
    label_names: tuple[str, ...]
    detections: Detections | None
    pixels: Frame | None
    is_part: bool
    reason: str = ""
    regions: tuple[str, ...] = ()
    suppressed: tuple[int, ...] = ()
    verdict: VerdictKind | None = None
    heat_map: ScoreMap | None = None
    unknown: int | None = None


class DecisionRecorder:
    """Writes decisions, in the order in which they were made.

    Args:
        evidence: Where pictures go.
        outbox: Where events go.
        topics: MQTT topics of this station.
        boot_id: New at each start of the daemon.
        is_clock_synchronized: Returns whether the wall clock can be trusted.
        on_inspected: Called with camera and digest of a picture in a watched folder,
            when its verdict is committed.

    Attributes:
        unwritten: Events that could be kept neither on the disk nor in memory.
        turns: Grows while its thread lives.
    """

    def __init__(
        self,
        evidence: EvidenceStore,
        outbox: Outbox,
        topics: StationTopics,
        boot_id: str,
        is_clock_synchronized: Callable[[], bool],
        on_inspected: Callable[[str, str], None] | None = None,
    ) -> None:
        self.unwritten = 0
        self.turns = 0
        self._evidence, self._outbox = evidence, outbox
        self._topics, self._boot_id = topics, boot_id
        self._is_clock_synchronized = is_clock_synchronized
        self._on_inspected = on_inspected
        self._queue: queue.Queue[Decision] = queue.Queue(QUEUE_DECISIONS)
        # With the counters of an alert's camera, or the frame of a verdict.
        self._uncommitted: deque[tuple[Future[int], CameraCounters | FrameContext]] = (
            deque()
        )
        self._is_without_evidence = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    @property
    def fault(self) -> str:
        """What is wrong with the disk; empty: nothing."""
        if self._outbox.fault:
            return self._outbox.fault
        return "evidence not writable" if self._is_without_evidence else ""

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def record(self, decision: Decision) -> None:
        """Queue a decision; waits only while the queue is full."""
        while not self._stop.is_set():
            try:
                self._queue.put(decision, timeout=POLL_S)
            except queue.Full:
                logger.warning("recorder_slow queue=%d", QUEUE_DECISIONS)
            else:
                return

    def close(self, timeout_s: float) -> bool:
        """Write the queued decisions, then stop.

        Args:
            timeout_s: Longest wait.

        Returns:
            Whether everything is committed.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_idle and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=max(0.1, deadline - time.monotonic()))
        if not self.is_idle:
            self.unwritten += self._queue.unfinished_tasks + len(self._uncommitted)
            logger.error("recorder_stuck decisions=%d", self._queue.unfinished_tasks)
        return self.is_idle

    @property
    def is_idle(self) -> bool:
        """Whether every recorded decision is committed."""
        return self._queue.unfinished_tasks == 0 and not self._uncommitted

    def _run(self) -> None:
        while not self._stop.is_set():
            self.turns += 1
            self._count_commits()
            try:
                wait_s = COMMIT_POLL_S if self._uncommitted else POLL_S
                decision = self._queue.get(timeout=wait_s)
            except queue.Empty:
                continue
            try:
                self._write(decision)
            # The top of the thread: a bug with one decision must not stop the rest.
            except Exception:
                self.unwritten += 1
                logger.exception("decision_not_written frame=%s", decision.frame)
            self._queue.task_done()

    def _write(self, decision: Decision) -> None:
        """Write picture, alert and verdict of one decision."""
        frame, found = decision.frame, decision.detections
        station = StationIdentity(
            self._topics.site,
            self._topics.line,
            self._topics.station,
            self._boot_id,
            self._is_clock_synchronized(),
            decision.model,
        )
        if found is not None and decision.pixels is not None:
            self._raise_alerts(station, decision, found, decision.pixels)
        if decision.is_part:
            verdict = build_verdict(
                station, frame, found, reason=decision.reason, verdict=decision.verdict
            )
            topic = self._topics.camera(frame.camera, "verdict")
            future = self._outbox.put(EventKind.VERDICT, topic, verdict)
            self._uncommitted.append((future, frame))

    def _raise_alerts(
        self,
        station: StationIdentity,
        decision: Decision,
        found: Detections,
        pixels: Frame,
    ) -> None:
        """Write the evidence, then one alert for the part, or one for each defect."""
        frame = decision.frame
        part_id = frame.part_id if decision.is_part else None
        name = f"{frame.camera}/{part_id or f'frame-{frame.frame_id:08}'}"
        kept = self._evidence.save(pixels, found.boxes, name, decision.heat_map)
        self._is_without_evidence = kept.path is None
        topic = self._topics.camera(frame.camera, "alert")
        regions = decision.regions or ("",) * len(found)
        suppressed = decision.suppressed or (0,) * len(found)
        every = list(range(len(found)))
        groups = [every] if decision.is_part else [[index] for index in every]
        for indexes in groups:
            is_unknown = decision.unknown in found.labels[indexes]
            alert = build_alert(
                station,
                frame,
                found.select(np.array(indexes)),
                decision.label_names,
                pictures=AlertPictures(
                    kept.path,
                    kept.thumbnail_sha256,
                    kept.heat_map if is_unknown else None,
                ),
                regions=[regions[index] for index in indexes],
                suppressed=sum(suppressed[index] for index in indexes),
            )
            future = self._outbox.put(
                EventKind.ALERT, topic, alert, kept.thumbnail or None
            )
            self._uncommitted.append((future, decision.counters))

    def _count_commits(self) -> None:
        """Count committed events as raised; they are committed in order."""
        while self._uncommitted and self._uncommitted[0][0].done():
            future, subject = self._uncommitted.popleft()
            fault = future.exception()
            if fault is not None:
                self.unwritten += 1
                logger.error("event_lost reason=%s", fault)
            elif isinstance(subject, CameraCounters):
                subject.alerts += 1
            elif subject.picture and self._on_inspected:
                self._on_inspected(subject.camera, subject.picture)
