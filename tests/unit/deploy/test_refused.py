"""Packages that a trial rolled back are remembered, up to a limit."""

import pytest

from deploy.refused import REFUSED_MAX, RefusedPackages
from models.slot_files import SlotFolder
from tests.simulators.target import SimTarget


@pytest.fixture
def slot(line_pc: SimTarget) -> SlotFolder:
    line_pc.root.mkdir()
    return line_pc.slot


def test_package_is_remembered_until_it_is_forgotten(slot: SlotFolder) -> None:
    refused = RefusedPackages(slot)
    assert refused.of("a") is None
    refused.forget("a")
    assert not slot.refused.exists()
    refused.add("a", "model build 1", "too slow")
    refused.add("b", "model build 2", "finds nothing")
    found = refused.of("a")
    assert found is not None
    assert (found.package, found.reason) == ("model build 1", "too slow")
    refused.forget("a")
    assert refused.of("a") is None
    assert refused.of("b") is not None


def test_newest_refusals_are_kept(slot: SlotFolder) -> None:
    refused = RefusedPackages(slot)
    for number in range(REFUSED_MAX + 2):
        refused.add(str(number), "model", "bad")
    assert refused.of("1") is None
    assert refused.of("2") is not None
    assert refused.of(str(REFUSED_MAX + 1)) is not None


def test_damaged_file_holds_no_refusal_and_is_replaced(slot: SlotFolder) -> None:
    slot.refused.write_text("{")
    refused = RefusedPackages(slot)
    assert refused.of("a") is None
    refused.add("a", "model", "bad")
    assert refused.of("a") is not None
