import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.backends import open_detector
from models.boxes import FloatArray
from models.detections import Detections, no_detections
from models.errors import PackageError
from models.golden import (
    FRAMES_MAX,
    GoldenDetection,
    GoldenFrame,
    GoldenSet,
    compare,
    golden_detections,
    golden_set,
    kept_thresholds,
    read_golden,
    read_golden_set,
    run_golden,
)
from models.manifest import (
    PrecisionHint,
    ThresholdRule,
    Thresholds,
    Tolerance,
    VariantName,
)
from models.package import Package
from models.preprocess import Frame
from tests.simulators import resealed
from tests.simulators.resealed import reseal

THRESHOLDS = np.array([0.5, 0.5], np.float32)
CLOSE = Tolerance(score=0.05, iou=0.9)
BOX = (10.0, 10.0, 110.0, 110.0)
MOVED_1 = (11.0, 10.0, 111.0, 110.0)  # IoU 0.98
MOVED_9 = (19.0, 10.0, 119.0, 110.0)  # IoU 0.83


def found(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )


def faults(expected: Detections, got: Detections) -> tuple[str, ...]:
    return compare(expected, got, THRESHOLDS, CLOSE).faults


def test_same_detections_have_no_fault() -> None:
    result = compare(found((BOX, 0.9, 0)), found((BOX, 0.9, 0)), THRESHOLDS, CLOSE)
    assert result.passed
    assert (result.matched, result.worst_iou) == (1, 1.0)
    assert result.worst_score_difference == 0


def test_small_differences_are_within_the_tolerance_and_measured() -> None:
    result = compare(found((BOX, 0.9, 0)), found((MOVED_1, 0.87, 0)), THRESHOLDS, CLOSE)
    assert result.passed
    assert result.worst_score_difference == pytest.approx(0.03, abs=1e-6)
    assert result.worst_iou == pytest.approx(0.98, abs=0.005)


@pytest.mark.parametrize(
    "got",
    [
        no_detections(),
        found((MOVED_9, 0.9, 0)),  # elsewhere
        found((BOX, 0.84, 0)),  # weaker than the tolerance
        found((BOX, 0.9, 1)),  # of another label
    ],
    ids=["nothing", "elsewhere", "weaker", "another label"],
)
def test_expected_detection_without_a_close_partner_is_a_fault(
    got: Detections,
) -> None:
    assert "expected label 0 at 0.90 not found" in faults(found((BOX, 0.9, 0)), got)


def test_unexpected_detection_is_a_fault() -> None:
    assert faults(no_detections(), found((BOX, 0.9, 1))) == (
        "unexpected label 1 at 0.90",
    )


def test_detections_near_the_threshold_may_differ() -> None:
    near = found((BOX, 0.54, 0))
    assert not faults(near, no_detections())
    assert not faults(no_detections(), near)


def test_match_of_a_detection_may_have_a_lower_score() -> None:
    assert not faults(found((BOX, 0.56, 0)), found((BOX, 0.52, 0)))


def test_nothing_expected_and_nothing_found_passes() -> None:
    result = compare(no_detections(), no_detections(), THRESHOLDS, CLOSE)
    assert result.passed
    assert result.matched == 0


@pytest.mark.parametrize(("threshold", "kept"), [(0.5, 0.25), (0.2, 0.01), (0.0, 0.01)])
def test_detections_are_recorded_well_below_the_threshold(
    threshold: float, kept: float
) -> None:
    assert kept_thresholds(np.array([threshold], np.float32))[0] == pytest.approx(kept)


def test_recorded_detections_are_those_that_were_found() -> None:
    (row,) = golden_detections(found((BOX, 0.75, 1)))
    assert (row.label, row.score, row.box) == (1, 0.75, BOX)


def test_package_reproduces_its_own_golden_frames(sealed: Package) -> None:
    detector = open_detector(sealed, VariantName.OPENVINO_FP32)
    pairs = read_golden(sealed)
    result = run_golden(detector, pairs, sealed.manifest, CLOSE)
    assert result.passed
    assert result.frames == len(pairs) == 16
    assert result.matched >= 10  # at least one on each defective frame


def test_golden_frames_are_read_in_a_folder_whose_name_is_not_utf8(
    sealed: Package, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"werk-\xe4")
    shutil.copytree(sealed.folder, folder)
    pairs = read_golden(replace(sealed, folder=folder))
    assert len(pairs) == len(read_golden(sealed))


def test_fault_names_the_frame(sealed: Package, tmp_path: Path) -> None:
    wrong = reseal(sealed, tmp_path / "wrong", resealed.expect_what_is_not_there)
    detector = open_detector(wrong, VariantName.OPENVINO_FP32)
    result = run_golden(detector, read_golden(wrong), wrong.manifest, CLOSE)
    assert {fault.partition(":")[0] for fault in result.faults} == {"15.png"}


