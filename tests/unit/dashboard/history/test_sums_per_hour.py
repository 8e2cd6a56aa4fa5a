"""Sums per hour are those of the minutes; charts from both count what happened."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history import backfill
from dashboard.history.analysis import (
    Judged,
    Selection,
    alerts_of,
    defects,
    defects_by,
    judged,
    parts,
)
from dashboard.history.database import Database
from dashboard.history.reviews import OperatorVerdict
from dashboard.history.schema import VERSION_KEY
from dashboard.history.tables.base import CAMERA
from dashboard.history.tables.received import meta
from dashboard.history.tables.rollups import HOURS_OF
from dashboard.plant_time import PlantTime, ShiftHours, Span
from dashboard.web.analysis.groups import Step, groups_of
from models.errors import ConfigError
from models.messages import VerdictKind
from tests.unit.dashboard.history.analysis_file import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    AnalysisFile,
)
from tests.unit.dashboard.history_file import HistoryFile

REAL, FALSE = OperatorVerdict.REAL, OperatorVerdict.FALSE_ALARM
OTHER = OperatorVerdict.OTHER_CLASS
LABELS = ("scratch", "dent", "stain")
LINES = ("line-1", "line-2")
BUILDS = (7, 8)
ODD_SHIFTS = (
    ShiftHours("early", "05:50", "13:35"),
    ShiftHours("late", "13:35", "21:50"),
    ShiftHours("night", "22:10", "05:50"),
)
CALENDARS = (
    PlantTime("UTC", []),
    PlantTime("Europe/Berlin", []),
    PlantTime("America/New_York", ODD_SHIFTS),
    PlantTime("Asia/Kathmandu", []),
    PlantTime("Australia/Lord_Howe", ODD_SHIFTS),
)
# When the events begin; the clocks of Berlin change in the next night.
NIGHTS = {
    "autumn": datetime(2025, 10, 25, tzinfo=UTC),
    "spring": datetime(2026, 3, 28, tzinfo=UTC),
}
DAYS = 4
ALERTS = 60


@dataclass(frozen=True)
class SimAlert:
    """What an alert counts as."""

    at_ms: int
    place: tuple[str, str, str, str]
    build: int
    labels: tuple[str, ...]
    verdict: OperatorVerdict | None
    right_label: str

    def defects(self) -> list[str]:
        """The classes of its defects, after what people found."""
        if self.verdict is FALSE:
            return []
        if self.verdict is OTHER:
            return [self.right_label] * len(self.labels)
        return list(self.labels)


def sums(database: Database) -> dict[str, Counter[tuple[Any, ...]]]:
    """The sums of each table of hours, and of its minutes added up."""
    found: dict[str, Counter[tuple[Any, ...]]] = {}
    with database.read() as connection:
        for minutes, hours in HOURS_OF.items():
            for table in (minutes, hours):
                counts: Counter[tuple[Any, ...]] = Counter()
                for at_ms, *key, count in connection.execute(select(table)):
                    counts[(at_ms // HOUR_MS, *key)] += count
                found[table.name] = counts
            assert all(
                at_ms % HOUR_MS == 0
                for (at_ms,) in connection.execute(select(hours.c.hour_ms))
            )
    return found


def require_equal_sums(database: Database) -> None:
    found = sums(database)
    for minutes, hours in HOURS_OF.items():
        assert found[hours.name] == found[minutes.name]
    assert found["alert_hours"].total()


@pytest.fixture
def data(file: HistoryFile) -> AnalysisFile:
    return AnalysisFile(file, file.database)


def test_sums_of_hours_are_those_of_the_minutes_whatever_happens(
    data: AnalysisFile,
) -> None:
    ids = [data.alert(minute, "scratch", "dent") for minute in (0, 59, 60, 61, 200)]
    data.alert(-3000, "stain")  # a late one
    data.parts(59, VerdictKind.OK, 3)
    data.parts(60, VerdictKind.DEFECT, 2)
    require_equal_sums(data.database)
    data.judge(FALSE, ids[0], ids[2])
    data.judge(OTHER, ids[1], label="stain")
    require_equal_sums(data.database)
    removed = data.file.prune(START_MS + 400 * DAY_MS, 400 * DAY_MS, 300, 300)
    assert removed >= len(ids)
    assert data.file.history.alerts(1) == []
    require_equal_sums(data.database)
    assert sums(data.database)["alert_hours"].total() == len(ids) + 1 - 2


def test_sums_of_an_hour_go_with_all_of_its_minutes(data: AnalysisFile) -> None:
    for minute in (30, 70, 100, 130):
        data.alert(minute, "scratch")
    sums_days = 100 * 365  # as HistoryFile keeps them
    late_ms = START_MS + sums_days * DAY_MS + 90 * MINUTE_MS
    data.file.prune(late_ms, late_ms, sums_days, sums_days)
    require_equal_sums(data.database)
    assert {key[0] for key in sums(data.database)["alert_hours"]} == {
        START_MS // HOUR_MS + 1,
        START_MS // HOUR_MS + 2,
    }, "an hour that has begun to be too old is kept as a whole"


def as_version_3(file: HistoryFile) -> None:
    with file.database.write() as connection:
        for hours in HOURS_OF.values():
            connection.execute(text(f"DROP TABLE {hours.name}"))
        if file.database.is_shared:
            version = meta.update().where(meta.c.key == VERSION_KEY)
            connection.execute(version.values(value="3"))
        else:
            connection.execute(text("PRAGMA user_version = 3"))


def test_history_of_version_3_gets_its_sums_of_hours(
    data: AnalysisFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in (0, 59, 60, 24 * 60 * 3, 24 * 60 * 90 + 7):
        data.alert(minute, "scratch", "dent")
        data.parts(minute, VerdictKind.OK, 2)
    expected = sums(data.database)
    as_version_3(data.file)
    real, calls = backfill.add_sums, []

    def stop_soon(connection: Any) -> bool:
        calls.append(1)
        if len(calls) == 3:
            raise SQLAlchemyError("the disk is gone")
        return real(connection)

    monkeypatch.setattr("dashboard.history.database.add_sums", stop_soon)
    with pytest.raises(ConfigError):
        data.file.restart()
    monkeypatch.setattr("dashboard.history.database.add_sums", real)
    data.file.restart()
    assert sums(data.file.database) == expected
    data.file.restart()
    assert sums(data.file.database) == expected, "they are made once"
    moved = AnalysisFile(data.file, data.file.database)
    moved.parts(61, VerdictKind.OK, 1, line="line-2")
    require_equal_sums(data.file.database)


def random_events(data: AnalysisFile, night: str, seed: int) -> list[SimAlert]:
    """Store alerts and parts around a night, with what people found."""
    chance = random.Random(seed)
    begin = (NIGHTS[night].timestamp() * 1000 - START_MS) / MINUTE_MS
    found: list[SimAlert] = []
    for _ in range(ALERTS):
        minute = begin + chance.randrange(DAYS * 24 * 60)
        line, camera = chance.choice(LINES), chance.choice(("top", "side"))
        labels = tuple(chance.choices(LABELS, k=chance.randint(1, 3)))
        build = chance.choice(BUILDS)
        event_id = data.alert(minute, *labels, line=line, camera=camera, build=build)
        verdict = chance.choice((None, None, REAL, FALSE, OTHER))
        right = "burr" if verdict is OTHER else ""
        if verdict is not None:
            data.judge(verdict, event_id, label=right)
        place = ("plant", line, "press-1", camera)
        at_ms = START_MS + round(minute) * MINUTE_MS
        found.append(SimAlert(at_ms, place, build, labels, verdict, right))
    for _ in range(ALERTS // 4):
        minute = begin + chance.randrange(DAYS * 24 * 60)
        kind = chance.choice((VerdictKind.OK, VerdictKind.DEFECT))
        data.parts(minute, kind, chance.randint(1, 3), line=chance.choice(LINES))
    return found


def selections(night: str, seed: int) -> Iterator[tuple[PlantTime, Selection]]:
    chance = random.Random(seed)
    begin_ms = int(NIGHTS[night].timestamp() * 1000)
    for plant in CALENDARS:
        days = plant.days(Span(begin_ms, begin_ms + DAYS * DAY_MS))
        wanted: list[tuple[Span, ...]] = [
            (plant.day_span(days[0]), plant.day_span(days[1]))
        ]
        wanted.append(tuple(each.span for d in days for each in plant.shift_spans(d)))
        edges = sorted(chance.sample(range(DAYS * 24 * 60), 4))
        at = [begin_ms + each * MINUTE_MS for each in edges]
        wanted.append((Span(at[0], at[1]), Span(at[2], at[3])))
        for spans in wanted:
            yield plant, Selection(spans)
            yield plant, Selection(spans, lines=("line-2",), builds=(BUILDS[0],))
            yield plant, Selection(spans, labels=("dent", "burr"))


def is_wanted(wanted: Selection, alert: SimAlert) -> bool:
    return (
        any(each.start_ms <= alert.at_ms < each.end_ms for each in wanted.spans)
        and wanted.holds_place(*alert.place[:3])
        and (not wanted.builds or alert.build in wanted.builds)
    )


def by_group(spans: tuple[Span, ...], times: list[int]) -> Counter[int | None]:
    """The number of moments in each group."""
    return Counter(
        next((i for i, s in enumerate(spans) if s.start_ms <= at < s.end_ms), None)
        for at in times
    )


@pytest.mark.parametrize("night", NIGHTS)
def test_charts_of_any_span_and_calendar_count_what_happened(
    data: AnalysisFile, night: str
) -> None:
    found = random_events(data, night, seed=1)
    checked = 0
    for plant, wanted in selections(night, seed=2):
        inside = [each for each in found if is_wanted(wanted, each)]
        check_places(data.database, wanted, inside)
        for step in Step:
            groups = groups_of(wanted.spans, plant, step, START_MS + 900 * DAY_MS)
            counted = numbers_by_group(data.database, wanted, groups)
            right = [
                [
                    a.at_ms
                    for a in inside
                    for label in a.defects()
                    if has(wanted, label)
                ],
                [
                    a.at_ms
                    for a in inside
                    if any(has(wanted, label) for label in a.defects())
                ],
            ]
            expected = [by_group(groups.spans, times) for times in right]
            assert counted == expected, (plant.zone, wanted, step)
            checked += sum(each.total() for each in expected)
    assert checked > 1000


def has(wanted: Selection, label: str) -> bool:
    return not wanted.labels or label in wanted.labels


def numbers_by_group(
    database: Database, wanted: Selection, groups: Any
) -> list[Counter[int | None]]:
    """Defects and alerts, from the sums."""
    found = []
    count: Callable[..., Counter[Any]]
    with database.read() as connection:
        for count in (defects, alerts_of):
            numbers: Counter[int | None] = Counter()
            counts = count(connection, wanted, ("bucket",), groups.buckets)
            for (bucket,), n in counts.items():
                numbers[groups.index_of(bucket)] += n
            found.append(numbers)
        # Of parts: whatever the step, they are the same ones.
        by_bucket = parts(connection, wanted, ("bucket",), groups.buckets)
        whole = parts(connection, wanted)[()]
        assert sum(each.inspected for each in by_bucket.values()) == whole.inspected
    return found


def check_places(database: Database, wanted: Selection, inside: list[SimAlert]) -> None:
    """Sums by place and class, and what people found."""
    kept = [(a, b) for a in inside for b in a.defects() if has(wanted, b)]
    with database.read() as connection:
        cameras, labels = defects_by(connection, wanted, [CAMERA, ("label",)])
        said = judged(connection, wanted)
    assert cameras == Counter(alert.place for alert, _ in kept)
    assert labels == Counter((label,) for _, label in kept)
    mine = [a for a in inside if any(has(wanted, label) for label in a.labels)]
    false = sum(a.verdict is FALSE for a in mine)
    real = sum(a.verdict in (REAL, OTHER) for a in mine)
    assert said == Judged(len(mine), real, false)


def test_parts_of_divided_hours_are_in_their_shifts(data: AnalysisFile) -> None:
    plant = PlantTime("UTC", ODD_SHIFTS)
    # 2025-11-20, minutes after midnight: the edges are 05:50, 13:35, 21:50 and 22:10.
    for minute in (349, 350, 814, 815, 1309, 1310, 1329, 1330):
        data.parts(minute)
    day = Span(START_MS, START_MS + DAY_MS)
    groups = groups_of([day], plant, Step.SHIFT, day.end_ms)
    found: Counter[int | None] = Counter()
    with data.database.read() as connection:
        counts = parts(connection, Selection((day,)), ("bucket",), groups.buckets)
        for (bucket,), n in counts.items():
            found[groups.index_of(bucket)] += n.ok
        whole = replace(Selection((day,)), lines=("line-9",))
        assert parts(connection, whole)[()].inspected == 0
    assert found == {0: 1, 1: 2, 2: 2, None: 2, 3: 1}
