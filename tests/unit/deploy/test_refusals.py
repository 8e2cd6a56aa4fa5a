"""Packages that a trial rolled back are remembered, up to a limit."""

import pytest

from deploy.refusals import REFUSALS_MAX, Refusals
from models.slot_files import SlotFolder
from tests.simulators.target import SimTarget


@pytest.fixture
def slot(line_pc: SimTarget) -> SlotFolder:
    line_pc.root.mkdir()
    return line_pc.slot


def test_package_is_remembered_until_it_is_forgotten(slot: SlotFolder) -> None:
    refusals = Refusals(slot)
    assert refusals.of("a") is None
    refusals.forget("a")
    assert not slot.refused.exists()
    refusals.add("a", "model build 1", "too slow")
    refusals.add("b", "model build 2", "finds nothing")
    refusal = refusals.of("a")
    assert refusal is not None
    assert (refusal.package, refusal.reason) == ("model build 1", "too slow")
    refusals.forget("a")
    assert refusals.of("a") is None
    assert refusals.of("b") is not None


def test_newest_refusals_are_kept(slot: SlotFolder) -> None:
    refusals = Refusals(slot)
    for number in range(REFUSALS_MAX + 2):
        refusals.add(str(number), "model", "bad")
    assert refusals.of("1") is None
    assert refusals.of("2") is not None
    assert refusals.of(str(REFUSALS_MAX + 1)) is not None


def test_damaged_file_holds_no_refusal_and_is_replaced(slot: SlotFolder) -> None:
    slot.refused.write_text("{")
    refusals = Refusals(slot)
    assert refusals.of("a") is None
    refusals.add("a", "model", "bad")
    assert refusals.of("a") is not None
