import pytest

from dashboard.history.database import Database
from dashboard.history.full_picture_cache import (
    MS_PER_DAY,
    TOUCH_AFTER_MS,
    PictureKind,
    has_full_picture,
    keep_full_picture,
    note_use,
    prune_full_pictures,
    read_full_picture,
)
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
)


@pytest.fixture
def database(file: HistoryFile) -> Database:
    return file.database


def keep(
    database: Database, name: str, jpeg: bytes, at_ms: int = NOW_MS, most: int = 100
) -> bool:
    with database.write() as connection:
        return keep_full_picture(
            *(connection, name, jpeg), at_ms=at_ms, most_bytes=most, keep_days=90
        )


def kept(database: Database, *names: str) -> str:
    with database.read() as connection:
        return "".join(name for name in names if has_full_picture(connection, name))


def test_picture_is_read_as_it_was_kept(database: Database) -> None:
    assert keep(database, "a", b"jpeg")
    with database.read() as connection:
        found = read_full_picture(connection, "a")
        assert read_full_picture(connection, "b") is None
    assert found is not None
    assert found[1] == b"jpeg"


def test_least_used_pictures_make_room(database: Database) -> None:
    for n, name in enumerate("abc"):
        keep(database, name, name.encode() * 40, NOW_MS + n)
    assert kept(database, *"abc") == "bc"
    with database.read() as connection:
        found = read_full_picture(connection, "b")
    assert found is not None
    with database.write() as connection:
        note_use(connection, found[0], NOW_MS + 2 * TOUCH_AFTER_MS)
    keep(database, "d", b"d" * 40, NOW_MS + 3 * TOUCH_AFTER_MS)
    assert kept(database, *"abcd") == "bd"


def test_picture_that_is_larger_than_the_cache_is_not_kept(database: Database) -> None:
    keep(database, "a", b"a" * 50)
    assert not keep(database, "b", b"b" * 101)
    assert kept(database, "a", "b") == "a"


def test_one_picture_of_two_alerts_is_kept_once(database: Database) -> None:
    keep(database, "a", b"same" * 20)
    keep(database, "b", b"same" * 20)
    assert kept(database, "a", "b") == "ab"


def test_old_pictures_are_removed(database: Database) -> None:
    keep(database, "a", b"a")
    keep(database, "b", b"b", NOW_MS + 91 * MS_PER_DAY)
    assert kept(database, "a", "b") == "b"


def test_heat_map_is_kept_while_its_alert_is_and_counts_as_a_picture(
    database: Database,
) -> None:
    limits = {"at_ms": NOW_MS, "most_bytes": 100, "keep_days": 90}
    heat_map = PictureKind.HEAT_MAP
    with database.write() as connection:
        assert keep_full_picture(connection, "a", b"h" * 60, heat_map, **limits)
        assert has_full_picture(connection, "a", heat_map)
        assert not has_full_picture(connection, "a")
        # Of the least used ones it makes room like any other.
        assert keep_full_picture(connection, "b", b"f" * 60, **limits)
        assert not has_full_picture(connection, "a", heat_map)
        assert keep_full_picture(connection, "a", b"h" * 20, heat_map, **limits)
        assert prune_full_pictures(connection, 0, 10) == 2  # no such alerts
        assert not has_full_picture(connection, "a", heat_map)


def test_heat_map_of_an_alert_is_not_pruned(
    file: HistoryFile, database: Database
) -> None:
    event = alert_event(PRESS, 1)
    file.record(alert_record(event))
    limits = {"at_ms": NOW_MS, "most_bytes": 100, "keep_days": 90}
    with database.write() as connection:
        keep_full_picture(connection, event.id, b"h", PictureKind.HEAT_MAP, **limits)
        assert prune_full_pictures(connection, 0, 10) == 0
        assert has_full_picture(connection, event.id, PictureKind.HEAT_MAP)
