"""What the tests of the dashboard may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import SimSite


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    """An empty history."""
    history_file = HistoryFile(tmp_path)
    yield history_file
    history_file.store.close()


@pytest.fixture
def site(file: HistoryFile) -> Iterator[SimSite]:
    """The pages of an empty history."""
    sim_site = SimSite(file)
    yield sim_site
    sim_site.database.close()
