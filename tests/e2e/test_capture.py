"""``graftline capture``: photos of a camera, before there is any model."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from tests.command import REPOSITORY, environment, graftline
from tests.simulators.mjpeg import MjpegCamera
from tests.simulators.videos import write_video
from tests.unit.edge.test_capture import moving, part
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EDGE_TOML = """\
[station]
site = "plant"
line = "line-1"
station = "eol"
[model]
slot = "no-model-yet"
[outbox]
path = "outbox.sqlite"
[evidence]
folder = "evidence"
[[camera]]
name = "top"
source = "file:line.avi"
[camera.health]
baseline = "baseline.npz"
[[camera]]
name = "side"
source = "file:side.avi"
"""
NAME = re.compile(r"top-\d{8}T\d{6}\.\d{3}Z\.png")


def photos_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "line.avi", 20, 10, moving)
    return tmp_path / "line.avi"


def test_frames_of_a_configured_camera_are_saved_without_a_model(
    tmp_path: Path, video: Path
) -> None:
    (tmp_path / "edge.toml").write_text(EDGE_TOML)
    arguments = ("--config", "edge.toml", "--camera", "top", "--every", 0.05)
    answer = graftline(
        *("capture", *arguments, "--out", "photos/good", "--count", 4, "--json"),
        cwd=tmp_path,
    )
    assert answer.code == 0, answer.errors
    assert answer.json["photos"] == 4
    assert answer.json["ended_by"] == "count"
    photos = photos_of(tmp_path / "photos" / "good")
    assert all(NAME.fullmatch(photo.name) for photo in photos)
    picture = cv2.imread(str(photos[0]))
    assert picture is not None
    assert picture.shape == (240, 320, 3)
    assert not (tmp_path / "baseline.npz").exists(), "good frames are learned by run"


def test_second_run_adds_and_overwrites_nothing(tmp_path: Path, video: Path) -> None:
    arguments = ("capture", video, "--out", "good", "--count", 3, "--every", 0.05)
    for _ in range(2):
        assert graftline(*arguments, cwd=tmp_path).code == 0
    assert len(photos_of(tmp_path / "good")) == 6


def test_end_of_a_video_is_no_error(tmp_path: Path, video: Path) -> None:
    answer = graftline(
        "capture", video, "--out", "good", "--every", 0.5, "--jpeg", cwd=tmp_path
    )
    assert answer.code == 0, answer.errors
    photos = photos_of(tmp_path / "good")
    assert {photo.suffix for photo in photos} == {".jpg"}
    assert f"good: {len(photos)} photos saved, of 100 wanted." in answer.output


def test_camera_that_was_lost_is_opened_again(tmp_path: Path) -> None:
    with MjpegCamera(fps=10) as camera:
        camera.picture_of = lambda number: moving(number % 20)
        camera.frames_each = 5
        answer = graftline(
            *("capture", camera.url, "--out", "good", "--count", 8),
            *("--every", 0.1, "--json"),
            cwd=tmp_path,
        )
    assert answer.code == 0, answer.errors
    assert answer.json["photos"] == 8
    assert "It is opened again." in answer.errors
    assert "camera camera: it is back" in answer.errors


def test_interrupt_keeps_what_was_saved(tmp_path: Path) -> None:
    with MjpegCamera(fps=10) as camera:
        camera.picture_of = lambda number: moving(number % 20)
        process = subprocess.Popen(
            [
                *(sys.executable, REPOSITORY / "graftline.py", "capture", camera.url),
                *("--out", "good", "--every", "0.1"),
            ],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert until(lambda: len(photos_of(tmp_path / "good")) >= 2, 30)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"{len(photos_of(tmp_path / 'good'))} photos saved, of 100" in output
    assert not [f for f in photos_of(tmp_path / "good") if f.suffix != ".png"]


def test_belt_that_stands_still_gives_one_photo(tmp_path: Path) -> None:
    write_video(tmp_path / "still.avi", 20, 10, lambda _: part(40))
    answer = graftline(
        "capture", "still.avi", "--out", "good", "--every", 0.1, "--json", cwd=tmp_path
    )
    assert answer.code == 0, answer.errors
    assert answer.json["photos"] == 1
    assert answer.json["unchanged"] >= 10


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("missing.mp4",), 6, "there is no such file"),
        (("rtsp://ann:secret@127.0.0.1:9/x",), 6, "nothing listens on this port"),
        (("ftp://ann:secret@camera",), 3, "not a camera"),
        ((), 3, "give SOURCE or --config"),
        (("a.mp4", "--config", "edge.toml"), 3, "give SOURCE or --config"),
        (("--config", "edge.toml"), 3, "no --camera. It has top, side."),
        (("--config", "edge.toml", "--camera", "low"), 3, "no camera 'low'"),
        (("line.avi", "--camera", "top"), 3, "--camera without --config"),
        (("line.avi", "--count", "0"), 2, "expected a whole number above 0"),
        (("line.avi", "--every", "nan"), 2, "expected seconds above 0"),
        (("line.avi", "--out", "line.avi"), 4, "line.avi: cannot be written"),
    ],
)
def test_wrong_use_is_refused_and_nothing_is_written(
    tmp_path: Path, video: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    (tmp_path / "edge.toml").write_text(EDGE_TOML)
    out = () if "--out" in arguments else ("--out", "good")
    answer = graftline("capture", *arguments, *out, cwd=tmp_path)
    assert answer.code == code, answer.errors
    assert text in " ".join(answer.errors.split())
    assert "secret" not in answer.errors
    assert photos_of(tmp_path / "good") == []


def test_camera_that_never_answers_is_an_error_in_time(tmp_path: Path) -> None:
    with MjpegCamera() as camera:
        camera.is_stalled = True
        started_s = time.monotonic()
        answer = graftline("capture", camera.url, "--out", "good", cwd=tmp_path)
    assert answer.code == 6, answer.errors
    assert time.monotonic() - started_s < 40
    assert photos_of(tmp_path / "good") == []
