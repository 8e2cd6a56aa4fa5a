import os
from pathlib import Path

import pytest

from deploy.links import (
    clean_links,
    end_trial,
    linked_packages,
    locked,
    remove_link,
    switch_link,
)
from models.errors import InstallError
from models.slot_files import SlotFolder


@pytest.fixture
def slot(tmp_path: Path) -> SlotFolder:
    folder = SlotFolder(tmp_path)
    for name in ("a", "b"):
        (folder.store / name).mkdir(parents=True)
    return folder


def test_link_points_at_the_package_it_was_switched_to(slot: SlotFolder) -> None:
    switch_link(slot, slot.current, "a")
    switch_link(slot, slot.current, "b")
    assert slot.current.resolve() == slot.store / "b"
    assert slot.package_of(slot.current) == "b"


def test_links_survive_a_move_of_the_slot(slot: SlotFolder, tmp_path: Path) -> None:
    switch_link(slot, slot.current, "a")
    moved = slot.root.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert SlotFolder(moved).current.is_dir()


def test_removed_link_is_gone_and_its_package_is_not(slot: SlotFolder) -> None:
    switch_link(slot, slot.trial, "a")
    remove_link(slot, slot.trial)
    remove_link(slot, slot.trial)
    assert not slot.trial.is_symlink()
    assert (slot.store / "a").is_dir()


def test_every_package_that_a_link_names_is_returned(slot: SlotFolder) -> None:
    assert linked_packages(slot) == set()
    switch_link(slot, slot.current, "a")
    switch_link(slot, slot.previous, "b")
    assert linked_packages(slot) == {"a", "b"}


def test_cleaning_keeps_the_daemons_files(slot: SlotFolder) -> None:
    ours = (".state.json.7.tmp", ".proof.json.7.tmp", ".current.link")
    daemons = (".health.json.7.tmp", "health.json")
    for name in (*ours, *daemons):
        (slot.root / name).touch()
    switch_link(slot, slot.trial, "a")
    clean_links(slot)
    left = {path.name for path in slot.root.iterdir()}
    assert left == {*daemons, "store", "trial"}


def test_end_of_a_trial_removes_its_link_and_files(slot: SlotFolder) -> None:
    switch_link(slot, slot.trial, "a")
    switch_link(slot, slot.current, "b")
    slot.trial_order.touch()
    slot.trial_starts.touch()
    end_trial(slot)
    end_trial(slot)
    assert {path.name for path in slot.root.iterdir()} == {"current", "store"}


def test_second_holder_of_the_lock_gets_the_error_busy(slot: SlotFolder) -> None:
    with (
        locked(slot),
        pytest.raises(InstallError, match="busy") as caught,
        locked(slot),
    ):
        pass
    assert "Another flash" in caught.value.why


def test_lock_is_free_after_a_holder_that_failed(slot: SlotFolder) -> None:
    with pytest.raises(ZeroDivisionError), locked(slot):
        _ = 1 / 0
    with locked(slot):
        pass


@pytest.mark.fault(81)
def test_lock_that_is_a_planted_link_is_not_followed(slot: SlotFolder) -> None:
    (slot.root / ".lock").symlink_to(slot.root / "elsewhere")
    with pytest.raises(OSError, match="is a link"), locked(slot):
        pass
    assert not (slot.root / "elsewhere").exists()


@pytest.mark.fault(81)
@pytest.mark.parametrize("name", ["", "store"])
def test_root_does_not_write_into_the_slot_or_store_of_another_user(
    slot: SlotFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (slot.root / name).mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(slot.root / name, 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    expected = pytest.raises(InstallError, match="this process is root")
    with expected as caught, locked(slot):
        pass
    assert "runuser -u " in caught.value.fix
    assert not (slot.root / ".lock").exists()
