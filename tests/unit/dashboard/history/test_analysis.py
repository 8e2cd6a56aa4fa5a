"""Counts of defects and parts for the charts."""

from datetime import date

import pytest

from dashboard.history.analysis import (
    Judged,
    Parts,
    Selection,
    alerts_of,
    boxes,
    defects,
    judged,
    parts,
    scores,
    with_spans,
)
from dashboard.history.buckets import Buckets
from dashboard.history.notes import add_note, note_of
from dashboard.history.rechecks import Recheck, add_recheck, escapes
from dashboard.history.reviews import OperatorVerdict
from dashboard.plant_time import Span
from dashboard.statistics.rates import Rate
from models.messages import VerdictKind
from tests.simulators.station import detection
from tests.unit.dashboard.history.analysis_file import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    AnalysisFile,
)
from tests.unit.dashboard.history_file import HistoryFile

DAY = Selection((Span(START_MS, START_MS + DAY_MS),))
REAL, FALSE = OperatorVerdict.REAL, OperatorVerdict.FALSE_ALARM
OTHER = OperatorVerdict.OTHER_CLASS


@pytest.fixture
def data(file: HistoryFile) -> AnalysisFile:
    return AnalysisFile(file, file.database)


def count_by(
    data: AnalysisFile, *by: str, wanted: Selection = DAY, step_ms: int = HOUR_MS
) -> dict[object, int]:
    with data.database.read() as connection:
        found = defects(connection, wanted, by, Buckets(step_ms))
    return {key[0] if len(key) == 1 else key: n for key, n in found.items()}


def test_defects_are_counted_by_class_and_by_place(data: AnalysisFile) -> None:
    data.alert(1, "scratch", "scratch", "dent")
    data.alert(2, "dent", line="line-2", camera="side")
    assert count_by(data, "label") == {"scratch": 2, "dent": 2}
    assert count_by(data, "line") == {"line-1": 3, "line-2": 1}
    assert count_by(data, "line", "camera", "label") == {
        ("line-1", "top", "scratch"): 2,
        ("line-1", "top", "dent"): 1,
        ("line-2", "side", "dent"): 1,
    }
    assert count_by(data) == {(): 4}


def test_defects_are_counted_by_hour(data: AnalysisFile) -> None:
    for minute in (0, 59, 60, 24 * 60 - 1):
        data.alert(minute)
    hour = START_MS // HOUR_MS
    assert count_by(data, "bucket") == {hour: 2, hour + 1: 1, hour + 23: 1}


def test_judgements_outlive_the_alerts(data: AnalysisFile) -> None:
    data.alert(1, "scratch")
    data.judge(FALSE, data.alert(2, "scratch", "dent"))
    data.judge(OTHER, data.alert(3, "dent", "dent"), label="stain")

    def numbers() -> list[object]:
        with data.database.read() as connection:
            found = alerts_of(connection, DAY, ())
        return [count_by(data, "label"), count_by(data, "build"), found]

    before = numbers()
    assert before[0] == {"scratch": 1, "stain": 2}
    later_ms = START_MS + 400 * DAY_MS
    assert data.file.prune(later_ms, 400 * DAY_MS, 300, 300) >= 3
    assert data.file.history.alerts(1) == []
    assert numbers() == before


def test_times_outside_of_the_spans_are_not_counted(data: AnalysisFile) -> None:
    for minute in (-1, 0, 9, 10, 20, 29, 30):
        data.alert(minute)
    spans = [
        Span(START_MS + start * MINUTE_MS, START_MS + (start + 10) * MINUTE_MS)
        for start in (0, 20)
    ]
    assert count_by(data, wanted=with_spans(DAY, spans)) == {(): 4}
    assert count_by(data, wanted=with_spans(DAY, [])) == {}


def test_selection_of_places_and_classes_counts(data: AnalysisFile) -> None:
    data.alert(1, "scratch", "dent")
    data.alert(2, "dent", line="line-2", station="press-2", camera="side")
    for changes, expected in (
        ({"lines": ("line-2",)}, {"dent": 1}),
        ({"stations": ("press-1", "press-2")}, {"scratch": 1, "dent": 2}),
        ({"cameras": ("side",)}, {"dent": 1}),
        ({"sites": ("elsewhere",)}, {}),
        ({"labels": ("scratch",)}, {"scratch": 1}),
        ({"labels": ("scratch",), "lines": ("line-2",)}, {}),
    ):
        assert count_by(data, "label", wanted=Selection(DAY.spans, **changes)) == (
            expected
        )


