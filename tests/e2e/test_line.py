"""The whole line on real boards, in short: photos to alerts in the history.

40 labelled boards and some good ones, six epochs at 320 px: enough to find defects on
some of the boards. What is proven here is the way of every alert; how good a model
gets is measured by ``bench/real_line.py``.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.history import HistoryClient
from models.manifest import VariantName
from models.package import open_package
from tests.command import Answer, graftline
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

TRAIN_BOARDS, VAL_BOARDS, GOOD_BOARDS = 26, 14, 24
CAMERA = "boards"

EDGE_TOML = """\
[station]
site = "works"
line = "line-1"
station = "boards-1"
[model]
slot = "line-pc"
[broker]
port = {port}
collector_ack = "required"
[outbox]
path = "outbox.sqlite3"
[evidence]
folder = "evidence"
[[camera]]
name = "boards"
source = "folder:camera"
"""


@dataclass(frozen=True)
class Line:
    """What the line left behind.

    Args:
        folder: Where it was.
        trained: JSON of ``train --json``.
        evaluated: JSON of ``evaluate --json`` for the package.
        ran: JSON of ``run --json``.
        alerts: All alerts of the dashboard's history, oldest first.
    """

    folder: Path
    trained: dict[str, Any]
    evaluated: dict[str, Any]
    ran: dict[str, Any]
    alerts: list[dict[str, Any]]

    @property
    def camera(self) -> dict[str, Any]:
        """The daemon's figures of the one camera."""
        figures = self.ran["cameras"][CAMERA]
        assert isinstance(figures, dict)
        return figures


def link_boards(pcb: Path, folder: Path) -> None:
    """Make a small dataset that only links to the real one."""
    (folder / "good").mkdir(parents=True)
    (folder / "images").mkdir()
    for split, count in (("train", TRAIN_BOARDS), ("val", VAL_BOARDS)):
        document = json.loads((pcb / f"{split}.json").read_text())
        images = document["images"][:count]
        known = {image["id"] for image in images}
        rows = [row for row in document["annotations"] if row["image_id"] in known]
        for image in images:
            (folder / image["file_name"]).symlink_to(pcb / image["file_name"])
        small = {**document, "images": images, "annotations": rows}
        (folder / f"{split}.json").write_text(json.dumps(small))
    for picture in sorted((pcb / "good").iterdir())[:GOOD_BOARDS]:
        (folder / "good" / picture.name).symlink_to(picture)


def show_boards(data: Path, camera: Path) -> list[str]:
    """Put val and good boards before the camera; return their part ids."""
    camera.mkdir()
    val = json.loads((data / "val.json").read_text())["images"]
    boards = [data / image["file_name"] for image in val]
    boards += sorted((data / "good").iterdir())
    for number, board in enumerate(boards):
        link = camera / f"{number:03}-{board.parent.name}{board.suffix}"
        link.symlink_to(board.resolve())
    return [path.stem for path in sorted(camera.iterdir())]


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer.errors
    return answer


@pytest.fixture(scope="module")
def line(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    folder = tmp_path_factory.mktemp("line")
    data = folder / "data"
    link_boards(shared / "data" / "pcb", data)
    weights = shared / "weights" / "yolox_nano_coco.pth"

    def run(*arguments: object) -> Answer:
        return done(graftline(*arguments, cwd=folder, timeout_s=200))

    budget = (
        *("--size", 320, "--epochs", 6),
        *("--batch", 2, "--learning-rate", 4e-3),  # warm-up has no time to end
    )
    trained = run(
        "train", "data", "--weights", weights, "--out", "run", *budget, "--json"
    ).json
    run("pack", "run", "--out", "package", "--json")
    evaluated = run("evaluate", "package", "data", "--json").json
    run("flash", "package", "local:line-pc", "--json")
    show_boards(data, folder / "camera")
    for name in ("broker", "dashboard"):
        (folder / name).mkdir()
    with (
        Broker(folder / "broker") as broker,
        DashboardProcess(folder / "dashboard", broker.port) as dashboard,
    ):
        dashboard.wait_connected()
        (folder / "edge.toml").write_text(EDGE_TOML.format(port=broker.port))
        ran = run("run", "--config", "edge.toml", "--exit-at-end", "--json").json
        alerts = HistoryClient(dashboard.port, dashboard.token).rows()
    return Line(folder, trained, evaluated, ran, alerts)


def test_every_board_gets_one_verdict(line: Line) -> None:
    boards = VAL_BOARDS + GOOD_BOARDS
    verdicts = line.camera["verdicts"]
    assert line.camera["frames_inspected"] == boards
    assert sum(verdicts.values()) == boards
    assert verdicts["not-inspected"] == 0
    assert line.ran["outbox"]["committed"] == boards + line.camera["alerts"]


def test_every_defective_verdict_has_an_alert_in_the_history_and_none_twice(
    line: Line,
) -> None:
    assert line.camera["alerts"] > 0
    assert line.camera["alerts"] == line.camera["verdicts"]["defect"]
    assert len(line.alerts) == line.camera["alerts"]
    assert len({alert["id"] for alert in line.alerts}) == len(line.alerts)
    parts = [alert["part_id"] for alert in line.alerts]
    assert len(set(parts)) == len(parts)
    assert line.ran["outbox"]["undelivered"] == 0


def test_alert_names_the_board_that_the_camera_saw(line: Line) -> None:
    boards = [path.stem for path in sorted((line.folder / "camera").iterdir())]
    for alert in line.alerts:
        assert boards[alert["frame_id"]] == alert["part_id"]
        assert alert["frame_width_px"] == alert["frame_height_px"] == 640


def test_picture_of_every_alert_is_on_the_disk_and_in_the_history(line: Line) -> None:
    for alert in line.alerts:
        assert (line.folder / "evidence" / alert["evidence"]).is_file()
        assert alert["has_image"]


def test_package_that_ran_is_the_one_that_was_packed(line: Line) -> None:
    package = open_package(line.folder / "package")
    assert line.ran["model"]["sha256"] == package.sha256
    assert {alert["model"]["sha256"] for alert in line.alerts} == {package.sha256}
    floats = {VariantName.OPENVINO_FP32, VariantName.ONNX_FP32}
    assert floats <= set(package.manifest.variants)


def test_package_finds_what_the_run_found(line: Line) -> None:
    metrics = line.trained["metrics"]
    assert metrics["images"] == line.evaluated["images"]
    assert line.evaluated["map_33"] == pytest.approx(metrics["map_33"], abs=0.01)
    assert metrics["map_33"] > 0.005, "six epochs must leave a trace"
