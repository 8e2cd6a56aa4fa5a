"""A broker, a collector, a line and the database of a cluster are killed, each once."""

from pathlib import Path

import pytest

from tests.simulators.cluster.brokers import require_nats_server
from tests.simulators.cluster.chaos import KINDS, ClusterChaos
from tests.simulators.postgresql import require_postgresql

SEED = 3


@pytest.mark.long
@pytest.mark.fault(73, 74)
@pytest.mark.timeout(600)
def test_every_event_is_in_the_history_once_after_one_kill_of_each_kind(
    tmp_path: Path,
) -> None:
    require_nats_server()
    require_postgresql()
    report = ClusterChaos(tmp_path, SEED, print).run(0)
    assert report.kills == dict.fromkeys(KINDS, 1)
    for line in report.lines:
        assert line.noted > 0
        assert line.alerts + line.verdicts == line.raised
    assert report.is_clean, report.table()
