"""All rules of one camera together: what is told of a frame."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edge.config.camera import CameraSettings
from edge.frame import Stamp
from edge.inspection.camera_channel import CameraChannel, RuleResult
from edge.inspection.camera_set import build_lane, capture_plan, check_labels
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.part_counter import Belt, PartCounter
from edge.rules.regions import Region, RegionKind
from edge.rules.tracker import Tracker
from models.detections import Detections, no_detections
from models.errors import ConfigError
from models.messages import CameraState, VerdictKind
from tests.simulators.cameras import SimCamera, sim_model

S = 1_000_000_000
PIXELS = np.zeros((480, 640, 3), np.uint8)
LEFT = [(0.0, 0.0), (0.5, 0), (0.5, 1), (0, 1)]
SCRATCH, DENT = 0, 1


def lane(
    *regions: Region,
    is_triggered: bool = False,
    cool_down_s: float = 0,
    streak: DefectRateAlarm | None = None,
) -> CameraChannel:
    """Return a lane that confirms a defect at once."""
    camera = SimCamera("top", is_triggered=is_triggered)
    return CameraChannel(
        camera,  # type: ignore[arg-type]
        Tracker(1, 1, max_missed=0),
        regions,
        AlertSuppression(cool_down_s),
        streak or DefectRateAlarm(),
    )


def region(name: str = "rim", **rules: object) -> Region:
    return Region.of(name, RegionKind.INSPECT, LEFT, **rules)  # type: ignore[arg-type]


def seen(x_px: float, label: int = SCRATCH, score: float = 0.9) -> Detections:
    box = [[x_px - 10, 90, x_px + 10, 110]]
    return Detections(
        np.array(box, np.float32), np.array([score], np.float32), np.array([label])
    )


def show(
    made: CameraChannel, number: int, found: Detections, *, period_s: float = 1
) -> RuleResult:
    """Let a lane decide one frame; frames come once a second."""
    stamp = Stamp(number, round(number * period_s * S) + S, number * S, None)
    return made.decide(found, stamp, PIXELS, sim_model())


def flicker(numbers: Sequence[int], x_px: float) -> list[Detections]:
    """Return frames; a defect is in every other one, so each time it is a new one."""
    return [no_detections() if n % 2 else seen(x_px) for n in numbers]


def test_alert_names_its_region() -> None:
    told = show(lane(region()), 0, seen(100))
    assert told.regions == ("rim",)
    assert told.suppressed == (0,)


def test_what_no_region_holds_is_neither_told_nor_confirmed_later() -> None:
    made = lane(region())
    assert [len(show(made, n, seen(600)).detections) for n in range(4)] == [0] * 4


def test_weak_detection_counts_where_a_region_lowers_the_threshold() -> None:
    made = lane(region(thresholds={"scratch": 0.2}))
    assert made.thresholds(sim_model()).tolist() == pytest.approx([0.2, 0.5])
    assert len(show(made, 0, seen(100, score=0.3)).detections) == 1
    assert len(show(lane(region()), 0, seen(100, score=0.3)).detections) == 0


def test_cool_down_counts_what_it_holds_back_and_says_so() -> None:
    made = lane(cool_down_s=7)
    told = [show(made, n, found) for n, found in enumerate(flicker(range(12), 100))]
    assert [len(each.detections) for each in told] == [1, *[0] * 7, 1, 0, 0, 0]
    assert told[8].suppressed == (3,)
    assert made.counters.suppressed == 4


def test_triggered_part_is_told_in_full_whatever_the_cool_down() -> None:
    made = lane(region(), is_triggered=True, cool_down_s=1000)
    for number in range(3):
        told = show(made, number, seen(100))
        assert (len(told.detections), told.suppressed) == (1, (0,))
        assert told.regions == ("rim",)


def test_streak_degrades_the_camera_and_quiet_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    made = lane(cool_down_s=1000, streak=DefectRateAlarm(alerts=2, window_s=20))
    for number, found in enumerate(flicker(range(5), 100)):
        show(made, number, found)
    assert made.counters.suppressed == 2  # held back, but defects all the same
    assert made.state is CameraState.DEGRADED
    assert made.reason == "defect streak: more than 2 defects in 20 s"
    assert made.since_wall_ns == 4 * S
    for number in range(5, 40):
        show(made, number, no_detections())
    assert (made.state, made.reason) == (CameraState.UP, "")
    assert made.since_wall_ns > 4 * S
    events = [record.getMessage().split()[0] for record in caplog.records]
    assert events == ["streak_raised", "streak_ended"]


def test_defective_parts_in_a_row_degrade_the_camera_until_a_good_one() -> None:
    made = lane(is_triggered=True, streak=DefectRateAlarm(parts=2))
    states = []
    for number, kind in enumerate([VerdictKind.DEFECT] * 3 + [VerdictKind.OK]):
        made.count_verdict(kind, Stamp(number, number, number))
        states.append(made.state.value)
    assert states == ["up", "degraded", "degraded", "up"]
    assert made.counters.verdicts[VerdictKind.DEFECT] == 3


def test_lost_camera_stays_lost_and_says_both_reasons() -> None:
    made = lane(is_triggered=True, streak=DefectRateAlarm(parts=1))
    made.count_verdict(VerdictKind.DEFECT, Stamp(0, 0, 0))
    made.camera.state, made.camera.reason = CameraState.LOST, "no frame\nfor 2 s"
    assert made.state is CameraState.LOST
    assert made.reason.startswith("no frame for 2 s; defect streak")


def test_new_model_with_other_labels_gets_its_own_thresholds() -> None:
    made = lane(region(thresholds={"dent": 0.1}))
    model = sim_model()
    assert made.thresholds(model).tolist() == pytest.approx([0.5, 0.1])
    swapped = replace(model, labels=("dent", "scratch"))
    assert made.thresholds(swapped).tolist() == pytest.approx([0.1, 0.5])
    stricter = replace(model, score_thresholds=np.array([0.7, 0.7], np.float32))
    assert made.thresholds(stricter).tolist() == pytest.approx([0.7, 0.1])


def belt_lane() -> CameraChannel:
    """Return a lane that counts parts on a black belt."""
    belt = Belt(PIXELS, (0, 0, 1, 1), 30)
    counter = PartCounter(belt, "run", enter_share=0.05, leave_share=0.02, frames_min=2)
    return replace(lane(cool_down_s=1000), parts=counter)


def pass_by(
    made: CameraChannel, first: int, found: Detections, restarts: int = 0
) -> list[RuleResult]:
    """Let a part pass in three frames, followed by the empty belt."""
    told = []
    for number in range(first, first + 8):
        pixels = PIXELS + np.uint8(200 if number < first + 3 else 0)
        is_seen = number == first + 1
        made.camera.restarts += restarts * is_seen
        stamp = Stamp(number, number * S + S, number * S, None)
        seen_now = found if is_seen else no_detections()
        told.append(made.decide(seen_now, stamp, pixels, sim_model()))
    return told


def test_alert_carries_the_counted_part_and_the_cool_down_spares_no_verdict() -> None:
    made = belt_lane()
    for number, found in enumerate([seen(100), seen(100), no_detections()]):
        told = pass_by(made, 8 * number, found)
        alerts = [each.part_id for each in told if len(each.detections)]
        assert alerts == (["run-1"] if number == 0 else [])
        (left,) = [each.left for each in told if each.left]
        verdict = VerdictKind.DEFECT if len(found) else VerdictKind.OK
        assert (left.part_id, left.verdict) == (f"run-{number + 1}", verdict)
        assert left.stamp.frame_id == 8 * number + 2
    assert made.finish() is None


def test_counted_part_is_never_ok_when_the_camera_was_away_meanwhile() -> None:
    told = pass_by(belt_lane(), 0, no_detections(), restarts=1)
    (left,) = [each.left for each in told if each.left]
    assert left.verdict is VerdictKind.NOT_INSPECTED


def ruled(thresholds: dict[str, float]) -> CameraSettings:
    """Return a camera with one region."""
    rim = {"name": "rim", "polygon": LEFT, "thresholds": thresholds}
    text = {"name": "top", "source": "folder:parts", "region": [rim]}
    return CameraSettings.model_validate(text)


def test_rule_for_an_unknown_label_is_refused_with_what_the_model_knows() -> None:
    with pytest.raises(ConfigError) as caught:
        check_labels([ruled({"scrach": 0.4, "dent": 0.4})], sim_model())
    assert "camera top: region rim has a threshold for 'scrach'" in caught.value.what
    assert "knows scratch, dent" in caught.value.why
    check_labels([ruled({"dent": 0.4})], sim_model())


def test_new_rules_keep_the_process_of_the_camera() -> None:
    text = {"name": "top", "source": "folder:parts"}
    before = build_lane(CameraSettings.model_validate(text))
    rules = {"region": [{"name": "rim", "polygon": LEFT}], "cool_down_s": 5}
    changed = CameraSettings.model_validate({**text, **rules})
    assert capture_plan(changed) == before.camera.plan
    after = build_lane(changed, before.camera)
    assert after.camera is before.camera
    assert [each.name for each in after.regions] == ["rim"]
