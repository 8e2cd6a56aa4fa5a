"""All rules of one camera together: what is reported of a frame."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edge.config.camera import CameraSettings
from edge.frame import Stamp
from edge.inspection.camera_channel import CameraChannel, RuleResult
from edge.inspection.camera_set import build_channel, capture_plan, check_labels
from edge.inspection.model import LoadedModel
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.part_counter import Belt, PartCounter
from edge.rules.regions import Region, RegionKind
from edge.rules.tracker import Tracker
from models.detections import Detections, no_detections
from models.errors import ConfigError
from models.messages import CameraState, VerdictKind
from tests.simulators.cameras import SimCamera, sim_channel, sim_model

S = 1_000_000_000
PIXELS = np.zeros((480, 640, 3), np.uint8)
LEFT = [(0.0, 0.0), (0.5, 0), (0.5, 1), (0, 1)]
SCRATCH, DENT = 0, 1


def alarm(*, parts: int = 0, alerts: int = 0) -> DefectRateAlarm:
    return DefectRateAlarm(parts=parts, alerts=alerts, window_s=20)


def channel(
    *regions: Region,
    is_triggered: bool = False,
    cool_down_s: float = 0,
    defect_rate: DefectRateAlarm | None = None,
) -> CameraChannel:
    """Return a channel that confirms a defect at once."""
    camera = SimCamera("top", is_triggered=is_triggered)
    return CameraChannel(
        camera,  # type: ignore[arg-type]
        Tracker(1, 1, iou_threshold=0.2, max_missed=0),
        regions,
        AlertSuppression(cool_down_s),
        defect_rate or alarm(),
    )


def lowest(made: CameraChannel, model: LoadedModel) -> list[float]:
    return made.region_map(model).lowest_thresholds.tolist()


def region(name: str = "rim", **rules: object) -> Region:
    return Region.from_polygon(name, RegionKind.INSPECT, LEFT, **rules)  # type: ignore[arg-type]


def seen(x_px: float, label: int = SCRATCH, score: float = 0.9) -> Detections:
    box = [[x_px - 10, 90, x_px + 10, 110]]
    return Detections(
        np.array(box, np.float32), np.array([score], np.float32), np.array([label])
    )


def show(
    made: CameraChannel, number: int, found: Detections, *, period_s: float = 1
) -> RuleResult:
    """Let a channel decide one frame; frames come once a second."""
    stamp = Stamp(number, round(number * period_s * S) + S, number * S, None)
    return made.apply_rules(found, stamp, PIXELS, made.region_map(sim_model()))


@pytest.mark.parametrize(("cross_class_iou", "defects"), [(None, 2), (0.7, 1)])
def test_part_with_boxes_of_two_labels_is_decided_by_the_package(
    cross_class_iou: float | None, defects: int
) -> None:
    both = [seen(100, SCRATCH), seen(101, 1 - SCRATCH, 0.8)]
    found = Detections(
        np.concatenate([each.boxes for each in both]),
        np.concatenate([each.scores for each in both]),
        np.concatenate([each.labels for each in both]),
    )
    made = channel(is_triggered=True)
    regions = made.region_map(replace(sim_model(), cross_class_iou=cross_class_iou))
    result = made.apply_rules(found, Stamp(0, S, S, None), PIXELS, regions)
    assert len(result.detections) == defects


def flicker(numbers: Sequence[int], x_px: float) -> list[Detections]:
    """Return frames; a defect is in every other one, so each time it is a new one."""
    return [no_detections() if n % 2 else seen(x_px) for n in numbers]


def test_alert_names_its_region() -> None:
    results = show(channel(region()), 0, seen(100))
    assert results.regions == ("rim",)
    assert results.suppressed == (0,)


def test_defect_outside_every_region_is_neither_reported_nor_confirmed_later() -> None:
    made = channel(region())
    assert [len(show(made, n, seen(600)).detections) for n in range(4)] == [0] * 4


def test_weak_detection_counts_where_a_region_lowers_the_threshold() -> None:
    made = channel(region(thresholds={"scratch": 0.2}))
    assert lowest(made, sim_model()) == pytest.approx([0.2, 0.5])
    assert len(show(made, 0, seen(100, score=0.3)).detections) == 1
    assert len(show(channel(region()), 0, seen(100, score=0.3)).detections) == 0


def test_cool_down_reports_how_many_alerts_it_suppressed() -> None:
    made = channel(cool_down_s=7)
    results = [show(made, n, found) for n, found in enumerate(flicker(range(12), 100))]
    assert [len(each.detections) for each in results] == [1, *[0] * 7, 1, 0, 0, 0]
    assert results[8].suppressed == (3,)
    assert made.counters.suppressed == 4


def test_triggered_part_is_reported_in_full_despite_the_cool_down() -> None:
    made = channel(region(), is_triggered=True, cool_down_s=1000)
    for number in range(3):
        results = show(made, number, seen(100))
        assert (len(results.detections), results.suppressed) == (1, (0,))
        assert results.regions == ("rim",)


def test_streak_degrades_the_camera_and_quiet_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    made = channel(cool_down_s=1000, defect_rate=alarm(alerts=2))
    for number, found in enumerate(flicker(range(5), 100)):
        show(made, number, found)
    assert made.counters.suppressed == 2  # suppressed, but defects all the same
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
    made = channel(is_triggered=True, defect_rate=alarm(parts=2))
    states = []
    for number, kind in enumerate([VerdictKind.DEFECT] * 3 + [VerdictKind.OK]):
        made.count_verdict(kind, Stamp(number, number, number))
        states.append(made.state.value)
    assert states == ["up", "degraded", "degraded", "up"]
    assert made.counters.verdicts[VerdictKind.DEFECT] == 3


def test_lost_camera_stays_lost_with_both_reasons() -> None:
    made = channel(is_triggered=True, defect_rate=alarm(parts=1))
    made.count_verdict(VerdictKind.DEFECT, Stamp(0, 0, 0))
    made.camera.state, made.camera.reason = CameraState.LOST, "no frame\nfor 2 s"
    assert made.state is CameraState.LOST
    assert made.reason.startswith("no frame for 2 s; defect streak")


def test_new_model_with_other_labels_gets_its_own_thresholds() -> None:
    made = channel(region(thresholds={"dent": 0.1}))
    model = sim_model()
    assert lowest(made, model) == pytest.approx([0.5, 0.1])
    swapped = replace(model, labels=("dent", "scratch"))
    assert lowest(made, swapped) == pytest.approx([0.1, 0.5])
    stricter = replace(model, score_thresholds=np.array([0.7, 0.7], np.float32))
    assert lowest(made, stricter) == pytest.approx([0.7, 0.1])


def belt_channel() -> CameraChannel:
    """Return a channel that counts parts on a black belt."""
    belt = Belt(PIXELS, (0, 0, 1, 1), 30)
    counter = PartCounter(belt, "run", enter_share=0.05, leave_share=0.02, frames_min=2)
    return replace(channel(cool_down_s=1000), part_counter=counter)


def pass_by(
    made: CameraChannel, first: int, found: Detections, restarts: int = 0
) -> list[RuleResult]:
    """Let a part pass in three frames, followed by the empty belt."""
    results = []
    for number in range(first, first + 8):
        pixels = PIXELS + np.uint8(200 if number < first + 3 else 0)
        is_seen = number == first + 1
        made.camera.restarts += restarts * is_seen
        stamp = Stamp(number, number * S + S, number * S, None)
        detections = found if is_seen else no_detections()
        results.append(
            made.apply_rules(detections, stamp, pixels, made.region_map(sim_model()))
        )
    return results


def test_alert_carries_the_counted_part_and_the_cool_down_spares_no_verdict() -> None:
    made = belt_channel()
    for number, found in enumerate([seen(100), seen(100), no_detections()]):
        results = pass_by(made, 8 * number, found)
        alerts = [each.part_id for each in results if len(each.detections)]
        assert alerts == (["run-1"] if number == 0 else [])
        (left,) = [each.finished_part for each in results if each.finished_part]
        verdict = VerdictKind.DEFECT if len(found) else VerdictKind.OK
        assert (left.part_id, left.verdict) == (f"run-{number + 1}", verdict)
        assert left.stamp.frame_id == 8 * number + 2
    assert made.finish_part() is None


def test_counted_part_is_never_ok_when_the_camera_was_away_meanwhile() -> None:
    results = pass_by(belt_channel(), 0, no_detections(), restarts=1)
    (left,) = [each.finished_part for each in results if each.finished_part]
    assert left.verdict is VerdictKind.NOT_INSPECTED


def ruled(thresholds: dict[str, float]) -> CameraSettings:
    """Return a camera with one region."""
    rim = {"name": "rim", "polygon": LEFT, "thresholds": thresholds}
    text = {"name": "top", "source": "folder:parts", "region": [rim]}
    return CameraSettings.model_validate(text)


def test_rule_for_an_unknown_label_is_refused_with_the_labels_of_the_model() -> None:
    with pytest.raises(ConfigError) as caught:
        check_labels([ruled({"scrach": 0.4, "dent": 0.4})], sim_model())
    assert "camera top: region rim has a threshold for 'scrach'" in caught.value.what
    assert "knows scratch, dent" in caught.value.why
    check_labels([ruled({"dent": 0.4})], sim_model())


def test_new_rules_keep_the_process_of_the_camera() -> None:
    text = {"name": "top", "source": "rtsp://camera/1"}
    before = build_channel(CameraSettings.model_validate(text))
    rules = {"region": [{"name": "rim", "polygon": LEFT}], "cool_down_s": 5}
    changed = CameraSettings.model_validate({**text, **rules})
    assert capture_plan(changed) == before.camera.plan
    after = build_channel(changed, before.camera)
    assert after.camera is before.camera
    assert [each.name for each in after.regions] == ["rim"]


@pytest.mark.parametrize("min_size_px", [0, 20])
def test_new_size_of_the_frames_is_a_fault_where_a_rule_counts_pixels(
    min_size_px: float, caplog: pytest.LogCaptureFixture
) -> None:
    rim = {"name": "rim", "polygon": LEFT, "min_size_px": min_size_px}
    made, model = sim_channel(SimCamera("top"), region=[rim]), sim_model()
    for number, size in enumerate([(48, 64), (48, 64), (96, 128)]):
        pixels = np.zeros((*size, 3), np.uint8)
        stamp = Stamp(number, number, number)
        made.apply_rules(seen(20), stamp, pixels, made.region_map(model))
    assert caplog.text.count("camera_resized camera=top") == 1
    fault = (
        "its frames are 128 x 96 px now, 64 x 48 px before: check min_size_px of rim"
    )
    assert any(fault in each for each in made.faults(model)) is bool(min_size_px)


STRIP = [(0.45, 0.0), (0.55, 0), (0.55, 1), (0.45, 1)]


def crossing_defects(made: CameraChannel, step_px: float, passages: int) -> int:
    """Let pairs of defects cross the frame; return how many are confirmed."""
    confirmed, number = 0, 0
    for _ in range(passages):
        for x_px in np.arange(20, 620, step_px):
            pair = [[x_px - 10, y, x_px + 10, y + 20] for y in (100, 300)]
            found = Detections(
                np.array(pair, np.float32),
                np.full(2, 0.9, np.float32),
                np.zeros(2, int),
            )
            confirmed += len(show(made, number, found, period_s=0.04).detections)
            number += 1
        for _ in range(20):
            show(made, number, no_detections(), period_s=0.04)
            number += 1
    return confirmed


@pytest.mark.parametrize(("k", "is_silent"), [(3, True), (1, False)])
def test_region_that_a_defect_crosses_in_fewer_frames_than_k_is_a_fault(
    k: int, is_silent: bool
) -> None:
    region = {"name": "seam", "polygon": STRIP}
    made = sim_channel(SimCamera("top"), region=[region], k=k, n=5)
    confirmed = crossing_defects(made, step_px=60, passages=3)
    assert (confirmed == 0) is is_silent
    faults = made.faults(sim_model())
    assert bool(faults) is is_silent
    if is_silent:
        assert faults == [
            (
                "camera top: k = 3 cannot be reached: a defect crosses the inspected "
                "regions in 1.1 frames"
            )
        ]


def test_defect_that_was_confirmed_shows_that_k_is_reached() -> None:
    region = {"name": "seam", "polygon": STRIP}
    made = sim_channel(SimCamera("top"), region=[region], k=3, n=5)
    crossing_defects(made, step_px=60, passages=3)
    for number in range(300, 306):  # the belt stands
        show(made, number, seen(320), period_s=0.04)
    assert made.faults(sim_model()) == []
