"""A triggered GigE camera delivers a picture after each trigger, and none before."""

import subprocess
import sys

import pytest

from tests.simulators.gige import ROOT, GigeSimulator, needs_aravis

pytestmark = pytest.mark.e2e

# In a process of its own, as every camera is: its bindings stay out of the tests'.
PROGRAM = """
import time
from edge.cameras.sources.aravis import GigeCamera
from edge.cameras.frame_buffer import FrameBuffer
from edge.cameras.frame_publisher import FramePublisher
from edge.cameras.settings import ControlSettings
from tests.simulators.plans import plan_of

controls = ControlSettings(trigger_source="Software", trigger_mode=True)
plan = plan_of("aravis:127.0.0.1", controls=controls)
camera = GigeCamera(plan, FramePublisher(FrameBuffer.create()))
assert camera.warnings == (), camera.warnings

def pictures(seconds):
    count, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        buffer = camera.pop_buffer()
        if buffer is not None:
            count += camera.pixels_of(buffer) is not None
            camera.requeue(buffer)
    return count

untriggered = pictures(1)
triggered = 0
for _ in range(3):
    camera.fire_trigger()
    triggered += pictures(0.7)
print(untriggered, triggered)
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
