"""Whether a camera delivers frames; it is opened as in the daemon, in a process."""

import time
from collections.abc import Sequence

from edge.cameras.frame_publisher import GRACE_MS, CapturePlan
from edge.cameras.settings import ControlSettings
from edge.cameras.source import Source, SourceKind
from edge.cameras.sources.picture_list import (
    list_pictures,
    other_pictures,
    pictures_below,
)
from edge.cameras.supervisor import START_LIMIT_NS, CameraProcess, wait_for_frames
from edge.config.camera import CameraSettings
from edge.doctor.check_result import CheckResult, Grade
from models.errors import CameraError
from models.messages import CameraState

START_LIMIT_S = START_LIMIT_NS / 1e9
MEASURED_S = 1.0  # window in which frames are counted
WAIT_S = 0.05
DELIVERS = {CameraState.UP, CameraState.DEGRADED}
SLOW_SHARE = 0.8  # of the configured pace: fewer frames are a warning


def opening_limit_s(settings: CameraSettings) -> float:
    """Return the longest time that the check of a camera takes: the daemon's own."""
    timeouts_ms = settings.open_timeout_ms + settings.read_timeout_ms
    return START_LIMIT_S + (timeouts_ms + 2 * GRACE_MS) / 1000 + MEASURED_S


def check_camera(
    settings: CameraSettings,
    *,
    daemon_runs: bool,
    bit_depth: int | None = None,
) -> CheckResult:
    """Open a camera, take a frame, and count frames for a moment.

    It opens in time if it does so for the daemon: the camera's process applies its
    limits, and the supervisor starts no second attempt here.

    Args:
        daemon_runs: A running daemon may hold the camera.
        bit_depth: What the package in force states, see ``InputInfo``.
    """
    source = settings.source
    plan = CapturePlan(
        camera=settings.name,
        source=source,
        fps=settings.fps,
        open_timeout_ms=settings.open_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        loops=False,
        rtsp_transport=settings.rtsp_transport,
        keeps_every_frame=False,
        controls=ControlSettings(),
        health=None,
    )
    if _waits_for_pictures(source):
        what = f"{source.redacted}: there is no picture yet."
        why = "Each is inspected when it is added."
        return CheckResult(f"camera {settings.name}", Grade.WARN, what, why)
    camera = CameraProcess(plan)
    check, faults = f"camera {settings.name}", list[str]()
    deadline_s = time.monotonic() + opening_limit_s(settings) - MEASURED_S
    camera.set_bit_depth(bit_depth)
    try:
        camera.supervise(time.monotonic_ns())
        camera.enable()
        size_px = _first_frame(camera, deadline_s, faults)
        if size_px is None:
            return _failure(check, camera, faults, daemon_runs=daemon_runs)
        fps = _frames_per_second(camera)
    finally:
        camera.stop()
    width, height = size_px
    figures = {"width_px": width, "height_px": height, "fps": round(fps, 1)}
    what = f"{source.redacted}: {width} x {height} px, {fps:.1f} frames/s"
    if 0 < fps < settings.fps * SLOW_SHARE:
        why = f"The configuration sets fps = {settings.fps:g}."
        fix = "Check exposure time, USB port or network of the camera."
        return CheckResult(check, Grade.WARN, what, why, fix, figures=figures)
    if camera.damage:
        why = f"{camera.damage[0].upper()}{camera.damage[1:]}."
        fix = "Check its cable and the network; damaged frames are not inspected."
        return CheckResult(check, Grade.WARN, what, why, fix, figures=figures)
    return CheckResult(check, Grade.OK, what, figures=figures)


def _waits_for_pictures(source: Source) -> bool:
    """Return whether it is a folder that has nothing in it to be read."""
    folder = source.path
    if source.kind is not SourceKind.FOLDER or not folder.is_dir():
        return False
    try:
        return not (
            list_pictures(folder) or other_pictures(folder) or pictures_below(folder)
        )
    except OSError:
        return False  # opening it reports why


def _first_frame(
    camera: CameraProcess, deadline_s: float, faults: list[str]
) -> tuple[int, int] | None:
    """Return width and height of the first frame; None = no frame came.

    Args:
        faults: Why a frame before it is unreadable is added.
    """
    while time.monotonic() < deadline_s and camera.state is not CameraState.LOST:
        frame = camera.take_frame()
        if frame is not None and frame.pixels is not None:
            height, width = frame.pixels.shape[:2]
            camera.release()
            return width, height
        if frame is not None:
            faults.append(frame.fault)
        camera.release()
        camera.supervise(time.monotonic_ns())
        if camera.state is CameraState.ENDED:
            return None
        wait_for_frames([camera], WAIT_S)
    return None


def _frames_per_second(camera: CameraProcess) -> float:
    """Return the current frame rate; 0 = it could not be measured."""
    started_s, before = time.monotonic(), camera.frames_captured
    last_s = started_s
    while time.monotonic() < started_s + MEASURED_S and camera.state in DELIVERS:
        wait_for_frames([camera], WAIT_S)
        if camera.take_frame() is not None:
            last_s = time.monotonic()
        camera.release()
        camera.supervise(time.monotonic_ns())
    frames = camera.frames_captured - before
    # Until the last frame, not until the end: at 1 frame/s the rest would count too.
    return frames / (last_s - started_s) if last_s > started_s else 0.0


def _failure(
    check: str,
    camera: CameraProcess,
    faults: Sequence[str] = (),
    *,
    daemon_runs: bool,
) -> CheckResult:
    source = camera.plan.source
    if camera.state is CameraState.ENDED:
        error = CameraError(
            f"{source.redacted}: it has no readable frame.",
            why=f"{faults[0]}." if faults else "The source ended at once.",
            fix="Give a source with pictures that can be read.",
        )
        return CheckResult.of_error(check, error)
    if camera.state is not CameraState.LOST:
        error = CameraError(
            f"{source.redacted}: no frame in time.",
            why="It was not open, or had no frame, at the time limit.",
            fix="Check cable, power and network of the camera.",
        )
    else:
        error = camera.error()
    if daemon_runs and source.kind is SourceKind.USB:
        why = "A daemon is running, and a USB camera serves one program at a time."
        fix = "Read `systemctl status graftline-edge`, or stop the daemon first."
        return CheckResult(check, Grade.WARN, error.what, why, fix)
    return CheckResult.of_error(check, error)
