"""The loop of learning: alert, verdict, export, merge, train, flash.

At its end there are fewer false alarms. Made-up parts of 128 x 96 pixels: a bright
square is a defect, a bright disc is none. The first model has never seen a disc. What
is proven is that every step takes what the one before it leaves.
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
from models.photo_provenance import Provenance
from models.preprocess import Frame
from tests.simulators.small_line import shown_kind, small_line

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

WIDTH, HEIGHT = 128, 96
TRAIN, VAL, GOOD = 16, 8, 12
DEFECTS, DISCS = 8, 20
SMALL = ("--size", 128, "--batch", 4, "--learning-rate", 4e-3)


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
    with small_line(folder) as line:
        train = ("train", *SMALL, "--json")
        line.run(*train, "data", "--out", "first", "--epochs", 12)
        line.put_in_force("first")
        show_parts(folder / "monday", 1)
        before = line.inspect("monday")
        judge(folder / "dashboard" / "history.sqlite3", before)
        merged = line.merge_judged("data", "data-2")
        again = ("--from", "first", "--out", "second", "--epochs", 24)
        line.run(*train, "data-2", *again)
        line.put_in_force("second")
        show_parts(folder / "tuesday", 2)
        after = line.inspect("tuesday")
    text = (folder / "data-2" / "provenance.json").read_text("utf-8")
    return Loop(
        folder,
        Day(Counter(map(shown_kind, before))),
        Day(Counter(map(shown_kind, after))),
        merged,
        Provenance.model_validate_json(text),
    )


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
