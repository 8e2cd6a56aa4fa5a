"""Rows and pictures behind the charts."""

import hashlib
from pathlib import Path

import pytest

from dashboard.history import exports
from dashboard.history.analysis import Selection
from dashboard.history.exports import defect_rows, pictures
from dashboard.history.reviews import OperatorVerdict
from dashboard.plant_time import Span
from tests.unit.dashboard.history.analysis_file import (
    DAY_MS,
    START_MS,
    AnalysisFile,
)
from tests.unit.dashboard.history_file import HistoryFile, read

DAY = Selection((Span(START_MS, START_MS + DAY_MS),))


@pytest.fixture
def data(file: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> AnalysisFile:
    monkeypatch.setattr(exports, "PAGE_ROWS", 3)
    monkeypatch.setattr(exports, "PICTURES_PER_PAGE", 2)
    return AnalysisFile(file, file.database)


def add_picture(data: AnalysisFile, minute: float, jpeg: bytes) -> str:
    sha256 = hashlib.sha256(jpeg).hexdigest()
    event_id = data.alert(minute, "scratch", "dent", thumbnail_sha256=sha256)
    topic = f"graftline/plant/line-1/press-1/camera/top/image/{event_id}"
    record = read(topic, jpeg, START_MS + int(minute * 60_000) + 700)
    data.file.record(record)
    return event_id


def test_every_defect_is_a_row_whatever_the_length_of_a_page(
    data: AnalysisFile,
) -> None:
    ids = [data.alert(minute // 2, "scratch", "dent") for minute in range(10)]
    data.judge(OperatorVerdict.FALSE_ALARM, ids[0])
    data.judge(OperatorVerdict.OTHER_CLASS, ids[1], label="stain")
    rows = list(defect_rows(data.database, DAY))
    assert [each.alert_id for each in rows] == [e for e in ids for _ in range(2)]
    assert [each.label for each in rows[:2]] == ["scratch", "dent"]
    assert [rows[i].verdict for i in (0, 2, 4)] == ["false-alarm", "other-class", ""]
    assert rows[2].verdict_label == "stain"
    assert rows[0].where == ("plant", "line-1", "press-1", "top")
    assert rows[0].box == pytest.approx((200 / 640, 150 / 480, 260 / 640, 190 / 480))


def test_only_defects_of_the_selection_are_rows(data: AnalysisFile) -> None:
    data.alert(1, "scratch", "dent")
    data.alert(2, "stain")
    data.alert(-5, "dent")
    wanted = Selection(DAY.spans, labels=("dent",))
    assert [each.label for each in defect_rows(data.database, wanted)] == ["dent"]


def test_newest_pictures_come_first(data: AnalysisFile) -> None:
    ids = [
        add_picture(data, minute, b"\xff\xd8\xff" + bytes([minute]))
        for minute in range(5)
    ]
    data.alert(7, "scratch")  # without a picture
    found = list(pictures(data.database, DAY, most=100))
    assert [each.alert_id for each in found] == ids[::-1]
    assert found[0].jpeg == b"\xff\xd8\xff\x04"
    assert found[0].labels == ("scratch", "dent")
    assert len(list(pictures(data.database, DAY, most=3))) == 3


def test_without_alerts_there_is_nothing(data: AnalysisFile, tmp_path: Path) -> None:
    assert list(defect_rows(data.database, DAY)) == []
    assert list(pictures(data.database, DAY, most=3)) == []
