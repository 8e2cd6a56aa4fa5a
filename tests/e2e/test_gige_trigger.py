"""A triggered GigE camera: a picture when it is told to, and none before."""

import subprocess
import sys

import pytest

from tests.simulators.gige import ROOT, GigeSimulator, needs_aravis

pytestmark = pytest.mark.e2e

# In a process of its own, as every camera is: its bindings stay out of the tests'.
PROGRAM = """
import time
from edge.cameras.sources.aravis import GigeCamera
from edge.cameras.controls import Controls
from edge.cameras.frame_publisher import CapturePlan, Feed
from edge.cameras.frame_buffer import FrameSlot
from edge.cameras.source import parse_source

controls = Controls(trigger_source="Software", trigger_mode=True)
source = parse_source("aravis:127.0.0.1")
plan = CapturePlan("cam", source, controls=controls)
camera = GigeCamera(plan, Feed(FrameSlot.create()))
assert camera.warnings == (), camera.warnings

def pictures(seconds):
    count, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        buffer = camera.take()
        if buffer is not None:
            count += camera.pixels_of(buffer) is not None
            camera.give_back(buffer)
    return count

untold = pictures(1)
told = 0
for _ in range(3):
    camera.fire_trigger()
    told += pictures(0.7)
print(untold, told)
"""


def test_software_trigger_takes_one_picture() -> None:
    needs_aravis()
    with GigeSimulator():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stdout.split() == ["0", "3"], done.stderr
