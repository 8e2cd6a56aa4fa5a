"""Pytest plugin: a broker, a collector and a line PC in one temporary folder.

A test module that needs other settings defines the fixture again.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without authentication."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as broker:
        yield broker


@pytest.fixture
def collector(tmp_path: Path, broker: Broker) -> Iterator[SimCollector]:
    """A running collector on the broker."""
    with SimCollector(tmp_path, broker.port) as collector:
        yield collector


@pytest.fixture
def pc(tmp_path: Path, broker: Broker) -> DaemonPc:
    """A line PC whose daemon is not started and publishes to the broker."""
    folder = tmp_path / "pc"
    folder.mkdir()
    return DaemonPc(folder, broker.port)
