"""A camera and a model in memory, for tests of the frame path without processes."""

import time
from collections import deque

import numpy as np

from edge.config.camera import CameraSettings
from edge.frame import CameraFrame, Stamp
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.camera_set import build_channel
from edge.inspection.model import LoadedModel
from edge.rules.coverage import KnownDefects
from models.boxes import FloatArray
from models.inference import open_requests
from models.messages import CameraState, ModelInForce
from models.preprocess import Frame

INPUT_PX = 64
MARK = 255  # a frame whose first pixel is this shows a defect


class SimCamera:
    """A camera whose frames a test puts in.

    Args:
        name: Name of the camera.
        is_triggered: Whether every frame is a part.
    """

    def __init__(self, name: str, *, is_triggered: bool = False) -> None:
        self.name = name
        self.is_triggered = is_triggered
        self.wakeup_fd: int | None = None
        self.state = CameraState.UP
        self.reason, self.since_wall_ns = "", 0
        self.conditions: tuple[str, ...] = ()
        self.frames: deque[CameraFrame] = deque()
        self.tears = False
        self.away_ms = 0.0  # how much later than now the next frames are captured
        self.released = 0
        self.frames_captured = self.frames_dropped = self.restarts = 0
        self.frames_damaged = 0
        self.warning, self.damage, self.is_settled = "", "", True

    def show(self, number: int, *, defect: bool = False, age_ms: float = 0) -> None:
        """Put a frame in."""
        pixels = np.zeros((48, 64, 3), np.uint8)
        pixels[0, 0] = MARK * defect
        self._add(number, pixels, age_ms)

    def fail(self, number: int, fault: str) -> None:
        """Put an unreadable frame in."""
        self._add(number, None, 0, fault)

    def take_frame(self) -> CameraFrame | None:
        return self.frames.popleft() if self.frames else None

    def is_whole(self) -> bool:
        return not self.tears

    def release(self) -> None:
        self.released += 1

    def _add(
        self, number: int, pixels: Frame | None, age_ms: float, fault: str = ""
    ) -> None:
        part = f"part-{number}" if self.is_triggered else None
        captured_ns = time.monotonic_ns() + int((self.away_ms - age_ms) * 1e6)
        stamp = Stamp(number, captured_ns, time.time_ns(), part)
        self.frames.append(CameraFrame(pixels, stamp, fault))
        self.frames_captured += 1


class SimDetector:
    """Finds two defects in a frame that is marked, none in others."""

    input_size_px = (INPUT_PX, INPUT_PX)
    broken = False

    def infer(self, image: Frame) -> FloatArray:
        if self.broken:
            return np.full((6, 2), np.nan, np.float32)
        score = float(image[0, 0, 0] == MARK)
        rows = [[16, 20, 8, 8, score * 0.9, 0], [40, 20, 8, 8, 0, score * 0.8]]
        return np.array(rows, np.float32).T


def sim_model(build: int = 1) -> LoadedModel:
    """Return a model that runs ``SimDetector``."""
    detector = SimDetector()
    return LoadedModel(
        detector,
        ("scratch", "dent"),
        np.full(2, 0.5, np.float32),
        0.65,
        ModelInForce(name="sim", build=build, sha256="0" * 64),
        open_requests(detector, 1),
        tuple(KnownDefects(label, 0.5) for label in ("scratch", "dent")),
    )


def sim_channel(camera: SimCamera, **rules: object) -> CameraChannel:
    """Return the channel of a simulated camera, with the given ``[[camera]]`` rules."""
    values = {"name": camera.name, "source": "rtsp://camera/1", **rules}
    settings = CameraSettings.model_validate(values)
    return build_channel(settings, camera)  # type: ignore[arg-type]
