import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.counters import CameraCounters
from edge.delivery.evidence import EvidenceStore
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.recorder import QUEUE_DECISIONS, Decision, DecisionRecorder
from edge.rules.alert_message import FrameContext
from models.detections import Detections, no_detections
from models.heat_map import check_heat_map
from models.messages import ModelInForce, VerdictKind
from models.topics import StationTopics

TOPICS = StationTopics("site", "line", "station")
MODEL = ModelInForce(name="sim", build=1, sha256="0" * 64)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.sqlite", TOPICS, 1 << 24)
    outbox.start()
    yield outbox
    outbox.close()


@pytest.fixture
def recorder(tmp_path: Path, outbox: Outbox) -> Iterator[DecisionRecorder]:
    evidence = EvidenceStore(tmp_path / "evidence", 1 << 24)
    recorder = DecisionRecorder(evidence, outbox, TOPICS, "boot", lambda: False)
    recorder.start()
    yield recorder
    recorder.close(5)


def two_defects() -> Detections:
    return Detections(
        np.array([[1, 2, 11, 12], [20, 20, 30, 30]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([0, 1]),
    )


def decision(number: int, found: Detections | None, *, is_part: bool) -> Decision:
    context = FrameContext(
        camera="top",
        frame_id=number,
        part_id=f"part-{number}" if is_part else None,
        captured_ns=1_000_000 * number,
        captured_at=datetime.now(UTC),
        decided_ns=1_000_000 * number + 5_000_000,
        frame_width_px=64,
        frame_height_px=48,
    )
    shows_defect = found is not None and len(found) > 0
    return Decision(
        context,
        CameraCounters(),
        MODEL,
        ("scratch", "dent"),
        found,
        np.full((48, 64, 3), 9, np.uint8) if shows_defect else None,
        is_part=is_part,
        reason="" if found is not None else "cut off",
    )


def events(outbox: Outbox) -> list[tuple[str, dict[str, Any]]]:
    queued = outbox.read(0, 1000, was_sent=False)
    assert queued is not None
    return [(q.event.kind.value, json.loads(q.event.data)) for q in queued]


def test_defective_part_is_one_alert_and_then_its_verdict(
    recorder: DecisionRecorder, outbox: Outbox, tmp_path: Path
) -> None:
    made = decision(4, two_defects(), is_part=True)
    recorder.record(made)
    assert recorder.close(5)
    (first, alert), (second, verdict) = events(outbox)
    assert (first, second) == ("alert", "verdict")
    assert [d["label"] for d in alert["detections"]] == ["scratch", "dent"]
    assert alert["frame_age_ms"] == 5
    assert (tmp_path / "evidence" / alert["evidence"]).is_file()
    assert (verdict["part_id"], verdict["verdict"]) == ("part-4", "defect")
    assert made.counters.alerts == 1


def test_each_new_defect_in_free_run_is_its_own_alert(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    made = decision(4, two_defects(), is_part=False)
    recorder.record(made)
    assert recorder.close(5)
    kinds, alerts = zip(*events(outbox), strict=True)
    assert kinds == ("alert", "alert")
    assert [len(alert["detections"]) for alert in alerts] == [1, 1]
    assert alerts[0]["evidence"] == alerts[1]["evidence"]
    assert made.counters.alerts == 2


def test_alerts_of_one_counted_part_keep_their_own_pictures(
    recorder: DecisionRecorder, outbox: Outbox, tmp_path: Path
) -> None:
    for number in (4, 5):
        made = decision(number, two_defects(), is_part=False)
        recorder.record(replace(made, frame=replace(made.frame, part_id="run-1")))
    assert recorder.close(5)
    alerts = [data for _, data in events(outbox)]
    assert {alert["part_id"] for alert in alerts} == {"run-1"}
    assert len({alert["evidence"] for alert in alerts}) == 2


def test_region_and_suppressed_alerts_are_given_for_each_defect(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    made = decision(4, two_defects(), is_part=False)
    recorder.record(replace(made, regions=("rim", "face"), suppressed=(3, 0)))
    assert recorder.close(5)
    alerts = [data for _, data in events(outbox)]
    assert [a["detections"][0]["region"] for a in alerts] == ["rim", "face"]
    assert [a["suppressed"] for a in alerts] == [3, 0]


def test_counted_part_has_the_verdict_that_was_decided_for_it(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    made = decision(4, None, is_part=True)
    recorder.record(replace(made, reason="", verdict=VerdictKind.DEFECT))
    assert recorder.close(5)
    ((kind, verdict),) = events(outbox)
    assert (kind, verdict["verdict"], verdict["reason"]) == ("verdict", "defect", "")


def test_good_part_is_only_a_verdict(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    recorder.record(decision(1, no_detections(), is_part=True))
    assert recorder.close(5)
    ((kind, verdict),) = events(outbox)
    assert (kind, verdict["verdict"]) == ("verdict", "ok")


def test_part_that_was_not_inspected_has_a_reason(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    recorder.record(decision(1, None, is_part=True))
    assert recorder.close(5)
    ((_, verdict),) = events(outbox)
    assert (verdict["verdict"], verdict["reason"]) == ("not-inspected", "cut off")


def test_decisions_are_written_in_their_order(
    recorder: DecisionRecorder, outbox: Outbox
) -> None:
    for number in range(40):
        found = two_defects() if number % 3 == 0 else no_detections()
        recorder.record(decision(number, found, is_part=True))
    assert recorder.close(20)
    frames = [data["frame_id"] for kind, data in events(outbox) if kind == "verdict"]
    assert frames == list(range(40))


def test_alert_is_raised_even_where_evidence_cannot_be_written(
    outbox: Outbox, tmp_path: Path
) -> None:
    evidence = EvidenceStore(tmp_path / "evidence", 1 << 24)
    shutil.rmtree(tmp_path / "evidence")
    (tmp_path / "evidence").write_text("a file where the folder was")
    recorder = DecisionRecorder(evidence, outbox, TOPICS, "boot", lambda: False)
    recorder.start()
    recorder.record(decision(1, two_defects(), is_part=True))
    assert recorder.close(5)
    (_, alert), _ = events(outbox)
    assert alert["evidence"] is None
    assert alert["thumbnail_sha256"]


def test_alert_and_verdict_of_a_frame_too_tall_for_a_jpeg_are_kept(
    outbox: Outbox, recorder: DecisionRecorder
) -> None:
    tall = np.zeros((66_000, 16, 3), np.uint8)
    nothing = np.zeros((0, 16, 3), np.uint8)
    for number, pixels in enumerate([tall, nothing]):
        part = decision(number, two_defects(), is_part=True)
        recorder.record(replace(part, pixels=pixels))
    assert recorder.close(5)
    assert recorder.unwritten == 0
    kinds = [kind for kind, _ in events(outbox)]
    assert kinds == ["alert", "verdict", "alert", "verdict"]
    alerts = [data for kind, data in events(outbox) if kind == "alert"]
    assert [data["evidence"] for data in alerts] == [None, None]
    assert [bool(data["thumbnail_sha256"]) for data in alerts] == [True, False]


def test_pipeline_waits_while_the_disk_is_slower_than_defects_come(
    outbox: Outbox, tmp_path: Path
) -> None:
    evidence = EvidenceStore(tmp_path / "evidence", 1 << 24)
    recorder = DecisionRecorder(evidence, outbox, TOPICS, "boot", lambda: False)
    # not started: as a disk that takes nothing
    for number in range(QUEUE_DECISIONS):
        recorder.record(decision(number, no_detections(), is_part=True))
    late = threading.Thread(
        target=recorder.record, args=(decision(99, no_detections(), is_part=True),)
    )
    late.start()
    late.join(0.05)
    assert late.is_alive()
    recorder.start()
    late.join(5)
    assert recorder.close(5)
    frames = [data["frame_id"] for _, data in events(outbox)]
    assert frames == [*range(QUEUE_DECISIONS), 99]


def test_alert_of_unknown_names_its_heat_map_and_others_name_none(
    recorder: DecisionRecorder, outbox: Outbox, tmp_path: Path
) -> None:
    scores = np.arange(48, dtype=np.uint8).reshape(6, 8)
    made = decision(4, two_defects(), is_part=False)
    recorder.record(replace(made, heat_map=scores, unknown=1))
    recorder.record(decision(5, two_defects(), is_part=True))
    assert recorder.close(5)
    alerts = [data for kind, data in events(outbox) if kind == "alert"]
    labels = [[each["label"] for each in alert["detections"]] for alert in alerts]
    assert labels == [["scratch"], ["dent"], ["scratch", "dent"]]
    paths = [alert["heat_map"] for alert in alerts]
    assert (paths[0], paths[2]) == (None, None)
    content = (tmp_path / "evidence" / paths[1]).read_bytes()
    assert check_heat_map(content) == (8, 6)
