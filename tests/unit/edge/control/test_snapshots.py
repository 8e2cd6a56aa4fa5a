"""The command ``snapshot``: answered with a picture, or with the reason."""

import base64
import json
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from edge.control import snapshots
from edge.control.command_queue import CommandQueue, TopicReply
from edge.control.snapshots import BURST, FRAME_LIMIT_S
from edge.inspection.pipeline import Pipeline
from models.commands import PICTURE_MAX_CHARS, CommandRefusal, CommandReply
from models.messages import CameraState
from tests.simulators.alerts import TOPICS
from tests.simulators.cameras import SimCamera, sim_channel, sim_model
from tests.waiting import until


class Line:
    """A camera, the pipeline that takes its frames, and its commands."""

    def __init__(self) -> None:
        self.camera = SimCamera("top")
        self.channel = sim_channel(self.camera)
        self.queue = CommandQueue(TOPICS, lambda _: 750, lambda: True)
        self.pipeline = Pipeline(sim_model(), [self.channel], None)  # type: ignore[arg-type]
        self.replies: list[TopicReply] = []

    def ask(self, command_id: str = "c-1", camera: str = "top") -> None:
        expires_at = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        document = {"id": command_id, "expires_at": expires_at, "camera": camera}
        topic = f"{TOPICS.root}/cmd/snapshot"
        self.queue.enqueue(topic, json.dumps(document).encode(), is_retained=False)
        self.poll()

    def poll(self) -> bool:
        self.replies += self.queue.poll([self.channel])
        return bool(self.replies)

    def show(self, number: int = 1) -> None:
        self.camera.show(number)
        self.pipeline.run_once()

    def reply(self) -> CommandReply:
        until(self.poll, "a reply")
        return self.replies[0][1]


@pytest.fixture
def line() -> Line:
    return Line()


def test_next_frame_is_the_picture_of_the_reply(line: Line) -> None:
    line.ask()
    assert line.replies == []
    line.show()
    reply = line.reply()
    assert reply.accepted
    assert line.replies[0][0] == TOPICS.reply("snapshot", "c-1")
    assert len(reply.picture) <= PICTURE_MAX_CHARS
    jpeg = np.frombuffer(base64.b64decode(reply.picture), np.uint8)
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (48, 64, 3)


def test_only_one_frame_is_copied(line: Line) -> None:
    line.ask()
    line.show()
    line.reply()
    line.show(2)
    assert line.channel.snapshot is None
    assert not line.channel.wants_snapshot


def test_overwritten_frame_is_no_picture(line: Line) -> None:
    line.ask()
    line.camera.tears = True
    line.show()
    assert line.channel.snapshot is None
    line.camera.tears = False
    line.show(2)
    assert line.reply().accepted


@pytest.mark.parametrize(
    ("camera", "state", "reason"),
    [
        ("side", CameraState.UP, "there is no camera side"),
        ("top", CameraState.LOST, "camera top lost: cable out"),
        ("top", CameraState.ENDED, "camera top ended: cable out"),
    ],
)
def test_camera_without_a_picture_is_refused_with_the_reason(
    line: Line, camera: str, state: CameraState, reason: str
) -> None:
    line.camera.state, line.camera.reason = state, "cable\nout"
    line.ask(camera=camera)
    reply = line.reply()
    assert (reply.accepted, reply.refusal) == (False, CommandRefusal.NOT_POSSIBLE)
    assert reply.reason == reason
    assert reply.picture == ""


def test_camera_that_delivers_no_frame_is_refused_in_time(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "FRAME_LIMIT_S", -1.0)
    line.ask()
    reply = line.reply()
    assert not reply.accepted
    assert "no frame came" in reply.reason
    assert FRAME_LIMIT_S > 0


def test_frame_after_a_refusal_is_no_picture_of_a_later_command(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "FRAME_LIMIT_S", -1.0)
        line.ask()
        line.reply()
    assert not line.channel.wants_snapshot
    line.show()
    assert line.channel.snapshot is None
    line.channel.snapshot = np.zeros((48, 64, 3), np.uint8)  # of hours ago
    line.ask("c-2")
    assert line.channel.snapshot is None


def test_many_requests_are_refused(line: Line) -> None:
    for number in range(BURST + 1):
        line.ask(f"c-{number}")
    reply = line.reply()
    assert (reply.id, reply.refusal) == (f"c-{BURST}", CommandRefusal.QUEUE_FULL)


def test_frame_that_cannot_be_encoded_is_answered(line: Line) -> None:
    line.ask()
    line.channel.snapshot = np.empty((0, 5, 3), np.uint8)
    reply = line.reply()
    assert not reply.accepted
    assert "cannot" in reply.reason
