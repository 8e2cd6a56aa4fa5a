"""Alarms over a history: raised once, kept over a restart, cleared with the reason."""

from collections.abc import Iterator

import pytest
from sqlalchemy.exc import IntegrityError

from dashboard.alarms.watch import AlarmWatch
from dashboard.history.alarms import (
    AlarmChangeKind,
    AlarmState,
    Where,
    acknowledge_alarm,
    alarm_changes_after,
    open_alarms,
    raise_alarm,
)
from dashboard.history.forget import forget_sender
from dashboard.history.maintenance import start_maintenance
from dashboard.history.settings import add_version
from dashboard.plant_settings import CameraLimit, PlantSettings
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile
from tests.unit.dashboard.part_verdicts import PartVerdicts
from tests.waiting import until

TOP = ("plant", "line-1", "press-1", "top")
RAISED, CLEARED = AlarmChangeKind.RAISED, AlarmChangeKind.CLEARED


class Line:
    """A history, its alarms, and a clock."""

    def __init__(self, file: HistoryFile) -> None:
        self.database = file.database
        self.parts = PartVerdicts(file)
        self.now_ms = NOW_MS
        self.changes = 0
        self.versions = 0
        self.watch = self.watching()

    def watching(self) -> AlarmWatch:
        """Return the alarms of a dashboard that has just started."""
        return AlarmWatch(self.database, self.note, lambda: self.now_ms)

    def note(self) -> None:
        self.changes += 1

    def limit(self, limit: CameraLimit, **settings: object) -> None:
        self.versions += 1
        plant = PlantSettings.model_validate({"default_limit": limit, **settings})
        with self.database.write() as connection:
            add_version(connection, self.versions, NOW_MS, "test", plant)

    def pass_parts(self, text: str, camera: str = "top") -> int:
        """Let parts pass, the oldest first, and return the number of changes."""
        self.now_ms += 60_000
        self.parts.add(text, self.now_ms - 1000, camera)
        return self.watch.evaluate()

    def open(self) -> list[AlarmState]:
        with self.database.read() as connection:
            return open_alarms(connection)

    def kinds(self) -> list[AlarmChangeKind]:
        with self.database.read() as connection:
            return [each.kind for each in alarm_changes_after(connection, 0)]


@pytest.fixture
def line(file: HistoryFile) -> Iterator[Line]:
    line = Line(file)
    yield line
    line.database.close()


