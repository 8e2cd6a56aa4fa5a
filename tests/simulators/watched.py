"""Cameras under their supervisor, driven by a test as by the daemon's thread."""

import random
import time
from collections.abc import Callable
from typing import Any

from edge.cameras.supervisor import CameraProcess, wait_for_frames
from edge.frame import Pixels
from tests.simulators.plans import plan_of


class LongPauses(random.Random):
    """A generator with which every pause between two starts takes minutes."""

    def random(self) -> float:
        return 600.0


class Cameras:
    """Starts cameras and stops them all at the end."""

    def __init__(self) -> None:
        self._started: list[CameraProcess] = []

    def start(
        self, source: object, dice: random.Random | None = None, **options: Any
    ) -> CameraProcess:
        """Return a camera that is enabled."""
        camera = CameraProcess(plan_of(source, **options), dice or random.Random(1))
        camera.enable()
        self._started.append(camera)
        return camera

    def stop(self) -> None:
        """Stop every camera."""
        for camera in self._started:
            camera.stop()


def frames_until(
    camera: CameraProcess, is_done: Callable[[], bool], limit_s: float = 40
) -> list[tuple[int, Pixels]]:
    """Supervise and take frames until a condition is true; return them."""
    taken, deadline = [], time.monotonic() + limit_s
    while not is_done() and time.monotonic() < deadline:
        camera.supervise(time.monotonic_ns())
        frame = camera.take_frame()
        if frame is None:
            wait_for_frames([camera], 0.02)
        elif frame.pixels is not None:
            taken.append((frame.stamp.frame_id, frame.pixels.copy()))
            camera.release()
    assert is_done(), camera.reason
    return taken
