"""A hot processor: an alarm with figures, fewer frames, no part left out."""

from pathlib import Path
from typing import Any

import pytest

from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import write_parts
from tests.simulators.sysfs import SimSysfs
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.fault(64)]

PARTS = 150


@pytest.mark.long
def test_throttled_processor_is_an_alarm_and_halves_the_frames(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    sysfs = SimSysfs(tmp_path / "sys")
    with Broker(tmp_path / "broker") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        pc.tables = f'[thermal]\nsysfs = "{sysfs.root}"\npoll_interval_s = 0.1\n'
        pc.tables += "calm_s = 0.5\n"
        write_video(pc.folder / "a.avi", 1200, 10, defect_between(0, 0))
        stems = write_parts(pc.folder / "parts", good=PARTS, defective=0)
        with SimCollector(tmp_path, broker.port) as collector:

            def status() -> dict[str, Any]:
                return collector.states[pc.topics.status][-1]

            cameras = (
                camera_table("belt", "a.avi"),
                camera_table("top", "folder:parts", fps=10.0),
            )
            process = pc.start(*cameras, at_end=False)
            pc.wait_until_inspecting(10)
            until(lambda: status()["state"] == "ready")
            sysfs.heat(97)
            until(lambda: status()["state"] == "degraded")
            assert status()["reason"].startswith(
                "cpu throttled: x86_pkg_temp 97 of 95 C, 1.2 of 3.4 GHz"
            )
            pc.wait_until_inspecting(
                (pc.health.frames_inspected if pc.health else 0) + 40
            )
            sysfs.heat(60)
            until(lambda: status()["state"] == "ready")
            until(lambda: len(collector.history("verdict")) == PARTS)
            process.terminate()
            code, figures = pc.end_of(process)
            assert code == 0, pc.stderr
    belt, top = figures["cameras"]["belt"], figures["cameras"]["top"]
    assert belt["frames_shed"] >= 10
    # Every second one, of those that came while it was hot.
    assert belt["frames_inspected"] >= belt["frames_shed"]
    assert belt["frames_dropped"] >= belt["frames_shed"]
    assert (top["frames_shed"], top["verdicts"]["ok"]) == (0, len(stems))