def test_streak_raises_one_alarm_until_good_parts_clear_it(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    assert line.pass_parts("odd") == 0
    assert line.pass_parts("d") == 1
    (alarm,) = line.open()
    assert (alarm.where, alarm.kind) == (TOP, "streak")
    assert (alarm.value, alarm.limit_value, alarm.raised_ms) == (3, 3, line.now_ms)
    assert line.pass_parts("dddod") == 0
    assert line.pass_parts("ooo") == 1
    assert line.open() == []
    assert line.kinds() == [RAISED, CLEARED]
    assert line.changes == 2


@pytest.mark.parametrize("ahead_ms", [[-7_200_000, -7_200_000], [3_600_000, 0]])
def test_wrong_clock_of_a_line_pc_hides_no_alarm(
    line: Line, ahead_ms: list[int]
) -> None:
    line.limit(CameraLimit(streak=3, minutes=60))
    for text, ahead in zip(["ooo", "ddd"], ahead_ms, strict=True):
        line.now_ms += 60_000
        line.parts.add(text, line.now_ms - 1000, ahead_ms=ahead)
        line.watch.evaluate()
    assert len(line.open()) == 1


def test_parts_that_were_not_inspected_do_not_push_others_out(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    assert line.pass_parts("ddd" + "n" * 100) == 1


def test_share_is_judged_for_each_camera_by_its_own_limit(line: Line) -> None:
    side = "/".join((*TOP[:3], "side"))
    line.limit(
        CameraLimit(defect_percent=10, parts=20),
        limits={side: CameraLimit(defect_percent=50, parts=20)},
    )
    for camera in ("top", "side"):
        line.pass_parts("od" * 10, camera)
    (alarm,) = line.open()
    assert (alarm.camera, alarm.value, alarm.parts) == ("top", 50.0, 20)


def test_alarm_is_kept_over_a_restart_and_not_raised_twice(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.pass_parts("ddd")
    (before,) = line.open()
    line.watch = line.watching()
    assert line.pass_parts("d") == 0
    assert line.open() == [before]
    line.watch = line.watching()
    assert line.pass_parts("ooo") == 1
    assert line.open() == []


def test_two_dashboards_on_one_history_raise_one_alarm(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.pass_parts("ddd")
    (alarm,) = line.open()
    with pytest.raises(IntegrityError), line.database.write() as connection:
        raise_alarm(connection, alarm)
    assert line.kinds() == [RAISED]


def test_parts_of_before_the_start_are_judged(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.parts.add("ddd", line.now_ms - 3_600_000)
    assert line.watch.evaluate() == 1


def test_parts_that_are_too_old_raise_nothing(line: Line) -> None:
    line.limit(CameraLimit(streak=3, minutes=30))
    line.parts.add("ddd", line.now_ms - 3_600_000)
    assert line.watch.evaluate() == 0


def test_new_limit_judges_parts_that_have_arrived_before(line: Line) -> None:
    assert line.pass_parts("ddd") == 0
    line.now_ms += 600_000
    line.limit(CameraLimit(streak=3))
    assert line.watch.evaluate() == 1
    line.limit(CameraLimit())
    assert line.watch.evaluate() == 1
    assert line.open() == []


def test_maintenance_clears_the_alarm_and_raises_none(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.pass_parts("ddd")
    with line.database.write() as connection:
        start_maintenance(
            connection, TOP, line.now_ms, line.now_ms + 3_600_000, "me", "lens"
        )
    line.now_ms += 1
    assert line.watch.evaluate() == 1
    assert line.open() == []
    assert line.pass_parts("ddd") == 0
    line.now_ms += 3_600_000
    assert line.pass_parts("ddd") == 1


def test_acknowledgement_is_noted_once_and_clears_nothing(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.pass_parts("ddd")
    (alarm,) = line.open()
    for user, is_first in (("ann", True), ("bob", False)):
        with line.database.write() as connection:
            done = acknowledge_alarm(connection, alarm.id, line.now_ms, user, "seen")
        assert done is is_first
    (kept,) = line.open()
    assert (kept.acknowledged_by, kept.comment) == ("ann", "seen")
    with line.database.read() as connection:
        raised, acknowledged = alarm_changes_after(connection, 0)
        assert alarm_changes_after(connection, acknowledged.n) == []
    assert (raised.kind, raised.alarm) == (RAISED, kept)
    assert (acknowledged.kind, acknowledged.user) == ("acknowledged", "ann")


def test_thread_raises_the_alarm_by_itself(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.alarms.watch.TURN_S", 0.01)
    line.limit(CameraLimit(streak=3))
    line.parts.add("ddd", line.now_ms - 1000)
    line.watch.start()
    until(lambda: line.changes, "the alarm is raised", 10)
    line.watch.stop()
    assert len(line.open()) == 1


def test_unexpected_error_ends_no_thread_and_is_shown(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.alarms.watch.TURN_S", 0.01)
    line.limit(CameraLimit(streak=3))
    line.parts.add("ddd", line.now_ms - 1000)
    with monkeypatch.context() as broken:
        broken.setattr("dashboard.alarms.watch.decide", lambda *_, **__: 1 / 0)
        line.watch.start()
        until(lambda: line.changes, "it is shown", 10)
        assert line.watch.failure == "ZeroDivisionError: division by zero"
    until(line.open, "the alarm is raised", 10)
    line.watch.stop()
    assert line.watch.failure == ""


def test_only_known_cameras_with_a_limit_are_judged(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = set()

    def note(_: object, where: Where, *__: int) -> list[str]:
        asked.add(where[3])
        return []

    monkeypatch.setattr("dashboard.alarms.watch.last_verdicts", note)
    line.limit(CameraLimit(), limits={"/".join(TOP): CameraLimit(streak=3)})
    line.parts.add("ddd", line.now_ms - 1000, "side")
    line.pass_parts("ddd")
    assert asked == {"top"}


def test_alarm_of_a_forgotten_camera_ends(line: Line) -> None:
    line.limit(CameraLimit(streak=3))
    line.pass_parts("ddd")
    with line.database.write() as connection:
        forget_sender(connection, PRESS, "top")
    assert line.watch.evaluate() == 1
    assert line.open() == []
    assert line.pass_parts("ddd") == 1  # it has sent again
