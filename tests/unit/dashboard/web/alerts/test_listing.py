from typing import Any

import pytest

from dashboard.plant_settings import PlantSettings
from dashboard.web.alerts.listing import Listing, drawn_boxes, roughly, title_of
from dashboard.web.language import languages

SETTINGS = PlantSettings(
    zone="Europe/Berlin",
    names={"plant/line-1": "Linie Nord", "plant/line-1/press-1/top": "Oben"},
)


def alert(**changes: Any) -> dict[str, Any]:
    box = {"label": "scratch", "score": 0.874, "box_norm": [0.1, 0.1, 0.2, 0.3]}
    state = dict.fromkeys(("verdict", "verdict_label", "judged_by", "judged_ms"))
    return {
        "n": 7,
        "id": "press-1-00ff:7",
        "happened_ms": 1_782_900_000_000,
        "received_ms": 1_782_900_000_000,
        "site": "plant",
        "line": "line-1",
        "station": "press-1",
        "camera": "top",
        "part_id": None,
        "frame_id": 5,
        "frame_width_px": 640,
        "frame_height_px": 480,
        "detections": [box],
        "boxes": 1,
        "has_image": True,
        "awaits_image": False,
        "comments": 0,
        "clock_synchronized": True,
        "acknowledged_ms": None,
        "acknowledged_by": None,
        "shelf": None,
        **state,
        **changes,
    }


def listing(code: str = "en") -> Listing:
    return Listing(languages()[code], SETTINGS)


def texts(**changes: Any) -> list[str]:
    return [badge["text"] for badge in listing().badges(alert(**changes))]


def test_row_has_date_zone_and_place_of_the_plant() -> None:
    row = listing().row(alert(), "line=line-1")
    assert (row["date"], row["time"], row["zone"]) == ("2026-07-01", "12:00:00", "CEST")
    assert row["place"] == "Linie Nord / press-1 / Oben"
    assert (row["title"], row["score"], row["part"]) == ("scratch", "87 %", "frame 5")
    assert row["href"] == "/alerts/press-1-00ff%3A7?line=line-1"
    assert row["key"] == "1782900000000.7"


def test_row_is_in_the_language_of_the_reader() -> None:
    row = listing("de").row(alert())
    assert (row["date"], row["part"]) == ("01.07.2026", "Bild 5")


@pytest.mark.parametrize(
    ("labels", "title"),
    [
        (["a"], "a"),
        (["a", "a"], "a \N{MULTIPLICATION SIGN}2"),
        (["a", "b", "a"], "a +2"),
    ],
)
def test_title_names_the_surest_class(labels: list[str], title: str) -> None:
    boxes = [{"label": each, "score": 1 / (n + 1)} for n, each in enumerate(labels)]
    assert title_of({"detections": boxes, "boxes": len(boxes)}) == title


def test_badges_show_what_people_did_and_how_late_it_came() -> None:
    assert texts() == []
    assert texts(acknowledged_ms=1, acknowledged_by="ada") == ["Acknowledged by ada"]
    judged = {"judged_by": "bob", "judged_ms": 1}
    assert texts(verdict="false-alarm", **judged) == ["False alarm"]
    assert texts(verdict="other-class", verdict_label="dent", **judged) == ["Is dent"]
    assert texts(comments=2, shelf=1) == ["2 comments", "On a shelf"]
    late = {"received_ms": 1_782_900_360_000}
    assert texts(**late) == ["6 min late"]
    titles = [
        listing("en").badges(alert(**late, clock_synchronized=each))[0]["title"]
        for each in (True, False)
    ]
    assert "not synchronized" not in titles[0]
    assert "not synchronized; the time is corrected" in titles[1]


def test_small_box_is_drawn_large_enough_to_be_seen() -> None:
    (box,) = drawn_boxes(alert())
    assert box["width"] == 64
    tiny = alert(
        detections=[{"label": "a", "score": 1, "box_norm": [0.5, 0.5, 0.501, 0.501]}]
    )
    (box,) = drawn_boxes(tiny)
    assert box["width"] == pytest.approx(57.6)
    assert box["x"] + box["width"] / 2 == pytest.approx(320.3, abs=0.1)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(9_999, "9 s"), (60_000, "1 min"), (90_000_000, "25 h"), (180_000_000, "2 d")],
)
def test_length_is_rounded_down(ms: int, text: str) -> None:
    assert roughly(ms) == text
