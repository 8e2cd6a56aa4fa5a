"""Everything is killed at random moments, and every alert is in the history once."""

from pathlib import Path

import pytest

from tests.simulators.broker import MOSQUITTO
from tests.simulators.chaos import Chaos

SECONDS, FPS, SEED = 45.0, 20.0, 7


@pytest.mark.long
@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto")
@pytest.mark.fault(2, 12, 35, 59)
@pytest.mark.timeout(600)
def test_every_alert_is_in_the_history_once_after_random_kills(tmp_path: Path) -> None:
    report = Chaos(tmp_path, SEED, FPS).run(SECONDS)
    assert set(report.kills) == {"broker", "daemon", "dashboard", "camera"}
    assert report.alerts > 100
    assert report.alerts == report.verdicts, "every part has a defect"
    assert report.alerts + report.verdicts == report.committed
    assert report.is_clean, report
