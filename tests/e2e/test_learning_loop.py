"""The loop of learning: alert, verdict, export, merge, train, flash.

At its end there are fewer false alarms. Made-up parts of 128 x 96 pixels: a bright
square is a defect, a bright disc is none. The first model has never seen a disc. What
is proven is that every step takes what the one before it leaves; one thread, because
small nets gain nothing from more.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dashboard.history.database import Database
from dashboard.history.reviews import (
    OperatorVerdict,
    Review,
    ReviewKind,
    add_review,
)
from dashboard.status import now_ms
from demo.history import HistoryClient
from models.photo_provenance import Provenance
from models.preprocess import Frame
from tests.command import Answer, graftline
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

WIDTH, HEIGHT = 128, 96
TRAIN, VAL, GOOD = 16, 8, 12
DEFECTS, DISCS = 8, 20
SMALL = ("--size", 128, "--batch", 4, "--learning-rate", 4e-3)
STEP_LIMIT_S = 400

EDGE_TOML = """\
[station]
site = "works"
line = "line-1"
station = "press-1"
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
name = "top"
source = "folder:{camera}"
"""


@dataclass(frozen=True)
class Day:
    """What the line did with one batch of parts.

    Args:
        alerts: Number of alerts by what the parts show.
    """

    alerts: Counter[str]


@dataclass(frozen=True)
class Loop:
    """What the loop left behind."""

    folder: Path
    before: Day
    after: Day
    merged: dict[str, Any]
    provenance: Provenance


def draw_part(rng: np.random.Generator, kind: str) -> tuple[Frame, list[int]]:
    """Return a part, and the box of its defect."""
    part = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    part += rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    box: list[int] = []
    x, y = int(rng.integers(12, WIDTH - 32)), int(rng.integers(12, HEIGHT - 32))
    if kind == "defect":
        side = int(rng.integers(14, 20))
        cv2.rectangle(part, (x, y), (x + side, y + side), (235, 235, 235), -1)
        box = [x, y, side + 1, side + 1]
    elif kind == "disc":
        radius = int(rng.integers(12, 15))
        cv2.circle(part, (x + 10, y + 10), radius, (225, 225, 225), -1)
    return part.clip(0, 255).astype(np.uint8), box


def write_dataset(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "good").mkdir()
    for split, count in (("train", TRAIN), ("val", VAL)):
        images, annotations = [], []
        for number in range(count):
            part, box = draw_part(rng, "defect")
            name = f"{split}-{number}.png"
            assert cv2.imwrite(str(folder / "images" / name), part)
            images.append({"id": number, "file_name": name})
            annotations.append({"image_id": number, "category_id": 1, "bbox": box})
        categories = [{"id": 1, "name": "scratch"}]
        document = {"images": images, "annotations": annotations}
        text = json.dumps(document | {"categories": categories})
        (folder / f"{split}.json").write_text(text)
    for number in range(GOOD):
        part, _ = draw_part(rng, "good")
        assert cv2.imwrite(str(folder / "good" / f"{number}.png"), part)


def show_parts(folder: Path, seed: int) -> None:
    """Put parts before the camera; their names state what they show."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    kinds = ["defect"] * DEFECTS + ["disc"] * DISCS
    for number, kind in enumerate(kinds):
        part, _ = draw_part(rng, kind)
        assert cv2.imwrite(str(folder / f"{number:02}-{kind}.png"), part)


def judge(history: Path, alerts: list[dict[str, Any]]) -> None:
    """Judge every alert, as operators do who see the parts."""
    database = Database(history)
    for alert in alerts:
        is_disc = str(alert["part_id"]).endswith("disc")
        verdict = OperatorVerdict.FALSE_ALARM if is_disc else OperatorVerdict.REAL
        review = Review(ReviewKind.VERDICT, verdict)
        with database.write() as connection:
            add_review(connection, "anna", [alert["id"]], review, at_ms=now_ms())
    database.close()


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    folder = tmp_path_factory.mktemp("loop")
    write_dataset(folder / "data")
    with (
        pytest.MonkeyPatch.context() as patch,
        Broker(make(folder / "broker")) as broker,
        DashboardProcess(make(folder / "dashboard"), broker.port) as dashboard,
    ):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        patch.setenv("GRAFTLINE_CACHE", str(folder / "cache"))
        dashboard.wait_connected()
        client = HistoryClient(dashboard.port, dashboard.token)

        def run(*arguments: object) -> Answer:
            answer = graftline(*arguments, cwd=folder, timeout_s=STEP_LIMIT_S)
            assert answer.code == 0, answer.errors
            return answer

        def put_in_force(model: str) -> None:
            run("pack", model, "--out", f"{model}-package", "--no-int8", "--json")
            run("flash", f"{model}-package", "local:line-pc", "--json")

        def work(camera: str, seed: int) -> list[dict[str, Any]]:
            show_parts(folder / camera, seed)
            text = EDGE_TOML.format(port=broker.port, camera=camera)
            (folder / "edge.toml").write_text(text)
            known = {alert["id"] for alert in client.rows()}
            run("run", "--config", "edge.toml", "--exit-at-end", "--json")
            return [alert for alert in client.rows() if alert["id"] not in known]

        run("train", "data", "--out", "first", "--epochs", 12, *SMALL, "--json")
        put_in_force("first")
        before = work("monday", 1)
        judge(folder / "dashboard" / "history.sqlite3", before)
        with dashboard.open("/learning/export.zip?format=coco") as answer:
            (folder / "export.zip").write_bytes(answer.read())
        merge = ("merge", "export.zip", "data", "--out", "data-2", "--json")
        merged = run(*merge).json
        again = ("--from", "first", "--out", "second", "--epochs", 24)
        run("train", "data-2", *again, *SMALL, "--json")
        put_in_force("second")
        after = work("tuesday", 2)
    text = (folder / "data-2" / "provenance.json").read_text("utf-8")
    return Loop(
        folder,
        Day(count_kinds(before)),
        Day(count_kinds(after)),
        merged,
        Provenance.model_validate_json(text),
    )


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def count_kinds(alerts: list[dict[str, Any]]) -> Counter[str]:
    return Counter(str(alert["part_id"]).rpartition("-")[2] for alert in alerts)


def test_model_that_learned_from_verdicts_raises_fewer_false_alarms(loop: Loop) -> None:
    assert loop.before.alerts["disc"] >= DISCS // 2, "the first model knows no disc"
    assert loop.after.alerts["disc"] <= loop.before.alerts["disc"] / 2
    assert loop.after.alerts["defect"] >= DEFECTS // 2, "it still finds defects"


def test_every_judged_photo_is_in_the_dataset_with_its_verdict(loop: Loop) -> None:
    alerts = loop.before.alerts
    assert sum(loop.merged["added"].values()) == alerts.total()
    assert loop.merged["added_good"] == alerts["disc"]
    verdicts = Counter(
        alert.verdict
        for photo in loop.provenance.photos.values()
        for alert in photo.alerts
    )
    assert verdicts == {
        "false-alarm": alerts["disc"],
        "real-defect": alerts["defect"],
    }
    assert len(list((loop.folder / "data-2" / "good").iterdir())) == (
        GOOD + alerts["disc"]
    )
