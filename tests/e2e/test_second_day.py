"""The second day: alerts of ``unknown`` get a name, and both kinds of class work.

Day one knows photos of good parts only; its alerts are judged on the dashboard and
exported. On the second day comes a defect that nobody has named. Made-up plates of 128
pixels: the first day shows cracks and stains, the second one chips too. A stain may be
faint: a named class has learned it, and ``unknown`` sees the strong ones only.
"""

import http.client
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.preprocess import Frame
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.small_line import shown_kind, small_line

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

SIDE = 128
GOOD = 100
FIRST_DAY = {"crack": 14, "stain": 18, "good": 12}
SECOND_DAY = {"crack": 10, "stain": 14, "chip": 10, "good": 30}
SMALL = ("--size", SIDE)
# The backbone stays: trained on two kinds of defect, it would hide the third one.
NAMED = ("--epochs", 30, "--batch", 4, "--learning-rate", 4e-3, "--freeze", "trunk")


@dataclass(frozen=True)
class SecondDay:
    """Alerts by what the parts show, on the first day and of three models later."""

    first: Counter[str]
    exported: list[str]  # names of the classes in the merged data set
    unknown: Counter[str]
    named: Counter[str]
    both: Counter[str]


def escapes(alerts: Counter[str]) -> int:
    """Return how many defective parts of the second day raised no alert."""
    return sum(n - alerts[kind] for kind, n in SECOND_DAY.items() if kind != "good")


def draw_part(rng: np.random.Generator, kind: str) -> Frame:
    """Return a brushed plate in another place, turn, light and print each time."""
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    picture = np.full((SIDE, SIDE, 3), 150, np.float32)
    period, phase = rng.uniform(3, 7), rng.uniform(0, 6)
    picture += (np.sin(columns / period + phase) * rng.uniform(3, 8))[:, :, None]
    x, y = rng.integers(36, 76, 2).tolist()
    lot, corner = np.zeros((SIDE, SIDE), np.uint8), (int(rng.integers(30, 56)), 98)
    text = str(rng.integers(100, 999))
    cv2.putText(lot, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255)
    picture -= lot[:, :, None] * 0.35
    if kind == "crack":
        end = x + int(rng.integers(12, 20)), y + int(rng.integers(-10, 12))
        cv2.line(picture, (x, y), end, (235, 235, 235), 2)
    elif kind == "stain":
        spot = np.zeros((SIDE, SIDE), np.float32)
        cv2.circle(spot, (x + 4, y), int(rng.integers(6, 9)), 1, -1)
        depth = rng.uniform(25, 75)
        picture -= cv2.GaussianBlur(spot, (0, 0), 1.2)[:, :, None] * depth
    plate = (abs(columns - 64) < 40) & (abs(rows - 64) < 40)
    if kind == "chip":
        away = np.hypot(columns - 64 - 40, rows - y)
        plate &= away > rng.uniform(7, 11)
    turn = cv2.getRotationMatrix2D((64, 64), rng.uniform(-25, 25), 1)
    turn[:, 2] += rng.uniform(-12, 12, 2)
    picture = cv2.warpAffine(picture, turn, (SIDE, SIDE))
    cover = cv2.warpAffine(plate.astype(np.float32), turn, (SIDE, SIDE))[:, :, None]
    belt = cv2.GaussianBlur(rng.normal(0, 60, (SIDE, SIDE)), (0, 0), 3) + 60
    picture = picture * cover + belt[:, :, None] * (1 - cover)
    picture += rng.normal(0, 4, picture.shape) + rng.integers(-15, 15)
    lit: Frame = picture.clip(0, 255).astype(np.uint8)
    return lit


def show_parts(folder: Path, kinds: dict[str, int], seed: int) -> None:
    """Put parts before the camera; their names state what they show."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    shown = [kind for kind, count in kinds.items() for _ in range(count)]
    for number, kind in enumerate(shown):
        assert cv2.imwrite(
            str(folder / f"{number:02}-{kind}.png"), draw_part(rng, kind)
        )


def name_alerts(dashboard: DashboardProcess, alerts: list[dict[str, Any]]) -> None:
    """Judge every alert over the dashboard, as a person does who sees the part."""
    for kind in {shown_kind(alert) for alert in alerts}:
        ids = [alert["id"] for alert in alerts if shown_kind(alert) == kind]
        verdict: dict[str, object] = {"verdict": "false-alarm"}
        if kind != "good":
            verdict = {"verdict": "other-class", "label": kind}
        body = json.dumps({"kind": "verdict", "ids": ids, **verdict})
        page = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=20)
        headers = {
            "Authorization": f"Bearer {dashboard.token}",
            "Content-Type": "application/json",
        }
        page.request("POST", "/api/reviews", body, headers)
        assert json.load(page.getresponse())["changed"] == len(ids)
        page.close()


def second_day(folder: Path, seed: int) -> SecondDay:
    """Run both days in a folder."""
    show_parts(folder / "day-one" / "good", {"good": GOOD}, 10 * seed)
    show_parts(folder / "monday", FIRST_DAY, 10 * seed + 1)
    show_parts(folder / "tuesday", SECOND_DAY, 10 * seed + 2)
    with small_line(folder) as line:

        def make(model: str, data: str, *options: object) -> None:
            line.run("train", data, "--out", model, *SMALL, *options, "--json")
            line.put_in_force(model, f"{model}-pc")

        make("unknown", "day-one")
        first = line.inspect("monday", "unknown-pc")
        name_alerts(line.dashboard, first)
        labels = line.merge_judged("day-one", "day-two")["labels"]
        make("named", "day-two", *NAMED)
        make("both", "day-two", *NAMED, "--unknown")
        models = ("unknown", "named", "both")
        alerts = [count_parts(line.inspect("tuesday", f"{m}-pc")) for m in models]
    return SecondDay(count_parts(first), labels, *alerts)


def count_parts(alerts: list[dict[str, Any]]) -> Counter[str]:
    """Return how many parts raised an alert, by what they show."""
    parts = {str(alert["part_id"]) for alert in alerts}
    return Counter(part.rpartition("-")[2] for part in parts)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> SecondDay:
    return second_day(tmp_path_factory.mktemp("days"), 0)


def test_model_of_good_parts_alone_raises_alerts_of_defects(day: SecondDay) -> None:
    defects = sum(n for kind, n in FIRST_DAY.items() if kind != "good")
    assert day.first["crack"] + day.first["stain"] >= 0.75 * defects
    assert day.first["good"] <= 2


def test_alerts_that_a_person_named_are_the_classes_of_the_second_training(
    day: SecondDay,
) -> None:
    assert sorted(day.exported) == ["crack", "stain"]


# Four seeds, escapes of unknown, named and both: 3 10 0; 2 10 0; 2 11 1; 2 10 0.
def test_named_classes_with_unknown_miss_fewer_than_either_alone(
    day: SecondDay,
) -> None:
    assert escapes(day.both) < escapes(day.unknown)
    assert escapes(day.both) < escapes(day.named)
    # No photo of a chip was ever labelled; the weights know drawn chips all the same.
    assert day.named["chip"] <= day.both["chip"]
    assert day.both["chip"] >= SECOND_DAY["chip"] // 2
    assert day.both["good"] <= 3
