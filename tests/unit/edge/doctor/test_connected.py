"""Whether a running daemon has a connection, by its health file."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.doctor.checks import _is_daemon_connected
from models.slot_files import Health, SlotFolder, write_file


@pytest.mark.parametrize(
    ("reason", "is_connected"),
    [
        ("", True),
        ("camera top lost", True),
        ("broker plant:8883 cannot be reached", False),
        ("camera top lost, broker plant:8883 cannot be reached", False),
    ],
)
def test_fault_of_the_broker_is_found_among_others(
    tmp_path: Path, reason: str, *, is_connected: bool
) -> None:
    health = Health(at=datetime.now(UTC), boot_id="b", state="degraded", reason=reason)
    write_file(SlotFolder(tmp_path).health, health)
    settings: Any = SimpleNamespace(model=SimpleNamespace(slot=tmp_path))
    assert _is_daemon_connected(settings) is is_connected
