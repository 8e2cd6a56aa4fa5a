"""The command ``evidence``: answered with a piece of a picture, or with the reason."""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.control.command_queue import CommandQueue
from edge.control.evidence_pieces import BURST, WAITING_MAX
from models.commands import (
    EVIDENCE_MAX_BYTES,
    PIECE_MAX_BYTES,
    CommandRefusal,
    CommandReply,
)
from tests.simulators.alerts import TOPICS
from tests.waiting import until

PATH = "2026-11-30/top/board-17-0123abcd.jpg"
CONTENT = b"\xff\xd8\xff" + bytes(range(256)) * 400  # two pieces and a part


class Evidence:
    """The pictures of a line PC, and the commands that ask for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "evidence"
        self.path = self.folder / PATH
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(CONTENT)
        self.queue = CommandQueue(TOPICS, lambda _: 750, lambda: True, self.folder)
        self.replies: list[CommandReply] = []
        self.asked = 0

    def ask(self, path: str = PATH, offset: int = 0) -> None:
        self.asked += 1
        expires_at = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        document: dict[str, object] = {"path": path, "offset": offset}
        document |= {"id": f"c-{self.asked}", "expires_at": expires_at}
        topic = f"{TOPICS.root}/cmd/evidence"
        self.queue.enqueue(topic, json.dumps(document).encode(), is_retained=False)

    def poll(self) -> bool:
        self.replies += [reply for _, reply in self.queue.poll([])]
        return len(self.replies) == self.asked

    def reply(self, path: str = PATH, offset: int = 0) -> CommandReply:
        self.ask(path, offset)
        until(self.poll, "a reply")
        return self.replies[-1]


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path)


def test_picture_is_the_sum_of_its_pieces(evidence: Evidence) -> None:
    received = b""
    while len(received) < len(CONTENT):
        piece = evidence.reply(offset=len(received)).evidence
        assert piece is not None
        assert piece.offset == len(received)
        assert piece.size_bytes == len(CONTENT)
        assert piece.sha256 == hashlib.sha256(CONTENT).hexdigest()
        content = base64.b64decode(piece.content, validate=True)
        assert 0 < len(content) <= PIECE_MAX_BYTES
        received += content
    assert received == CONTENT
    assert len(evidence.replies) == 3


def test_picture_that_was_deleted_is_named_as_gone(evidence: Evidence) -> None:
    evidence.path.unlink()
    reply = evidence.reply()
    assert (reply.accepted, reply.evidence) == (False, None)
    assert reply.refusal is CommandRefusal.NOT_POSSIBLE
    assert "no longer" in reply.reason


@pytest.mark.fault(72, 81)
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../evidence.jpg",
        "2026-11-30/../../secret.jpg",
        "2026-11-30/top/../../../secret",
        "2026-11-30/.hidden/a.jpg",
        "2026-11-30//a.jpg",
        "2026-11-30/a\\b.jpg",
        "2026-11-30",
        "",
        "2026-11-30/" + "x" * 300,
    ],
)
def test_path_out_of_the_evidence_is_refused(evidence: Evidence, path: str) -> None:
    reply = evidence.reply(path)
    assert (reply.accepted, reply.evidence) == (False, None)
    assert reply.refusal is CommandRefusal.MALFORMED


@pytest.mark.fault(81)
@pytest.mark.parametrize("level", ["file", "folder"])
def test_planted_link_is_not_followed(
    evidence: Evidence, tmp_path: Path, level: str
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / evidence.path.name).write_bytes(b"secret")
    evidence.path.unlink()
    if level == "file":
        evidence.path.symlink_to(secret / evidence.path.name)
    else:
        evidence.path.parent.rmdir()
        evidence.path.parent.symlink_to(secret)
    reply = evidence.reply()
    assert (reply.accepted, reply.evidence) == (False, None)


def test_pipe_in_the_place_of_a_picture_does_not_block(evidence: Evidence) -> None:
    evidence.path.unlink()
    os.mkfifo(evidence.path)
    assert not evidence.reply().accepted


@pytest.mark.parametrize(
    ("offset", "refusal"),
    [
        (len(CONTENT), CommandRefusal.NOT_POSSIBLE),
        (EVIDENCE_MAX_BYTES + 1, CommandRefusal.MALFORMED),
        (-1, CommandRefusal.MALFORMED),
    ],
)
def test_place_beyond_the_picture_is_refused(
    evidence: Evidence, offset: int, refusal: CommandRefusal
) -> None:
    assert evidence.reply(offset=offset).refusal is refusal


def test_picture_that_is_too_large_is_refused(evidence: Evidence) -> None:
    os.truncate(evidence.path, EVIDENCE_MAX_BYTES + 1)
    assert "at most" in evidence.reply().reason


def test_picture_that_changed_has_another_digest(evidence: Evidence) -> None:
    first = evidence.reply().evidence
    evidence.path.write_bytes(b"other")
    second = evidence.reply().evidence
    assert first is not None
    assert second is not None
    assert second.sha256 == hashlib.sha256(b"other").hexdigest() != first.sha256


def test_flood_of_requests_is_refused_and_all_are_answered(evidence: Evidence) -> None:
    for _ in range(int(BURST) + WAITING_MAX + 5):
        evidence.ask()
    until(evidence.poll, "all replies")
    refused = [each for each in evidence.replies if not each.accepted]
    assert refused
    assert {each.refusal for each in refused} == {CommandRefusal.QUEUE_FULL}


def test_station_without_evidence_says_so() -> None:
    queue = CommandQueue(TOPICS, lambda _: 750, lambda: True)
    expires_at = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    document = {"id": "c", "expires_at": expires_at, "path": PATH, "offset": 0}
    queue.enqueue("x/cmd/evidence", json.dumps(document).encode(), is_retained=False)
    replies: list[CommandReply] = []

    def is_answered() -> bool:
        replies.extend(reply for _, reply in queue.poll([]))
        return bool(replies)

    until(is_answered, "a reply")
    assert "sends no full pictures" in replies[0].reason
