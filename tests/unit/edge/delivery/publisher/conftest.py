"""The outbox that the parts of the publisher read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery.outbox.outbox import Outbox
from tests.simulators.alerts import TOPICS


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty outbox whose writer runs."""
    result = Outbox(tmp_path / "outbox.db", TOPICS, 64 << 20)
    result.start()
    yield result
    result.close()
