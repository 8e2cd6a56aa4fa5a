"""A workshop with keys, and a line PC that trusts them."""

import os
from pathlib import Path

import pytest

from models.package import Package
from tests.simulators.releases import MemoryRelease, Receiver, Workshop


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk here; test_interrupted_keys.py checks the order."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop.at(tmp_path / "shop")


@pytest.fixture
def line(tmp_path: Path, shop: Workshop) -> Receiver:
    pc = Receiver(tmp_path / "slot")
    pc.enroll(shop)
    return pc


@pytest.fixture
def release(shop: Workshop, builds: list[Package]) -> MemoryRelease:
    """The first build, signed."""
    return shop.sign(builds[0])
