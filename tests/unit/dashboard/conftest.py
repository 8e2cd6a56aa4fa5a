"""What the tests of the dashboard may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from dashboard.history.database import Database
from dashboard.history.tables import metadata
from dashboard.postgresql_login import PostgresqlLogin
from tests.simulators.postgresql import PostgresqlServer, require_postgresql
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import SimSite


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    """An empty history."""
    history_file = HistoryFile(tmp_path)
    yield history_file
    history_file.close()


@pytest.fixture
def site(file: HistoryFile) -> SimSite:
    """The pages of an empty history."""
    return SimSite(file)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A server that no test stops."""
    require_postgresql()
    server = PostgresqlServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgresql_history(postgresql_server: PostgresqlServer) -> PostgresqlLogin:
    """A history that the tests use one after another."""
    return postgresql_server.new_database()


@pytest.fixture
def emptied_postgresql(postgresql_history: PostgresqlLogin) -> PostgresqlLogin:
    """The history of one test, which is empty."""
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    with Database(postgresql_history) as database, database.write() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return postgresql_history


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresqlLogin:
    """Where an empty history may be, in each kind of database."""
    if request.param == "sqlite":
        return tmp_path / "history.sqlite3"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database()
