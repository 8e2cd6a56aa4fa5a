"""Notifications are tested in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dashboard.history_file import HistoryFile


@pytest.fixture(params=["sqlite", "postgresql"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryFile]:
    """An empty history of each kind."""
    is_file = request.param == "sqlite"
    where = tmp_path if is_file else request.getfixturevalue("emptied_postgresql")
    history_file = HistoryFile(where)
    yield history_file
    history_file.close()