def test_expected_box_beyond_all_numbers_is_a_fault_without_a_warning(
    sealed: Package,
) -> None:
    pairs = [
        (frame.model_copy(update={"detections": (huge, *frame.detections)}), picture)
        for frame, picture in read_golden(sealed)[-1:]
        for huge in [GoldenDetection(label=0, score=0.9, box=(-1e308, 0, 1e308, 9))]
    ]
    detector = open_detector(sealed, VariantName.OPENVINO_FP32)
    assert not run_golden(detector, pairs, sealed.manifest, CLOSE).passed


class Blind:
    """A detector that sees nothing, as one whose scores are all NaN."""

    input_size_px = (320, 320)

    def infer(self, image: Frame) -> FloatArray:
        del image
        return np.full((6, 100), np.nan, np.float32)


def test_output_that_is_not_finite_is_an_error(sealed: Package) -> None:
    pairs = read_golden(sealed)
    with pytest.raises(PackageError, match="not finite"):
        run_golden(Blind(), pairs, sealed.manifest, CLOSE)


def unknown_label(golden: GoldenSet) -> str:
    return golden.model_dump_json().replace('"label":1', '"label":2')


def foreign_frame(golden: GoldenSet) -> str:
    return golden.model_dump_json().replace("00.png", "foreign.png")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (lambda _: "{}", "not a golden set"),
        (lambda _: '{"frames": []}', "not a golden set"),
        (unknown_label, "expects label 2"),
        (foreign_frame, "foreign.png: golden frame is not among the package's files"),
    ],
)
def test_golden_set_that_does_not_fit_is_refused(
    text: Callable[[GoldenSet], str], fault: str, sealed: Package, tmp_path: Path
) -> None:
    def change(folder: Path) -> None:
        path = folder / "golden" / "expected.json"
        path.write_text(text(GoldenSet.model_validate_json(path.read_bytes())))

    with pytest.raises(PackageError, match=fault):
        read_golden(reseal(sealed, tmp_path / "wrong", change))


def with_thresholds(sealed: Package, folder: Path, **scores: float) -> Package:
    """Return a copy with other thresholds, sealed again."""
    thresholds = sealed.manifest.thresholds
    changed = thresholds.model_copy(update={"scores": thresholds.scores | scores})
    return reseal(sealed, folder, resealed.nothing, thresholds=changed)


def test_decisions_are_recorded_at_the_thresholds(sealed: Package) -> None:
    golden = read_golden_set(sealed)
    assert golden.thresholds is not None
    assert golden.thresholds.scores == {"bright": 0.5, "red": 0.5}
    good, defective = golden.frames[0], golden.frames[-1]
    assert (good.defects, good.alarms) == ((), False)
    assert (defective.defects, defective.alarms) == ((0,), True)


@pytest.mark.parametrize("threshold", [0.5000001, 0.6, 0.2, 1.0])
def test_changed_threshold_that_is_sealed_again_is_refused(
    threshold: float, sealed: Package, tmp_path: Path
) -> None:
    wrong = with_thresholds(sealed, tmp_path / "wrong", red=threshold)
    with pytest.raises(PackageError, match="do not fit the manifest") as caught:
        read_golden_set(wrong)
    assert f"threshold of red is {threshold}, recorded at 0.5" in caught.value.why


def test_changed_overlap_of_nms_is_refused(sealed: Package, tmp_path: Path) -> None:
    changed = sealed.manifest.thresholds.model_copy(update={"iou_threshold": 0.9})
    wrong = reseal(sealed, tmp_path / "wrong", resealed.nothing, thresholds=changed)
    with pytest.raises(PackageError) as caught:
        read_golden_set(wrong)
    assert "iou_threshold is 0.9, not 0.65" in caught.value.why


def test_changed_rule_for_double_boxes_is_refused(
    sealed: Package, tmp_path: Path
) -> None:
    before = sealed.manifest.thresholds
    changed = before.model_copy(update={"cross_class_iou": 0.5})
    wrong = reseal(sealed, tmp_path / "wrong", resealed.nothing, thresholds=changed)
    with pytest.raises(PackageError) as caught:
        read_golden_set(wrong)
    assert f"cross_class_iou is 0.5, not {before.cross_class_iou}" in caught.value.why


@pytest.mark.parametrize(
    ("cross_class_iou", "defects"), [(None, (0, 1, 2)), (0.7, (0, 2))]
)
def test_decisions_of_golden_frames_follow_the_rule_for_double_boxes(
    cross_class_iou: float | None, defects: tuple[int, ...]
) -> None:
    rows = (BOX, 0.9, 0), (MOVED_9, 0.8, 1), (MOVED_9, 0.7, 0), (BOX, 0.4, 0)
    frame = GoldenFrame(
        file="0.png", good=False, detections=golden_detections(found(*rows))
    )
    thresholds = Thresholds(
        scores={"a": 0.5, "b": 0.5},
        iou_threshold=0.9,
        cross_class_iou=cross_class_iou,
        rule=ThresholdRule.BEST_F1,
        chosen_on="val",
        images=1,
        good_images=0,
    )
    golden = golden_set([frame], ["a", "b"], thresholds)
    assert golden.frames[0].defects == defects
    assert golden.thresholds is not None
    assert golden.thresholds.cross_class_iou == cross_class_iou


