"""Supervisor of one camera: its process, watched by deadline and started anew.

The video library may hang or crash in native code. So it runs in a process of its own,
which is killed when it does not come back by the time that it promised, and which is
started again after a pause that grows from half a second to half a minute. The pause
ends early when a camera that did not answer answers again, and it stays short where
the attempt itself was one long wait for the camera.
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
from typing import TYPE_CHECKING

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader, HeaderField
from edge.cameras.frame_publisher import FAULT_EXIT_CODE, CapturePlan
from edge.cameras.health.condition import names_of
from edge.cameras.reachability import Probe
from edge.cameras.worker import REASON_SEPARATOR, run_camera
from edge.frame import CameraFrame
from models.errors import CameraError
from models.messages import CameraState

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

logger = logging.getLogger(__name__)

START_LIMIT_NS = 20_000_000_000  # Python and OpenCV on a machine that is very busy
PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 30.0
PAUSE_PATIENT_S = 1.0  # after an attempt that waited as long as it may
JITTER = 0.5  # share of the pause: cameras of one switch do not come back in step
STOP_LIMIT_S = 2.0
DEATHS_TO_POISON = 2
OPENING = "opening"


class Pause:
    """The growing pause between two starts.

    Args:
        dice: Where the jitter comes from.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.failures = 0

    def next_ns(self, *, was_patient: bool = False) -> int:
        """Return the pause after one more failure.

        Args:
            was_patient: The attempt waited for the camera as long as it may: such
                attempts follow each other slowly by themselves, and the next one
                sees the camera at once when it comes back meanwhile.
        """
        longest_s = PAUSE_PATIENT_S if was_patient else PAUSE_MAX_S
        # beyond 2**10 it is over the maximum anyway
        pause_s: float = min(longest_s, PAUSE_MIN_S * 2 ** min(self.failures, 10))
        self.failures += 1
        return round(pause_s * self._dice.uniform(1 - JITTER, 1 + JITTER) * 1e9)

    def reset(self) -> None:
        """Forget the failures: there are frames."""
        self.failures = 0