def test_dismissed_alerts_are_not_counted(data: AnalysisFile) -> None:
    kept, dismissed = data.alert(1, "scratch", "dent"), data.alert(2, "scratch")
    data.judge(FALSE, dismissed)
    data.judge(REAL, kept)
    assert count_by(data, "label") == {"scratch": 1, "dent": 1}
    assert count_by(data, "line", "bucket") == {("line-1", START_MS // HOUR_MS): 2}
    with data.database.read() as connection:
        assert alerts_of(connection, DAY, ["camera"]) == {("top",): 1}
    data.judge(OperatorVerdict.NONE, dismissed)  # withdrawn
    assert count_by(data, "label") == {"scratch": 2, "dent": 1}


def test_defects_of_another_class_are_counted_as_that_class(
    data: AnalysisFile,
) -> None:
    data.alert(1, "scratch")
    data.judge(OTHER, data.alert(2, "scratch"), label="stain")
    assert count_by(data, "label") == {"scratch": 1, "stain": 1}
    stains = Selection(DAY.spans, labels=("stain",))
    assert count_by(data, "label", wanted=stains) == {"stain": 1}
    assert count_by(data) == {(): 2}
    scratches = Selection(DAY.spans, labels=("scratch",))
    with data.database.read() as connection:
        for selection in (stains, scratches):
            assert alerts_of(connection, selection, ["camera"]) == {("top",): 1}
            assert alerts_of(connection, selection, ["bucket"]).total() == 1


def test_named_defects_beside_a_renamed_unknown_one_keep_their_class(
    data: AnalysisFile,
) -> None:
    data.judge(OTHER, data.alert(1, "scratch", "unknown"), label="dent")

    def numbers() -> list[object]:
        with data.database.read() as connection:
            return [
                count_by(data, "label"),
                *(
                    alerts_of(connection, Selection(DAY.spans, labels=(label,)), ())
                    for label in ("scratch", "dent", "unknown")
                ),
            ]

    assert numbers() == [{"scratch": 1, "dent": 1}, {(): 1}, {(): 1}, {}]
    later_ms = START_MS + 400 * DAY_MS
    assert data.file.prune(later_ms, 400 * DAY_MS, 300, 300) >= 1
    assert count_by(data, "label") == {"scratch": 1, "dent": 1}


def test_alerts_of_some_classes_are_counted_once_each(data: AnalysisFile) -> None:
    data.alert(1, "scratch", "scratch", "dent")
    data.alert(2, "dent")
    with data.database.read() as connection:
        assert alerts_of(connection, DAY, []) == {(): 2}
        for labels, expected in (
            (("scratch",), 1),
            (("scratch", "dent"), 2),
            (("stain",), 0),
        ):
            wanted = Selection(DAY.spans, labels=labels)
            assert alerts_of(connection, wanted, [])[()] == expected


def test_parts_are_counted_by_verdict(data: AnalysisFile) -> None:
    data.parts(1, VerdictKind.OK, 5)
    data.parts(2, VerdictKind.DEFECT, 2)
    data.parts(61, VerdictKind.NOT_INSPECTED, 3, line="line-2")
    data.parts(-1, VerdictKind.OK)
    with data.database.read() as connection:
        assert parts(connection, DAY) == {(): Parts(5, 2, 3)}
        hour = START_MS // HOUR_MS
        assert parts(connection, DAY, ["line", "bucket"], Buckets(HOUR_MS)) == {
            ("line-1", hour): Parts(5, 2, 0),
            ("line-2", hour + 1): Parts(0, 0, 3),
        }
        second = Selection(DAY.spans, lines=("line-2",))
        assert parts(connection, second) == {(): Parts(0, 0, 3)}


def test_without_parts_all_numbers_are_zero(data: AnalysisFile) -> None:
    with data.database.read() as connection:
        assert parts(connection, DAY) == {(): Parts()}
        assert parts(connection, DAY, ["bucket"], Buckets(HOUR_MS)) == {}
        assert judged(connection, DAY) == Judged(0, 0, 0)
        assert sum(scores(connection, DAY)) == 0
        assert boxes(connection, DAY) == []


def test_verdicts_of_people_are_counted(data: AnalysisFile) -> None:
    ids = [data.alert(minute, "scratch") for minute in range(6)]
    data.judge(REAL, *ids[:2])
    data.judge(FALSE, ids[2])
    data.judge(OTHER, ids[3], label="dent")
    later = data.alert(3 * 24 * 60, "scratch")
    data.judge(FALSE, later)
    with data.database.read() as connection:
        found = judged(connection, DAY)
        assert found == Judged(alerts=6, real=3, false=1)
        assert found.n == 4
        dents = Selection(DAY.spans, labels=("dent",))
        assert judged(connection, dents) == Judged(0, 0, 0)


@pytest.mark.parametrize(
    ("score", "expected"), [(0.0, 0), (0.05, 1), (0.8499, 16), (0.85, 17), (1.0, 19)]
)
def test_score_is_counted_in_its_bin(
    data: AnalysisFile, score: float, expected: int
) -> None:
    data.alert(1, detections=(detection("scratch", score),))
    with data.database.read() as connection:
        found = scores(connection, DAY)
    assert [i for i, count in enumerate(found) if count] == [expected]


def test_every_edge_between_two_bins_belongs_to_the_upper_one(
    data: AnalysisFile,
) -> None:
    for i in range(1, 20):
        data.alert(i, detections=(detection("scratch", i / 20),))
    with data.database.read() as connection:
        assert scores(connection, DAY) == [0] + [1] * 19


def test_boxes_are_listed_by_camera(data: AnalysisFile) -> None:
    sha256 = "ab" * 32
    data.alert(1, "scratch", "dent", thumbnail_sha256=sha256)
    newest = data.alert(2, "scratch", thumbnail_sha256=sha256)
    data.alert(3, "scratch")
    data.alert(4, "scratch", camera="side")
    data.judge(FALSE, data.alert(5, "scratch", camera="side"))
    with data.database.read() as connection:
        top, side = boxes(connection, DAY)
        only = boxes(connection, Selection(DAY.spans, labels=("dent",)))
    assert top.where == ("plant", "line-1", "press-1", "top")
    assert (top.alerts, len(top.boxes), top.picture_id) == (3, 4, newest)
    assert (side.alerts, len(side.boxes), side.picture_id) == (1, 1, "")
    assert top.boxes[0] == pytest.approx((200 / 640, 150 / 480, 260 / 640, 190 / 480))
    assert [(each.where[3], len(each.boxes)) for each in only] == [("top", 1)]


def test_defects_are_counted_by_build(data: AnalysisFile) -> None:
    data.alert(1, "scratch", build=7)
    data.alert(2, "scratch", "dent", build=8)
    assert count_by(data, "build") == {7: 1, 8: 2}
    wanted = Selection(DAY.spans, builds=(8,))
    assert count_by(data, "label", wanted=wanted) == {"scratch": 1, "dent": 1}


def test_escapes_are_summed_from_rechecks_of_the_selection(
    data: AnalysisFile,
) -> None:
    with data.database.write() as connection:
        for minute, line, found in (
            (10, "line-1", Rate(1, 50)),
            (20, "line-2", Rate(0, 30)),
            (30, "", Rate(2, 20)),
            (-10, "line-1", Rate(9, 9)),
        ):
            recheck = Recheck(found, line=line, text="after the change of light\0")
            at_ms = START_MS + minute * MINUTE_MS
            add_recheck(connection, recheck, author="ada", at_ms=at_ms)
    with data.database.read() as connection:
        assert escapes(connection, DAY) == Rate(3, 100)
        first = Selection(DAY.spans, lines=("line-1",))
        assert escapes(connection, first) == Rate(1, 50)
        assert escapes(connection, with_spans(DAY, [])) == Rate(0, 0)


def test_last_note_of_a_shift_counts_and_the_others_are_kept(
    data: AnalysisFile,
) -> None:
    day = date(2026, 11, 30)

    def write(text: str, author: str, line: str = "") -> None:
        with data.database.write() as connection:
            add_note(connection, day, "early", line, text, author=author, at_ms=5)

    with data.database.read() as connection:
        assert note_of(connection, day, "early", "") is None
    write("lens cleaned", "ada")
    write("lens cleaned, light changed\0", "bob")
    write("of line 2", "bob", "line-2")
    with data.database.read() as connection:
        found = note_of(connection, day, "early", "")
        assert found is not None
        assert found.text == "lens cleaned, light changed\ufffd"
        assert (found.author, found.versions) == ("bob", 2)
        assert note_of(connection, day, "late", "") is None
    write("", "ada")
    with data.database.read() as connection:
        assert note_of(connection, day, "early", "") is None