def test_swapped_labels_are_refused(sealed: Package, tmp_path: Path) -> None:
    wrong = reseal(
        sealed, tmp_path / "wrong", resealed.nothing, labels=("red", "bright")
    )
    with pytest.raises(PackageError) as caught:
        read_golden_set(wrong)
    assert "recorded for the labels bright, red" in caught.value.why


@pytest.mark.parametrize("limit", [{"score": 0.3}, {"iou": 0.1}])
def test_tolerance_within_which_anything_passes_is_refused(
    limit: dict[str, float], sealed: Package, tmp_path: Path
) -> None:
    ((name, variant),) = sealed.manifest.variants.items()
    wide = {PrecisionHint.F32: CLOSE.model_copy(update=limit)}
    variants = {name: variant.model_copy(update={"tolerances": wide})}
    wrong = reseal(sealed, tmp_path / "wrong", resealed.nothing, variants=variants)
    with pytest.raises(PackageError, match=r"proves nothing for openvino-fp32 \(f32"):
        read_golden_set(wrong)


def edited(
    sealed: Package, folder: Path, edit: Callable[[dict[str, Any]], None]
) -> Package:
    """Return a copy with another golden set, sealed again."""

    def change(copy: Path) -> None:
        path = copy / "golden" / "expected.json"
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return reseal(sealed, folder, change)


def lower_the_last_score(document: dict[str, Any]) -> None:
    document["frames"][-1]["detections"][0]["score"] = 0.49


def forget_the_last_defect(document: dict[str, Any]) -> None:
    document["frames"][-1]["defects"] = []


def silence_the_last_alarm(document: dict[str, Any]) -> None:
    document["frames"][-1]["alarms"] = False


@pytest.mark.parametrize(
    "edit", [lower_the_last_score, forget_the_last_defect, silence_the_last_alarm]
)
def test_decision_that_the_thresholds_do_not_give_is_refused(
    edit: Callable[[dict[str, Any]], None], sealed: Package, tmp_path: Path
) -> None:
    with pytest.raises(PackageError) as caught:
        read_golden_set(edited(sealed, tmp_path / "wrong", edit))
    assert "15.png: " in caught.value.why
    assert "pass the thresholds, recorded as defects are" in caught.value.why


def without_decisions(document: dict[str, Any]) -> None:
    del document["thresholds"]
    for frame in document["frames"]:
        del frame["defects"], frame["alarms"]


def test_sealed_package_without_decisions_is_refused(
    sealed: Package, tmp_path: Path
) -> None:
    package = edited(sealed, tmp_path / "wrong", without_decisions)
    with pytest.raises(PackageError) as caught:
        read_golden_set(package)
    assert "they are missing" in caught.value.why
    earlier = package.manifest.model_copy(update={"sealed": False})
    assert read_golden_set(replace(package, manifest=earlier)).thresholds is None


def test_package_with_decisions_whose_seal_was_removed_is_refused(
    sealed: Package,
) -> None:
    manifest = sealed.manifest.model_copy(update={"sealed": False})
    with pytest.raises(PackageError) as caught:
        read_golden_set(replace(sealed, manifest=manifest))
    assert "its seal is gone" in caught.value.why


def test_score_at_the_threshold_is_a_defect_as_the_daemon_decides() -> None:
    """0.1 in float32 is above 0.1: both sides are compared in float32."""
    row = found((BOX, 0.1, 0), (BOX, float(np.nextafter(np.float32(0.1), 0)), 0))
    frame = GoldenFrame(file="0.png", good=False, detections=golden_detections(row))
    thresholds = Thresholds(
        scores={"a": 0.1},
        iou_threshold=0.65,
        rule=ThresholdRule.BEST_F1,
        chosen_on="val",
        images=1,
        good_images=0,
    )
    golden = golden_set([frame], ["a"], thresholds)
    read = GoldenSet.model_validate_json(golden.model_dump_json())
    assert read.frames[0].defects == (0,)
    assert golden_set(read.frames, ["a"], thresholds) == read


def test_golden_set_with_a_name_twice_is_refused(
    sealed: Package, tmp_path: Path
) -> None:
    def change(folder: Path) -> None:
        path = folder / "golden" / "expected.json"
        path.write_text(path.read_text().replace('"frames"', '"frames": [], "frames"'))

    with pytest.raises(PackageError, match="not a golden set") as caught:
        read_golden(reseal(sealed, tmp_path / "wrong", change))
    assert "'frames' is there twice" in caught.value.why


@pytest.mark.parametrize("count", [1000, 1001])
def test_golden_set_has_an_upper_bound(count: int) -> None:
    frames = [{"file": "a.png", "good": True, "detections": []}] * count
    if count <= FRAMES_MAX:
        assert len(GoldenSet.model_validate({"frames": frames}).frames) == count
    else:
        with pytest.raises(ValidationError):
            GoldenSet.model_validate({"frames": frames})
