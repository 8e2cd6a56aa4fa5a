"""The history in PostgreSQL: its address, and how connections to it behave.

One advisory lock is held from the start of every writing transaction to its end, by
each collector and each page: as in SQLite, one transaction writes at a time. So
``alerts.n`` grows in the order of the commits, and a reader that continues after the
largest ``n`` it has seen misses no alert of another collector.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError

from dashboard.postgresql_login import PostgresqlLogin
from models.errors import ConfigError

WRITE_LOCK = 0x67726166746C696E  # any number: "graftlin"
CONNECT_LIMIT_S = 5
# A server that is gone without closing its connections is noticed within this time.
SILENCE_LIMIT_MS = 10_000
# A dashboard that hangs in a transaction keeps the lock no longer than this.
IDLE_LIMIT_MS = 30_000
STATEMENT_LIMIT_MS = 60_000
# As the server calls the types of the tables' columns.
COPIED_TYPES = {
    BigInteger: "int8",
    Integer: "int4",
    Float: "float8",
    Text: "text",
    LargeBinary: "bytea",
}


# How the server plans what pages read. A plan for any filter and any span costs a page
# of a short one a second, and so does one for disks that must turn.
READING = {"plan_cache_mode": "force_custom_plan", "random_page_cost": "1.1"}


def reading_engine(login: PostgresqlLogin, readers: int, readers_max: int) -> Engine:
    """Return connections that read one state in each transaction, and cannot write."""
    return _engine(
        login,
        settings=READING,
        pool_size=readers,
        max_overflow=readers_max - readers,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )


def writing_engine(login: PostgresqlLogin, lock_limit_s: float) -> Engine:
    """Return a connection whose transactions hold the lock of all writers.

    Args:
        lock_limit_s: How long to wait for another writer.
    """
    engine = _engine(login, lock_limit_s, pool_size=1, max_overflow=0)

    @event.listens_for(engine, "begin")
    def lock(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")

    return engine


def _engine(
    login: PostgresqlLogin,
    lock_limit_s: float = CONNECT_LIMIT_S,
    settings: Mapping[str, object] = MappingProxyType({}),
    **options: object,
) -> Engine:
    settings = {
        "lock_timeout": round(lock_limit_s * 1000),
        "statement_timeout": STATEMENT_LIMIT_MS,
        "idle_in_transaction_session_timeout": IDLE_LIMIT_MS,
        # Committed events are acknowledged, and the station then deletes them.
        "synchronous_commit": "on",
        "timezone": "UTC",
        # To compile a query of many spans takes longer than to run it.
        "jit": "off",
        **settings,
    }
    arguments = {
        "connect_timeout": CONNECT_LIMIT_S,
        "tcp_user_timeout": SILENCE_LIMIT_MS,
        "application_name": "graftline dashboard",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    url = login.full_url()
    given = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        return create_engine(
            url,
            connect_args=given,
            pool_pre_ping=True,  # after a restart of the server
            hide_parameters=True,
            **options,
        )
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "[history] url: the driver of PostgreSQL is not installed.",
            why=str(exc),
            fix="pip install 'graftline[dashboard,postgresql]'",
        ) from exc


def copy_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows of the same columns, in their order.

    The server stores the first ones while the next ones are sent.

    Raises:
        sqlalchemy.exc.DBAPIError: As for any other statement.
    """
    dialect = connection.dialect
    columns = ", ".join(f'"{name}"' for name in rows[0])
    types = [COPIED_TYPES[type(table.c[name].type)] for name in rows[0]]
    statement = f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT BINARY)'
    base = dialect.loaded_dbapi.Error
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(tuple(row.values()))
    except base as exc:
        raise DBAPIError.instance(
            statement, None, exc, base, hide_parameters=True, dialect=dialect
        ) from exc
    finally:
        cursor.close()


def next_numbers(connection: Connection, table: Table, count: int) -> list[int]:
    """Return numbers for the column ``n`` of new rows, ascending.

    In a writing transaction: its lock keeps others from the same numbers.
    """
    name = f"pg_get_serial_sequence('{table.name}', 'n')::regclass"
    statement = f"SELECT setval({name}, nextval({name}) + %s)"
    last = connection.exec_driver_sql(statement, (count - 1,)).scalar_one()
    return list(range(last - count + 1, last + 1))


def merge_arrays(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: str,
) -> None:
    """Insert rows of the same columns as one array for each column.

    Args:
        on_conflict: The clause of that name, without its first two keywords.
    """
    names = list(rows[0])
    types = [table.c[name].type.compile(connection.dialect) for name in names]
    # Binary: as text, each quotation mark of an event is escaped by itself.
    arrays = ", ".join(f"%b::{kind}[]" for kind in types)
    columns = ", ".join(f'"{name}"' for name in names)
    statement = (
        f'INSERT INTO "{table.name}" ({columns}) SELECT * FROM unnest({arrays})'  # noqa: S608 - names of the product
        f" ON CONFLICT {on_conflict}"
    )
    values = tuple([row[name] for row in rows] for name in names)
    connection.exec_driver_sql(statement, values)


def add_up_arrays(
    connection: Connection,
    table: Table,
    coarser: Table,
    length: int,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Add rows to the sums of two tables in one statement.

    Args:
        table: Its first column is a time, its last one the number that is added up;
            the others are its key.
        coarser: The same with whole multiples of ``length`` as its times.
    """
    names = [f'"{column.name}"' for column in table.columns]
    coarse = [f'"{column.name}"' for column in coarser.columns]
    time, *keys, count = names
    kinds = [each.type.compile(connection.dialect) for each in table.columns]
    arrays = ", ".join(f"%b::{kind}[]" for kind in kinds)
    groups = ", ".join([f"{time} / {length} * {length}", *keys])
    statement = f"""
        WITH new AS (SELECT * FROM unnest({arrays}) AS new ({", ".join(names)})),
        added AS (
            INSERT INTO "{coarser.name}" ({", ".join(coarse)})
            SELECT {groups}, sum({count})::int8 FROM new GROUP BY {groups}
            {_adding_up(coarser, coarse)}
        )
        INSERT INTO "{table.name}" ({", ".join(names)}) SELECT * FROM new
        {_adding_up(table, names)}
        """  # noqa: S608 - names of the product
    columns = tuple(
        [*each] for each in zip(*(row.values() for row in rows), strict=True)
    )
    connection.exec_driver_sql(statement, columns)


def _adding_up(table: Table, names: Sequence[str]) -> str:
    *keys, count = names
    return (
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE"
        f' SET {count} = "{table.name}".{count} + excluded.{count}'
    )


def require_usable(connection: Connection) -> None:
    """Refuse a database that cannot hold every text.

    Raises:
        ConfigError: Its encoding is not UTF-8.
    """
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise ConfigError(
            f"[history] url: the encoding of the database is {encoding}.",
            why="Names and labels are UTF-8.",
            fix="createdb --encoding=UTF8 --template=template0 NAME",
        )
