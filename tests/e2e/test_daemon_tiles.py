"""The real daemon with a package whose frames are cut into tiles."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.preprocess import Frame
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import CELL_PX, GREY, make_tiled_package

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SCALE = 2  # a frame's pixels for one of the picture that is cut into tiles
HEIGHT_PX, WIDTH_PX = 576 * SCALE, 832 * SCALE
ALONE = (256 + 64, 32)  # seen by the middle tile of the upper row only
SHARED = (512 + 32, 256 + 32)  # in the overlap of four tiles


def large_part(*corners: tuple[int, int]) -> Frame:
    """Return a large grey frame with a small bright defect at each corner."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), GREY, np.uint8)
    side = CELL_PX * SCALE
    for x, y in corners:
        top, left = y * SCALE, x * SCALE
        frame[top : top + side, left : left + side] = 250
    return frame


def test_small_defects_of_a_large_frame_are_reported_once_at_their_place(
    tmp_path: Path,
) -> None:
    pc_folder = tmp_path / "pc"
    (pc_folder / "parts").mkdir(parents=True)
    parts = {"a-good": (), "b-alone": (ALONE,), "c-both": (ALONE, SHARED)}
    for name, corners in parts.items():
        path = pc_folder / "parts" / f"{name}.png"
        assert cv2.imwrite(str(path), large_part(*corners))
    package = make_tiled_package(pc_folder / "package")
    (tmp_path / "broker").mkdir()
    with (
        Broker(tmp_path / "broker") as broker,
        SimCollector(tmp_path, broker.port) as collector,
    ):
        pc = DaemonPc(pc_folder, broker.port, package)
        code, figures, stderr = pc.run(camera_table("top", "folder:parts"))
        alerts = collector.data()
    assert code == 0, stderr
    verdicts = figures["cameras"]["top"]["verdicts"]
    assert verdicts == {"ok": 1, "defect": 2, "not-inspected": 0}
    reported = {a["part_id"]: [d["box_px"] for d in a["detections"]] for a in alerts}
    side = CELL_PX * SCALE
    for name in ("b-alone", "c-both"):
        wanted = [
            [SCALE * x, SCALE * y, SCALE * x + side, SCALE * y + side]
            for x, y in parts[name]
        ]
        assert sorted(reported.pop(name)) == [
            pytest.approx(box, abs=0.1) for box in sorted(wanted)
        ]
    assert not reported
