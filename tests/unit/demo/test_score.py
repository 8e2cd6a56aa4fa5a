"""Alerts are matched with defects by frame and place."""

import json
from pathlib import Path

from demo.score import Defect, ScoredAlert, Truth, TruthPart, read_truth, score

STEP_PX = 10.0


def moving(first: int, last: int, y: float = 50) -> Defect:
    """Return a defect that enters at the left and moves to the right."""
    boxes = {
        frame: (x := (frame - first) * STEP_PX, y, x + 12, y + 12)
        for frame in range(first, last + 1)
    }
    return Defect("scratch", boxes)


GOOD = TruthPart(0, 0, 9, ())
SCRATCHED = TruthPart(1, 12, 21, (moving(13, 20),))
TWICE_SCRATCHED = TruthPart(2, 24, 33, (moving(25, 32), moving(25, 32, y=200)))
TRUTH = Truth(STEP_PX, (GOOD, SCRATCHED, TWICE_SCRATCHED))


def alert_on(defect: Defect, frame: int, name: str = "") -> ScoredAlert:
    box = defect.box_at(frame, STEP_PX)
    assert box is not None
    return ScoredAlert(name or f"s:{frame}", frame, (box,))


def elsewhere(frame: int) -> ScoredAlert:
    return ScoredAlert(f"s:{frame}", frame, ((400, 400, 410, 410),))


def test_without_alerts_every_defective_part_is_missed() -> None:
    result = score(TRUTH, [])
    assert (result.parts, result.defective_parts, result.good_parts) == (3, 2, 1)
    assert (result.caught, result.missed, result.false_alarms) == (0, 2, 0)
    assert result.recall_of_defective_parts == 0
    assert result.false_alarm_share == 0


def test_one_alert_for_each_defect_is_perfect() -> None:
    alerts = [
        alert_on(SCRATCHED.defects[0], 14),
        alert_on(TWICE_SCRATCHED.defects[0], 26),
        alert_on(TWICE_SCRATCHED.defects[1], 27),
    ]
    result = score(TRUTH, alerts)
    assert (result.caught, result.missed) == (2, 0)
    assert (result.defects, result.defects_alerted) == (3, 3)
    assert (result.duplicates, result.false_alarms) == (0, 0)
    assert result.recall_of_defective_parts == 1


def test_second_alert_for_one_defect_is_a_duplicate() -> None:
    defect = SCRATCHED.defects[0]
    assert score(TRUTH, [alert_on(defect, f) for f in (14, 17, 19)]).duplicates == 2


def test_defect_that_leaves_the_picture_is_still_the_same_defect() -> None:
    defect = SCRATCHED.defects[0]
    assert 21 not in defect.boxes
    assert score(TRUTH, [alert_on(defect, f) for f in (19, 21)]).duplicates == 1


def test_two_boxes_of_one_alert_on_one_defect_are_not_duplicates() -> None:
    one = alert_on(SCRATCHED.defects[0], 14)
    assert score(TRUTH, [ScoredAlert(one.id, 14, one.boxes * 2)]).duplicates == 0


def test_two_defects_in_one_alert_are_both_alerted() -> None:
    boxes = [alert_on(defect, 26).boxes[0] for defect in TWICE_SCRATCHED.defects]
    result = score(TRUTH, [ScoredAlert("s:1", 26, tuple(boxes))])
    assert (result.defects_alerted, result.duplicates) == (2, 0)


def test_same_event_twice_in_the_history_is_a_duplicate() -> None:
    assert score(TRUTH, [elsewhere(30), elsewhere(30)]).duplicates == 1


def test_two_alerts_on_a_good_part_are_one_false_alarm() -> None:
    result = score(TRUTH, [elsewhere(3), elsewhere(5)])
    assert result.false_alarms == 1
    assert result.false_alarm_share == 1


def test_alert_on_a_defective_part_counts_as_caught_also_beside_its_defect() -> None:
    result = score(TRUTH, [elsewhere(15)])
    assert (result.caught, result.alerts_beside_defects) == (1, 1)
    assert result.defects_alerted == 0


def test_alert_between_two_parts_belongs_to_no_part() -> None:
    result = score(TRUTH, [elsewhere(10)])
    assert (result.caught, result.false_alarms) == (0, 0)
    assert result.alerts_on_empty_belt == 1


def test_truth_is_read_as_synth_writes_it(tmp_path: Path) -> None:
    boxes = {"4": [1.0, 2.0, 3.0, 4.0]}
    defect = {"label": "dent", "first_frame": 4, "last_frame": 4, "boxes": boxes}
    part = {"id": 7, "first_frame": 2, "last_frame": 13, "defects": [defect]}
    document = {"schema_version": 1, "fps": 30, "step_px": 64, "parts": [part]}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(document))
    expected = Defect("dent", {4: (1, 2, 3, 4)})
    assert read_truth(path) == Truth(64, (TruthPart(7, 2, 13, (expected,)),))
