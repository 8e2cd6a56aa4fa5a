"""A service with an error at every frame does not fill the disk with its log."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulators.flood_verb import FRAMES

LOG_MAX_BYTES = 100_000  # a minute of two errors, one of them with its traceback


@pytest.mark.fault(65)
def test_error_at_every_frame_is_logged_a_few_times_and_counted(
    repository: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulators.flood_verb"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr) < LOG_MAX_BYTES
    assert "flood_over" in done.stderr, "other messages are still logged"
    for event in ("camera_torn", "decision_not_written"):
        logged = len(re.findall(rf"ERROR edge.flood {event} ", done.stderr))
        suppressed = re.findall(rf"event='{event}' swallowed=(\d+)", done.stderr)
        assert logged + sum(map(int, suppressed)) == FRAMES, "nothing goes uncounted"
        assert 0 < logged < FRAMES // 100