class CameraProcess:
    """One camera, as the daemon sees it. Used by one thread.

    Args:
        plan: Source and limits.
        dice: For the jitter.

    Attributes:
        conditions: What it suffers from though frames come: why it is degraded.
    """

    def __init__(self, plan: CapturePlan, dice: random.Random | None = None) -> None:
        self.plan = plan
        self.state = CameraState.DEGRADED
        self.reason = OPENING
        self.conditions: tuple[str, ...] = ()
        self.since_wall_ns = time.time_ns()
        self.restarts = 0
        self.warning = ""  # what is not as it was wanted, though there are frames
        self._pause = Pause(dice or random.Random())  # noqa: S311 (jitter)
        self._process: BaseProcess | None = None
        self._dying: list[BaseProcess] = []
        self._slot: FrameBuffer | None = None
        self._reader: FrameBufferReader | None = None
        self._probe = Probe(plan.source, plan.camera)
        self._start_at_ns = self._started_ns = 0
        self._is_wanted = False
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
        """Whether it is known how it is: up, ill, lost or ended."""
        return self.reason != OPENING

    @property
    def failures(self) -> int:
        """Starts that failed in a row without a frame between."""
        return self._pause.failures

    @property
    def frames_captured(self) -> int:
        """Frames that the camera delivered since the daemon's start."""
        reader = self._reader
        return self._captured_before + (reader.frames_published if reader else 0)

    @property
    def frames_taken(self) -> int:
        """Frames that were taken out of the slot since the daemon's start."""
        reader = self._reader
        return self._taken_before + (reader.frames_taken if reader else 0)

    @property
    def frames_dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        waiting = self._reader is not None and self._reader.has_frame
        return max(0, self.frames_captured - self.frames_taken - waiting)

    @property
    def frames_damaged(self) -> int:
        """Frames that came damaged, or not at all, and were not handed over."""
        slot = self._slot
        return self._damaged_before + (
            int(slot.words[HeaderField.DAMAGED]) if slot else 0
        )

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process else None

    @property
    def bell_fd(self) -> int | None:
        """Descriptor that becomes readable when there is a frame."""
        return self._slot.published_fd if self._slot else None

    def admit_frames(self) -> None:
        """Let frames come: whoever inspects them is ready."""
        self._is_wanted = True
        if self._slot:
            self._slot.words[HeaderField.GO] = 1

    def take(self) -> CameraFrame | None:
        """Return the newest frame, or nothing if there is no new one.

        It is valid until ``release``, the next ``take`` or ``supervise``.
        """
        frame = self._reader.take() if self._reader else None
        if frame is not None and self._slot is not None:
            self._pause.reset()
            self._probe.forget()
            self.warning = self._slot.reason
            ill = names_of(int(self._slot.words[HeaderField.CONDITION]))
            state = CameraState.DEGRADED if ill else CameraState.UP
            told = ", ".join((*ill, self.warning) if self.warning else ill)
            self._change(state, told, ill)
        return frame

    def is_whole(self) -> bool:
        """Return whether the frame last taken is untouched."""
        return self._reader is not None and self._reader.is_whole()

    def release(self) -> None:
        """Give the frame back."""
        if self._reader:
            self._reader.release()

    def supervise(self, now_ns: int) -> None:
        """Start, watch, kill and start anew; returns at once.

        Args:
            now_ns: Monotonic clock.
        """
        self._bury()
        if self._process is None:
            if self._probe.is_back:
                self._pause.reset()  # if it needs a second try, that comes soon too
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
            self._fail(self._reason(exit_code), now_ns)
        elif self._slot and now_ns > self._slot.words[HeaderField.DEADLINE_NS]:
            self._process.kill()
            self._fail("its process hung and was killed", now_ns)

    def error(self) -> CameraError:
        """Return what is wrong with it, for a person."""
        what, _, rest = self.reason.partition(REASON_SEPARATOR)
        why, _, fix = rest.partition(REASON_SEPARATOR)
        if not what.startswith("camera "):
            what = f"camera {self.name}: {self.plan.source.shown}: {what}."
        return CameraError(what, why=why, fix=fix or "Look at the camera.")

    def end(self) -> None:
        """End the process for good; it is taken leave of in ``supervise``."""
        self._probe.stop()
        if self._process is not None:
            self._process.kill()
            self._close(resumes=False)
        self._change(CameraState.ENDED, "")

    @property
    def is_gone(self) -> bool:
        """Whether no process of it is left."""
        return self._process is None and not self._dying

    def stop(self) -> None:
        """End the process for good and wait until it is gone."""
        self._probe.stop()
        if self._process is not None:
            self._process.kill()
            self._close(resumes=False)
        deadline = time.monotonic() + STOP_LIMIT_S
        while self._dying and time.monotonic() < deadline:
            self._bury()
            time.sleep(0.005)

    def _start(self, now_ns: int) -> None:
        """Make a new slot and a new process for it."""
        self._probe.stop()
        self._started_ns = now_ns
        slot = FrameBuffer.create()
        slot.words[HeaderField.DEADLINE_NS] = now_ns + START_LIMIT_NS
        slot.words[HeaderField.GO] = self._is_wanted
        process = multiprocessing.get_context("spawn").Process(
            target=run_camera,
            args=(self.plan, slot, os.getpid()),
            name=f"camera-{self.name}",
            daemon=True,
        )
        with _interrupts_blocked():
            process.start()
        self._process, self._slot, self._reader = process, slot, FrameBufferReader(slot)
        logger.debug("camera_started camera=%s pid=%s", self.name, process.pid)

    def _fail(self, reason: str, now_ns: int) -> None:
        """Note a process that ended before its source did, and plan the next."""
        self._close(resumes=True)
        self.restarts += 1
        waited_ms = (now_ns - self._started_ns) / 1e6
        was_patient = waited_ms >= self.plan.open_timeout_ms
        pause_ns = self._pause.next_ns(was_patient=was_patient)
        self._probe.start()
        self._start_at_ns = now_ns + pause_ns
        self._change(CameraState.LOST, reason)
        logger.debug("camera_restart camera=%s in_ms=%d", self.name, pause_ns / 1e6)

    def _close(self, *, resumes: bool) -> None:
        """Let go of process and slot, and keep their figures."""
        if self._process is None or self._slot is None or self._reader is None:
            return
        reader, taken = self._reader, self._reader.frames_taken
        captured = taken if self.is_triggered else reader.frames_published
        damaged = int(self._slot.words[HeaderField.DAMAGED])
        if resumes:
            self._resume_after(
                captured + damaged, int(self._slot.words[HeaderField.READS]) - 1
            )
        self._captured_before += captured
        self._taken_before += taken
        self._damaged_before += damaged
        self._dying.append(self._process)
        self._slot.close()
        self._process = self._slot = self._reader = None

    def _resume_after(self, frames: int, read_last: int) -> None:
        """Plan the next start behind the frames that were delivered, or damaged.

        A live camera also counts frames that nobody was ready for; what it read last
        may have come through, so its next frame gets a number beyond that.
        """
        first_frame_id = self.plan.first_frame_id + frames
        if not self.plan.source.kind.is_file:
            first_frame_id = max(first_frame_id, read_last + 1)
        suspect, deaths = self._suspect
        self._suspect = (read_last, deaths + 1 if read_last == suspect else 1)
        is_poisoned = self._suspect[1] >= DEATHS_TO_POISON and read_last >= 0
        self.plan = replace(
            self.plan,
            first_frame_id=first_frame_id,
            poisoned_frame_id=read_last if is_poisoned else None,
        )

    def _reason(self, exit_code: int) -> str:
        """Return why the process ended."""
        told = self._slot.reason if self._slot else ""
        if told and exit_code == FAULT_EXIT_CODE:
            return told
        if exit_code < 0:
            with contextlib.suppress(ValueError):  # a signal without a name
                return f"its process was ended by {signal.Signals(-exit_code).name}"
        return f"its process ended with {exit_code}"

    def _bury(self) -> None:
        """Take leave of killed processes as far as they are gone."""
        for process in [p for p in self._dying if p.exitcode is not None]:
            process.close()
            self._dying.remove(process)

    def _change(
        self, state: CameraState, reason: str, conditions: tuple[str, ...] = ()
    ) -> None:
        """Enter a state; the log says it once."""
        if (state, reason) == (self.state, self.reason):
            return
        self.state, self.reason, self.conditions = state, reason, conditions
        self.since_wall_ns = time.time_ns()
        is_bad = state in {CameraState.LOST, CameraState.DEGRADED}
        level = logging.WARNING if is_bad else logging.INFO
        why = f" reason={' '.join(reason.split())!r}" if reason else ""
        logger.log(level, "camera_%s camera=%s%s", state.value, self.name, why)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT inside the block; a process that is started there never gets it.

    Ctrl-C in a terminal goes to every process of the group, but is the daemon's
    business alone.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for_frames(cameras: Sequence[CameraProcess], timeout_s: float) -> None:
    """Wait until one of the cameras has a frame.

    Args:
        cameras: All cameras.
        timeout_s: Longest wait.
    """
    bells = [bell for camera in cameras if (bell := camera.bell_fd) is not None]
    select.select(bells, [], [], timeout_s)
