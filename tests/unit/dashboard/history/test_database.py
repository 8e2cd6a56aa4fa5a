import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import OperationalError

from dashboard.history.database import Database
from dashboard.history.tables import metadata
from dashboard.history.tables.received import alerts
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import SimSite


def test_tables_are_those_that_sqlalchemy_knows(file: HistoryFile) -> None:
    database = Database(file.path)
    with database.read() as connection:
        found = inspect(connection)
        names = {*found.get_table_names()} - {"sqlite_sequence"}
        columns = {
            name: [each["name"] for each in found.get_columns(name)] for name in names
        }
    database.close()
    assert columns == {
        name: [column.name for column in table.columns]
        for name, table in metadata.tables.items()
    }


def test_reading_connection_cannot_write(site: SimSite) -> None:
    with site.database.read() as connection, pytest.raises(OperationalError):
        connection.execute(text("DELETE FROM alerts"))


def test_reading_sees_one_state_of_the_history(site: SimSite) -> None:
    site.add(1)
    with site.database.read() as connection:
        before = connection.execute(select(alerts.c.id)).all()
        site.add(2)
        assert connection.execute(select(alerts.c.id)).all() == before
    with site.database.read() as connection:
        assert len(connection.execute(select(alerts.c.id)).all()) == 2
