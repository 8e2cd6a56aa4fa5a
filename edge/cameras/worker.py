"""Entry point of a camera's process. It imports OpenCV and NumPy, nothing larger."""

import ctypes
import gc
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, assert_never

from edge.cameras.frame_buffer import FrameBuffer, HeaderField
from edge.cameras.frame_publisher import FAULT_EXIT_CODE, CapturePlan, FramePublisher
from edge.cameras.native_log import NativeLog
from edge.cameras.source import SourceKind
from models.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.cameras.health.monitor import ImageQualityMonitor

PR_SET_PDEATHSIG = 1  # prctl(2)
READ_WITH_LOG = {SourceKind.VIDEO, SourceKind.STREAM, SourceKind.USB}
REASON_SEPARATOR = "\n"


def run_camera(plan: CapturePlan, frame_buffer: FrameBuffer, parent_pid: int) -> None:
    """Run one source to its end, in a separate process.

    Args:
        parent_pid: The daemon; the kernel kills this process when it exits.
    """
    _exit_with(parent_pid)
    # They write the whole address, login included, about a camera that fails.
    is_shown = plan.is_verbose and not plan.source.has_login
    try:
        _run(plan, frame_buffer, NativeLog(passes_on=is_shown))
    except CameraError as error:
        reason = (error.what, error.why, error.fix)
    except Exception as error:  # noqa: BLE001 - top of the process: the daemon logs it
        reason = (f"camera {plan.camera}: {type(error).__name__}: {error}", "", "")
    else:
        return
    # First: else the daemon takes the reason for a warning of a camera that is up.
    frame_buffer.header[HeaderField.HAS_FAILED] = 1
    frame_buffer.reason = _without_address(plan, REASON_SEPARATOR.join(reason))
    # Without clean-up: a library that closes a dead camera hangs for seconds.
    os._exit(FAULT_EXIT_CODE)


def _without_address(plan: CapturePlan, text: str) -> str:
    """Return a text in which a library's own message has no login either."""
    if not plan.source.has_login:
        return text
    return text.replace(plan.source.address, plan.source.redacted)


def _run(plan: CapturePlan, frame_buffer: FrameBuffer, log: NativeLog) -> None:
    plan.refuse_missing()  # first: importing OpenCV takes its time
    publisher = FramePublisher(frame_buffer, _quality_monitor(plan))
    runner = runner_of(plan.source.kind)
    if plan.source.kind in READ_WITH_LOG:
        runner = partial(runner, log=log)
    gc.freeze()  # imported modules stay: no search for cycles goes through them again
    runner(plan, publisher)


def runner_of(kind: SourceKind) -> "Callable[..., None]":
    """Return the function that runs a kind of source; only its module is imported."""
    match kind:
        case SourceKind.FOLDER:
            from edge.cameras.sources.folder import run_folder  # noqa: PLC0415 (lazy)

            return run_folder
        case SourceKind.VIDEO:
            from edge.cameras.sources.video import run_video  # noqa: PLC0415 (lazy)

            return run_video
        case SourceKind.STREAM | SourceKind.USB:
            from edge.cameras.sources.opencv import run_live  # noqa: PLC0415 (lazy)

            return run_live
        case SourceKind.ARAVIS:
            from edge.cameras.sources.aravis import run_aravis  # noqa: PLC0415 (lazy)

            return run_aravis
        case _:
            assert_never(kind)


def _quality_monitor(plan: CapturePlan) -> "ImageQualityMonitor | None":
    if plan.health is None:
        return None
    import cv2  # noqa: PLC0415 (lazy)

    from edge.cameras.health.monitor import ImageQualityMonitor  # noqa: PLC0415 (lazy: OpenCV)

    cv2.setNumThreads(1)  # the other cores belong to inference
    is_part = plan.source.kind.is_triggered or plan.keeps_every_frame
    return ImageQualityMonitor(plan.health, plan.baseline, is_triggered=is_part)


def _exit_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the daemon exits."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it exited before the line above
        os._exit(FAULT_EXIT_CODE)
