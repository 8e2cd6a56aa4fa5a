"""The top of a camera's process. It imports OpenCV and NumPy, nothing larger."""

import ctypes
import os
import signal
from typing import TYPE_CHECKING

from edge.cameras.frame_buffer import FrameBuffer
from edge.cameras.frame_publisher import FAULT_EXIT_CODE, CapturePlan, FramePublisher
from edge.cameras.source import SourceKind
from models.errors import CameraError

if TYPE_CHECKING:
    from edge.cameras.health.monitor import ImageQualityMonitor

PR_SET_PDEATHSIG = 1  # prctl(2)
REASON_SEPARATOR = "\n"


def run_camera(plan: CapturePlan, slot: FrameBuffer, parent_pid: int) -> None:
    """Run one source to its end. Called in a process of its own.

    Args:
        plan: What to do.
        slot: Where frames go.
        parent_pid: The daemon; the process ends with it, however it ends.
    """
    _end_with(parent_pid)
    if not plan.is_verbose:
        _silence_native_libraries()
    try:
        _run(plan, slot)
    except CameraError as error:
        slot.reason = REASON_SEPARATOR.join((error.what, error.why, error.fix))
    except Exception as error:  # noqa: BLE001 - top of the process: told to the daemon
        what = f"camera {plan.camera}: {type(error).__name__}: {error}"
        slot.reason = REASON_SEPARATOR.join((what, "", ""))
    else:
        return
    # At once: a library that takes leave of a dead camera hangs for seconds.
    os._exit(FAULT_EXIT_CODE)


def _run(plan: CapturePlan, slot: FrameBuffer) -> None:
    """Run the source; only its own module is imported."""
    plan.refuse_missing()  # at once: importing OpenCV takes its time
    feed = FramePublisher(slot, _guard(plan))
    match plan.source.kind:
        case SourceKind.FOLDER:
            from edge.cameras.sources.folder import run_folder  # noqa: PLC0415 (lazy)

            run_folder(plan, feed)
        case SourceKind.VIDEO:
            from edge.cameras.sources.video import run_video  # noqa: PLC0415 (lazy)

            run_video(plan, feed)
        case SourceKind.STREAM | SourceKind.USB:
            from edge.cameras.sources.opencv import run_live  # noqa: PLC0415 (lazy)

            run_live(plan, feed)
        case SourceKind.ARAVIS:
            from edge.cameras.sources.aravis import run_aravis  # noqa: PLC0415 (lazy)

            run_aravis(plan, feed)


def _guard(plan: CapturePlan) -> "ImageQualityMonitor | None":
    """Return who looks at the frames."""
    if plan.health is None:
        return None
    import cv2  # noqa: PLC0415 (lazy)

    from edge.cameras.health.monitor import ImageQualityMonitor  # noqa: PLC0415 (lazy: OpenCV)

    cv2.setNumThreads(1)  # of a process that the other cores are not for
    is_part = plan.source.kind.is_triggered or plan.keeps_every_frame
    return ImageQualityMonitor(plan.health, is_triggered=is_part)


def _end_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the daemon is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it went before the line above
        os._exit(FAULT_EXIT_CODE)


def _silence_native_libraries() -> None:
    """Point stderr to nowhere: decoders write what nobody can act on.

    What matters goes to the daemon as a reason or a fault, and is logged there.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
