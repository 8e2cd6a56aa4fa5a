"""The messages that show damage are those of the video libraries that are installed."""

from importlib.metadata import distribution
from pathlib import Path

import cv2
import pytest

from edge.cameras.sources.damage import DAMAGE
from edge.cameras.sources.open_failure import MESSAGES

OTHERS = (
    *(text for text, _ in MESSAGES if text[0].isupper() and " " in text),
    "sof0: picture: %dx%d",
    "Format %s chosen by get_format().",
    "nal_unit_type: %d(%s)",
    "method %s failed: %d",
    "[OPENCV:FFMPEG:%02d] ",
    "Successfully connected to %s port %s",
)
OF_THE_SYSTEM = {  # strerror(3)
    "Connection refused",
    "No route to host",
    "Network is unreachable",
    "Connection reset by peer",
}


@pytest.fixture(scope="module")
def binaries() -> bytes:
    """Return OpenCV's module and the FFmpeg libraries of its wheel."""
    files = distribution("opencv-python-headless").files or []
    paths = [Path(str(f.locate())) for f in files if "libav" in f.name]
    return b"".join(p.read_bytes() for p in [*paths, Path(cv2.__file__)]) + b"".join(
        p.read_bytes() for p in Path(cv2.__file__).parent.glob("cv2*.so")
    )


@pytest.mark.parametrize("text", sorted({*DAMAGE, *OTHERS} - OF_THE_SYSTEM))
def test_message_exists_in_the_installed_library(binaries: bytes, text: str) -> None:
    assert text.encode() in binaries
