"""When the daemon counts a camera as ended, and what it reports of lost ones."""

from dataclasses import dataclass
from typing import Any

import pytest

from edge.daemon import START_FAILURES_MAX, _has_ended, _lost_cameras_error
from models.errors import CameraError
from models.messages import CameraState


@dataclass
class Camera:
    name: str
    state: CameraState = CameraState.UP
    failures: int = 0

    def error(self) -> CameraError:
        return CameraError(f"camera {self.name}: lost.", fix="Check it.")


@pytest.mark.parametrize(
    ("state", "failures", "has_ended"),
    [
        (CameraState.UP, 0, False),
        (CameraState.ENDED, 0, True),
        (CameraState.LOST, START_FAILURES_MAX - 1, False),
        (CameraState.LOST, START_FAILURES_MAX, True),
    ],
)
def test_camera_has_ended_at_its_end_or_after_failed_starts(
    state: CameraState, failures: int, has_ended: bool
) -> None:
    camera: Any = Camera("top", state, failures)
    assert _has_ended(camera) is has_ended


def test_error_names_every_lost_camera_and_each_fix_once() -> None:
    up: Any = Camera("up")
    lost: list[Any] = [Camera("a", CameraState.LOST), Camera("b", CameraState.LOST)]
    assert _lost_cameras_error([up]) is None
    error = _lost_cameras_error([up, *lost])
    assert error is not None
    assert error.what == "camera a: lost. camera b: lost."
    assert error.fix == "Check it."
