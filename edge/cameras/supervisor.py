"""Supervisor of one camera: its process, its deadline and its restarts.

The video library may hang or crash in native code. So it runs in a separate process,
which is killed when it misses its deadline, and which is started again after a pause
that grows with each failure. The pause ends early when a camera that did not answer
answers again, and it stays short if the attempt itself was a long wait for the camera.
"""

import contextlib
import logging
import multiprocessing
import os
import random
import select
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader, HeaderField
from edge.cameras.frame_publisher import FAULT_EXIT_CODE, CapturePlan
from edge.cameras.health.condition import names_of
from edge.cameras.health.damaged_share import reason_of
from edge.cameras.inspected_pictures import InspectedPictures
from edge.cameras.reachability import ReachabilityProbe
from edge.cameras.worker import REASON_SEPARATOR, run_camera
from edge.frame import CameraFrame
from models.backoff import Backoff
from models.errors import CameraError
from models.messages import CameraState

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

logger = logging.getLogger(__name__)

START_LIMIT_NS = 20_000_000_000  # Python and OpenCV on a machine that is very busy
PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 30.0
PAUSE_PATIENT_S = 1.0  # after an attempt that waited as long as it may
STOP_LIMIT_S = 2.0
DEATHS_TO_POISON = 2
OPENING = "opening"
OPEN_WITHOUT_FRAMES = (HeaderField.DAMAGED_PERCENT, HeaderField.IDLE)
DAMAGED = "damaged"  # name of the condition in messages


