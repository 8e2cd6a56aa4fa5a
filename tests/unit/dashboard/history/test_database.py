"""Transactions of the history, in SQLite and in PostgreSQL."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history.database import (
    Database,
    insert_many,
    insert_new,
    is_bad_row,
    raise_many,
    upsert,
    upsert_many,
)
from dashboard.history.schema import SCHEMA_VERSION
from dashboard.history.tables import metadata
from dashboard.history.tables.audit import entries
from dashboard.history.tables.received import losses, meta, stations
from dashboard.postgresql_login import PostgresqlLogin
from models.errors import ConfigError
from tests.simulators.postgresql import PostgresqlServer

PRESS = {"site": "plant", "line": "line-1", "station": "press-1"}


@pytest.fixture
def database(location: Path | PostgresqlLogin) -> Iterator[Database]:
    with Database(location, busy_limit_s=0.2) as result:
        yield result


def test_tables_are_those_that_sqlalchemy_knows(database: Database) -> None:
    with database.read() as connection:
        found = inspect(connection)
        names = {*found.get_table_names()} - {"sqlite_sequence"}
        columns = {
            name: [each["name"] for each in found.get_columns(name)] for name in names
        }
    assert columns == {
        name: [column.name for column in table.columns]
        for name, table in metadata.tables.items()
    }


def test_reading_connection_cannot_write(database: Database) -> None:
    with database.read() as connection, pytest.raises(SQLAlchemyError):
        connection.execute(text("DELETE FROM alerts"))


def test_reading_sees_one_state_of_the_history(database: Database) -> None:
    count = select(func.count()).select_from(meta)
    with database.read() as connection:
        before = connection.execute(count).scalar_one()
        with database.write() as writing:
            writing.execute(meta.insert().values(key="a", value="b"))
        assert connection.execute(count).scalar_one() == before
    with database.read() as connection:
        assert connection.execute(count).scalar_one() == before + 1


def test_change_that_fails_leaves_nothing(database: Database) -> None:
    def change() -> None:
        with database.write() as connection:
            connection.execute(meta.insert().values(key="a", value="b"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    with database.read() as connection:
        assert connection.execute(select(meta).where(meta.c.key == "a")).all() == []


def test_new_rows_are_inserted_and_known_ones_are_left_out(database: Database) -> None:
    with database.write() as connection:
        rows = [{"key": key, "value": "first"} for key in "ab"]
        connection.execute(insert_new(meta), rows)
        again = [{"key": key, "value": "second"} for key in "bc"]
        new = insert_new(meta).returning(meta.c.key)
        assert connection.execute(new, again).scalars().all() == ["c"]
        values = (
            select(meta.c.value)
            .where(meta.c.key.in_(["a", "b", "c"]))
            .order_by(meta.c.key)
        )
        assert connection.execute(values).scalars().all() == [
            "first",
            "first",
            "second",
        ]


def test_known_row_is_changed_in_the_given_columns(database: Database) -> None:
    first = {**PRESS, "heard_ms": 1, "said_ms": 2, "status": "a"}
    second = {**PRESS, "heard_ms": 5, "said_ms": 6, "status": "b"}
    with database.write() as connection:
        connection.execute(upsert(stations), first)
        connection.execute(upsert(stations, "heard_ms"), second)
        row = connection.execute(select(stations)).one()
        assert (row.heard_ms, row.said_ms, row.status) == (5, 2, "a")
        connection.execute(upsert(stations), second)
        row = connection.execute(select(stations)).one()
        assert (row.heard_ms, row.said_ms, row.status) == (5, 6, "b")


def test_rows_are_changed_together(database: Database) -> None:
    presses = [{**PRESS, "station": f"press-{n}", "heard_ms": n} for n in range(3)]
    again = [{**each, "heard_ms": 1, "status": "a"} for each in presses]
    heard = select(stations.c.heard_ms).order_by(stations.c.station)
    with database.write() as connection:
        raise_many(connection, stations, "heard_ms", presses[:2])
        raise_many(connection, stations, "heard_ms", presses[::-1])
        raise_many(connection, stations, "heard_ms", again)
        assert connection.execute(heard).scalars().all() == [1, 1, 2]
        assert set(connection.execute(select(stations.c.status)).scalars()) == {None}
        upsert_many(connection, stations, again)
        assert connection.execute(heard).scalars().all() == [1, 1, 1]
        assert set(connection.execute(select(stations.c.status)).scalars()) == {"a"}


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"seq": 2**63}, {"id": "\ud800"}],
    ids=["nothing", "too large", "no text"],
)
def test_bad_row_among_many_is_an_error_of_this_row(
    database: Database, change: dict[str, object]
) -> None:
    row = {"id": "a:1", "stream_id": 1, "seq": 1, "kind": "image", "count": 1}
    row |= {"first_seq": 0, "last_seq": 0, "received_ms": 0}
    errors = (SQLAlchemyError, OverflowError, UnicodeEncodeError)  # as the store knows
    with pytest.raises(errors) as caught, database.write() as connection:
        insert_many(connection, losses, [row, {**row, "id": "a:2", **change}])
    assert not isinstance(caught.value, SQLAlchemyError) or is_bad_row(caught.value)
    with database.write() as connection:  # the connection is of use
        insert_many(connection, losses, [row])
        assert connection.execute(select(losses.c.id)).scalars().all() == ["a:1"]


def test_largest_numbers_are_kept(database: Database) -> None:
    row = {"id": "a:1", "stream_id": 1, "seq": 2**63 - 1, "kind": "image", "count": 1}
    with database.write() as connection:
        connection.execute(
            losses.insert(), {**row, "first_seq": 0, "last_seq": 0, "received_ms": 0}
        )
        assert connection.execute(select(losses.c.seq)).scalar() == 2**63 - 1


def test_one_transaction_writes_at_a_time(
    database: Database, location: Path | PostgresqlLogin
) -> None:
    with Database(location, busy_limit_s=0.05) as other:
        with (
            database.write(),
            pytest.raises(SQLAlchemyError, match=r"locked|lock timeout"),
            other.write() as connection,
        ):
            connection.execute(select(meta))
        with other.write() as connection:
            connection.execute(meta.insert().values(key="a", value="b"))


def test_what_was_read_for_a_change_is_true_until_its_commit(
    database: Database, location: Path | PostgresqlLogin
) -> None:
    def count_up(own: Database) -> None:
        for _ in range(20):
            with own.write() as connection:
                last = connection.execute(select(func.max(entries.c.n))).scalar() or 0
                row = {each.name: "" for each in entries.columns}
                connection.execute(entries.insert(), {**row, "n": last + 1, "at_ms": 0})

    with Database(location) as other, Database(location) as third:
        threads = [
            threading.Thread(target=count_up, args=(own,)) for own in (other, third)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
    with database.read() as connection:
        assert connection.execute(select(func.count(entries.c.n))).scalar() == 40


def test_programs_that_create_a_history_at_once_do_not_disturb_each_other(
    location: Path | PostgresqlLogin,
) -> None:
    opened: list[Database] = []
    threads = [
        threading.Thread(target=lambda: opened.append(Database(location)))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert len(opened) == 4
    for database in opened:
        database.close()


def test_history_of_a_newer_dashboard_is_refused(
    database: Database, location: Path | PostgresqlLogin
) -> None:
    newer = SCHEMA_VERSION + 1
    with database.write() as connection:
        if database.is_shared:
            connection.execute(meta.update().values(value=str(newer)))
        else:
            connection.execute(text(f"PRAGMA user_version = {newer}"))
    with pytest.raises(ConfigError, match=f"schema {newer}") as caught:
        Database(location)
    assert "newer than this dashboard's" in caught.value.why


def test_closed_history_is_an_error(database: Database) -> None:
    database.close()
    with pytest.raises(SQLAlchemyError, match="closed"), database.write():
        pass
    with pytest.raises(SQLAlchemyError, match="closed"), database.read():
        pass


def test_password_is_used_and_never_shown(postgresql_server: PostgresqlServer) -> None:
    login = postgresql_server.with_password(postgresql_server.new_database())
    Database(login).close()
    wrong = PostgresqlLogin(login.url, "not the password")
    with pytest.raises(ConfigError, match=r"\[history\] url = .*cannot be used") as bad:
        Database(wrong)
    assert "password authentication failed" in bad.value.why
    assert "not the password" not in str(bad.value)


def test_server_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"\[history\] url") as caught:
        Database(PostgresqlLogin("postgresql://me@127.0.0.1:1/none"))
    assert "refused" in caught.value.why


def test_database_of_another_encoding_is_refused(
    postgresql_server: PostgresqlServer,
) -> None:
    login = postgresql_server.new_database()
    name = login.full_url().database
    postgresql_server.execute(
        f"DROP DATABASE {name}",
        f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    with pytest.raises(ConfigError, match="encoding of the database is LATIN1"):
        Database(login)


def test_every_page_is_planned_for_its_own_filter(
    emptied_postgresql: PostgresqlLogin,
) -> None:
    """One plan for all filters read the whole history for the last 30 days."""
    with Database(emptied_postgresql) as database:
        with database.read() as connection:
            reading = connection.exec_driver_sql("SHOW plan_cache_mode").scalar()
        with database.write() as connection:
            writing = connection.exec_driver_sql("SHOW plan_cache_mode").scalar()
    assert (reading, writing) == ("force_custom_plan", "auto")
