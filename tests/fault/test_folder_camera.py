"""A folder to which pictures are added while the daemon watches it."""

from pathlib import Path

import cv2
import pytest

from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table, kill
from tests.simulators.packages import part_picture
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.mark.fault(101)
def test_added_pictures_are_inspected_whole_and_once_over_restarts(
    tmp_path: Path, broker: Broker
) -> None:
    folder = tmp_path / "pc"
    parts = folder / "parts"
    folder.mkdir()
    pc = DaemonPc(folder, broker.port)
    parts.mkdir()
    table = camera_table("top", "folder:parts")
    cv2.imwrite(str(folder / "part.png"), part_picture((4, 5)))
    picture = (folder / "part.png").read_bytes()
    noted = folder / "inspected-top.txt"
    with SimCollector(tmp_path, broker.port) as collector:
        process = pc.start(table, at_end=False)
        topic = pc.topics.camera("top", "status")
        until(lambda: collector.states.get(topic, [{}])[-1].get("state") == "up")
        (parts / "slow.png").write_bytes(picture[: len(picture) // 2])
        (parts / "whole.png").write_bytes(picture)
        assert collector.wait_for(1, 30, "verdict") == 1
        (parts / "slow.png").write_bytes(picture)
        until(lambda: noted.exists() and len(noted.read_text("utf-8").split()) == 2)
        kill(process.pid)
        process.communicate()
        (parts / "later.png").write_bytes(picture)
        process = pc.start(table, at_end=False)
        assert collector.wait_for(3, 30, "verdict") == 3
        process.terminate()
        pc.end_of(process)
        verdicts = [(v["part_id"], v["verdict"]) for v in collector.data("verdict")]
    assert verdicts == [("whole", "defect"), ("slow", "defect"), ("later", "defect")]