class CameraProcess:
    """One camera, as the daemon sees it. Used by one thread.

    Args:
        dice: For the jitter.
        pictures: Which pictures of a watched folder are left out.

    Attributes:
        reason: Why it is degraded or lost; empty while it is up.
        conditions: What the image quality monitor detected, while frames come.
        since_wall_ns: When the state was entered; wall clock.
        warning: Settings that the camera did not accept, while frames come.
        damage: Share of its frames that came damaged; empty while it is small.
    """

    def __init__(
        self,
        plan: CapturePlan,
        dice: random.Random | None = None,
        pictures: InspectedPictures | None = None,
    ) -> None:
        self.plan = plan
        self._pictures = pictures
        self.state = CameraState.DEGRADED
        self.reason = OPENING
        self.conditions: tuple[str, ...] = ()
        self.since_wall_ns = time.time_ns()
        self.restarts = 0
        self.warning = self.damage = ""
        # The random share keeps the cameras of one switch from reconnecting in step.
        chance = (dice or random.Random()).random  # noqa: S311 - no secret
        self._pause = Backoff(PAUSE_MIN_S, PAUSE_MAX_S, chance)
        self._process: BaseProcess | None = None
        self._terminating: list[BaseProcess] = []
        self._frame_buffer: FrameBuffer | None = None
        self._reader: FrameBufferReader | None = None
        self._probe = ReachabilityProbe(plan.source, plan.camera)
        self._start_at_ns = self._started_ns = 0
        self._is_enabled = False
        self._bit_depth = 0
        # Totals of the processes that have ended.
        self._captured_before, self._taken_before, self._damaged_before = 0, 0, 0
        self._suspect: tuple[int, int] = (-1, 0)  # frame, deaths while reading it

    @property
    def name(self) -> str:
        """Name of the camera."""
        return self.plan.camera

    @property
    def is_triggered(self) -> bool:
        """Whether every frame is a part."""
        return self.plan.source.kind.is_triggered

    @property
    def is_settled(self) -> bool:
        """Whether the first attempt to open it has succeeded or failed."""
        return self.reason != OPENING

    @property
    def is_open(self) -> bool:
        """Whether a network, USB or GigE camera is open; it may not deliver yet."""
        return bool(self._header(HeaderField.OPEN))

    @property
    def failures(self) -> int:
        """Starts that failed in a row without a frame in between."""
        return self._pause.failures

    @property
    def frames_captured(self) -> int:
        """Frames that the camera delivered since the daemon's start."""
        reader = self._reader
        return self._captured_before + (reader.frames_published if reader else 0)

    @property
    def frames_taken(self) -> int:
        """Frames that were taken out of the frame buffer since the daemon's start."""
        reader = self._reader
        return self._taken_before + (reader.frames_taken if reader else 0)

    @property
    def frames_dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        waiting = self._reader is not None and self._reader.has_frame
        return max(0, self.frames_captured - self.frames_taken - waiting)

    @property
    def frames_damaged(self) -> int:
        """Frames that came damaged, or not at all, and were not published."""
        return self._damaged_before + self._header(HeaderField.DAMAGED)

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process else None

    @property
    def wakeup_fd(self) -> int | None:
        """Descriptor that becomes readable when there is a frame."""
        return self._frame_buffer.published_fd if self._frame_buffer else None

    def enable(self) -> None:
        """Accept frames: the pipeline is ready to inspect them."""
        self._is_enabled = True
        if self._frame_buffer:
            self._frame_buffer.header[HeaderField.ENABLED] = 1

    def set_bit_depth(self, bit_depth: int | None) -> None:
        """Read pictures of more than 8 bits a channel as the model expects them.

        Args:
            bit_depth: Bits that hold data in them; None = they are refused.
        """
        self._bit_depth = bit_depth or 0
        if self._frame_buffer:
            self._frame_buffer.header[HeaderField.BIT_DEPTH] = self._bit_depth

    def take_frame(self) -> CameraFrame | None:
        """Return the newest frame, or None if there is no new one.

        It is valid until ``release``, the next ``take_frame`` or ``supervise``.
        """
        frame = self._reader.take_frame() if self._reader else None
        if frame is not None and self._frame_buffer is not None:
            self._pause.reset()
            self._probe.reset()
            self._note_quality()
            if self._pictures and (picture := frame.stamp.picture):
                self._pictures.note_taken(self.name, picture)
        return frame

    def is_whole(self) -> bool:
        """Return whether the frame last taken has not been overwritten."""
        return self._reader is not None and self._reader.is_whole()

    def release(self) -> None:
        """Give the frame's buffer back to the camera."""
        if self._reader:
            self._reader.release()

    def supervise(self, now_ns: int) -> None:
        """Start, check, kill and restart the process; returns at once.

        Args:
            now_ns: Monotonic clock.
        """
        self._reap()
        if self._process is None:
            if self._probe.has_returned:
                self._pause.reset()  # a second attempt, if needed, comes soon too
                self._start_at_ns = now_ns
            if self.state is not CameraState.ENDED and now_ns >= self._start_at_ns:
                self._start(now_ns)
            return
        exit_code = self._process.exitcode
        if exit_code == 0:
            if self._reader is None or not self._reader.has_frame:
                self._close(resumes=False)
                self._change(CameraState.ENDED, "")
        elif exit_code is not None:
            self._fail(self._exit_reason(exit_code), now_ns)
        elif now_ns > self._header(HeaderField.DEADLINE_NS):
            self._process.kill()
            self._fail("its process hung and was killed", now_ns)
        elif self._header(HeaderField.DAMAGED_PERCENT) or self._header(
            HeaderField.IDLE
        ):
            self._note_quality()  # there may be no frame to take

    def error(self) -> CameraError:
        """Return the reason as an error with what, why and fix."""
        what, _, rest = self.reason.partition(REASON_SEPARATOR)
        why, _, fix = rest.partition(REASON_SEPARATOR)
        if not what.startswith("camera "):
            what = f"camera {self.name}: {self.plan.source.redacted}: {what}."
        return CameraError(what, why=why, fix=fix or "Check the camera.")

    def terminate(self) -> None:
        """End the process for good; ``supervise`` reaps it."""
        self._probe.stop()
        if self._process is not None:
            self._process.kill()
            self._close(resumes=False)
        self._change(CameraState.ENDED, "")

    @property
    def is_terminated(self) -> bool:
        """Whether it has no process left, running or terminating."""
        return self._process is None and not self._terminating

    def stop(self) -> None:
        """End the process for good and wait until it has ended."""
        self._probe.stop()
        if self._process is not None:
            self._process.kill()
            self._close(resumes=False)
        deadline = time.monotonic() + STOP_LIMIT_S
        while self._terminating and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.005)

    def _note_quality(self) -> None:
        """Enter the state of a camera that is open, also where it has no frame now."""
        warning = self._frame_buffer.reason if self._frame_buffer else ""
        # Read after the reason: a process that fails writes it first.
        if not self._header(HeaderField.HAS_FAILED):
            self.warning = warning
        conditions = names_of(self._header(HeaderField.CONDITIONS))
        reasons = [*conditions, self.warning] if self.warning else [*conditions]
        percent = self._header(HeaderField.DAMAGED_PERCENT)
        self.damage = reason_of(percent) if percent else ""
        if self.damage:
            conditions = (DAMAGED, *conditions)
            reasons.insert(0, self.damage)
        state = CameraState.DEGRADED if conditions else CameraState.UP
        self._change(state, ", ".join(reasons), conditions)

    def _header(self, field: HeaderField) -> int:
        """Return a header field of the running process; 0 without one."""
        return int(self._frame_buffer.header[field]) if self._frame_buffer else 0

    def _start(self, now_ns: int) -> None:
        """Start a process with a new frame buffer."""
        self._probe.stop()
        self._started_ns = now_ns
        if self._pictures and self.plan.watches:
            self._pictures.load(self.name, Path(self.plan.source.address))
            inspected = self._pictures.known(self.name)
            self.plan = replace(self.plan, inspected=inspected)
        buffer = FrameBuffer.create()
        buffer.header[HeaderField.DEADLINE_NS] = now_ns + START_LIMIT_NS
        buffer.header[HeaderField.ENABLED] = self._is_enabled
        buffer.header[HeaderField.BIT_DEPTH] = self._bit_depth
        process = multiprocessing.get_context("spawn").Process(
            target=run_camera,
            args=(self.plan, buffer, os.getpid()),
            name=f"camera-{self.name}",
            daemon=True,
        )
        with _sigint_blocked():
            process.start()
        self._process, self._frame_buffer = process, buffer
        self._reader = FrameBufferReader(buffer)
        logger.debug("camera_started camera=%s pid=%s", self.name, process.pid)

    def _fail(self, reason: str, now_ns: int) -> None:
        """Handle a process that ended before its source did, and plan the next."""
        self._close(resumes=True)
        self.restarts += 1
        waited_ms = (now_ns - self._started_ns) / 1e6
        was_patient = waited_ms >= self.plan.open_timeout_ms
        # An attempt that waited for its whole timeout needs no long pause after it, and
        # the next one detects a camera that is back meanwhile immediately.
        at_most_s = PAUSE_PATIENT_S if was_patient else None
        pause_ns = round(self._pause.next_s(at_most_s=at_most_s) * 1e9)
        self._probe.start()
        self._start_at_ns = now_ns + pause_ns
        self._change(CameraState.LOST, reason)
        logger.debug("camera_restart camera=%s in_ms=%d", self.name, pause_ns / 1e6)

    def _close(self, *, resumes: bool) -> None:
        """Close the frame buffer and add its counts to the totals."""
        if self._process is None or self._frame_buffer is None or self._reader is None:
            return
        reader, taken = self._reader, self._reader.frames_taken
        # A part that was published but not taken is delivered again by the next start.
        captured = taken if self.is_triggered else reader.frames_published
        damaged = self._header(HeaderField.DAMAGED)
        if resumes:
            last_read = self._header(HeaderField.CURRENT_READ) - 1
            self._resume_after(captured + damaged, last_read)
        self._captured_before += captured
        self._taken_before += taken
        self._damaged_before += damaged
        self._terminating.append(self._process)
        self._frame_buffer.close()
        self._process = self._frame_buffer = self._reader = None

    def _resume_after(self, frames: int, last_read: int) -> None:
        """Plan the next start behind the frames that were delivered, or damaged.

        A live camera also counts frames from before it was enabled; the frame that it
        read last may have been published, so the next one gets a higher number.
        """
        first_frame_id = self.plan.first_frame_id + frames
        if not self.plan.source.kind.is_file:
            first_frame_id = max(first_frame_id, last_read + 1)
        suspect, deaths = self._suspect
        self._suspect = (last_read, deaths + 1 if last_read == suspect else 1)
        is_poisoned = self._suspect[1] >= DEATHS_TO_POISON and last_read >= 0
        self.plan = replace(
            self.plan,
            first_frame_id=first_frame_id,
            poisoned_frame_id=last_read if is_poisoned else None,
        )

    def _exit_reason(self, exit_code: int) -> str:
        """Return why the process ended."""
        reason = self._frame_buffer.reason if self._frame_buffer else ""
        if reason and exit_code == FAULT_EXIT_CODE:
            return reason
        if exit_code < 0:
            with contextlib.suppress(ValueError):  # a signal without a name
                return f"its process was ended by {signal.Signals(-exit_code).name}"
        return f"its process ended with {exit_code}"

    def _reap(self) -> None:
        """Close the killed processes that have ended."""
        for process in [p for p in self._terminating if p.exitcode is not None]:
            process.close()
            self._terminating.remove(process)

    def _change(
        self, state: CameraState, reason: str, conditions: tuple[str, ...] = ()
    ) -> None:
        """Enter a state, and log it if it or its reason is new."""
        if (state, reason) == (self.state, self.reason):
            return
        self.state, self.reason, self.conditions = state, reason, conditions
        self.since_wall_ns = time.time_ns()
        is_bad = state in {CameraState.LOST, CameraState.DEGRADED}
        level = logging.WARNING if is_bad else logging.INFO
        why = f" reason={' '.join(reason.split())!r}" if reason else ""
        logger.log(level, "camera_%s camera=%s%s", state.value, self.name, why)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT inside the block; a process that is started there never gets it.

    Ctrl-C in a terminal goes to every process of the group, but only the daemon
    handles it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for_frames(cameras: Sequence[CameraProcess], timeout_s: float) -> None:
    """Wait until one of the cameras has a frame, or the timeout is over."""
    fds = [fd for camera in cameras if (fd := camera.wakeup_fd) is not None]
    select.select(fds, [], [], timeout_s)
