"""What the daemon loads when flashing switches the model or orders a trial."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config.station import ModelSettings
from edge.inspection import model_watch
from edge.inspection.model_watch import ModelWatcher, TrialCandidate
from models.machine import this_platform
from models.manifest import VariantName
from models.package import Package
from models.slot_files import (
    SlotRecord,
    TrialOrder,
    TrialStarts,
    read_file,
    write_file,
)
from models.slot_states import SlotState
from models.trial_report import STARTS_MAX, TrialPhase
from tests.simulators.packages import (
    install_package,
    make_package,
    point_current_at,
    write_proof,
)
from tests.simulators.resealed import answer_nan, reseal
from tests.waiting import until

FP32 = VariantName.OPENVINO_FP32


def test_watch_has_the_new_model_after_a_switch_and_the_old_one_after_a_rollback(
    tmp_path: Path,
) -> None:
    first = make_package(tmp_path / "first", build=1)
    second = make_package(tmp_path / "second", build=2)
    slot = install_package(tmp_path / "slot", first)
    settings = ModelSettings(slot=slot.root, threads=1, poll_interval_s=0.02)
    watch = ModelWatcher(settings, first.sha256)
    watch.start()
    install_package(slot.root, second)
    fresh = until(watch.take)
    assert fresh is not None
    assert fresh.in_force.build == 2
    assert watch.take() is None
    point_current_at(slot, first.sha256)
    fresh = until(watch.take)
    watch.stop()
    assert fresh is not None
    assert fresh.in_force.build == 1


def test_new_model_without_proof_is_refused_until_it_is_proven(tmp_path: Path) -> None:
    first = make_package(tmp_path / "first", build=1)
    second = make_package(tmp_path / "second", build=2)
    slot = install_package(tmp_path / "slot", first)
    settings = ModelSettings(slot=slot.root, threads=1, poll_interval_s=0.02)
    watch = ModelWatcher(settings, first.sha256)
    watch.start()
    shutil.copytree(second.folder, slot.store / second.sha256)
    point_current_at(slot, second.sha256)
    until(lambda: watch.fault)
    assert watch.fault.startswith(f"model {second.sha256[:12]} refused: ")
    assert "no proof on this machine" in watch.fault
    assert watch.take() is None
    write_proof(slot, second, FP32)
    fresh = until(watch.take)
    watch.stop()
    assert fresh is not None
    assert fresh.in_force.build == 2
    assert watch.fault == ""


@pytest.mark.fault(85)
@pytest.mark.parametrize("passes", [True, False])
def test_model_is_proven_again_when_the_machine_changes_under_the_daemon(
    tmp_path: Path, passes: bool
) -> None:
    package = make_package(tmp_path / "package")
    if not passes:
        package = reseal(package, tmp_path / "wrong here", answer_nan)
    slot = install_package(tmp_path / "slot", package)
    machines = [this_platform(), replace(this_platform(), instruction_set="avx9")]
    watch = ModelWatcher(
        ModelSettings(slot=slot.root, threads=1),
        package.sha256,
        platform=lambda: machines.pop(0) if len(machines) > 1 else machines[0],
    )
    watch.check_platform()
    watch.check()
    fresh = watch.take()
    assert (fresh is not None) == passes
    assert ("golden frames on this machine" in watch.fault) != passes
    watch.check_platform()
    assert watch.take() is None, "it is noted once"


@pytest.mark.fault(86)
@pytest.mark.parametrize("lost", ["current", "store", "proof.json", "."])
def test_slot_that_a_restart_could_not_use_is_a_fault(
    tmp_path: Path, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    package = make_package(tmp_path / "package")
    slot = install_package(tmp_path / "slot", package)
    watch = ModelWatcher(ModelSettings(slot=slot.root, threads=1), package.sha256)
    watch.check()
    assert watch.fault == ""
    gone = (slot.root / lost).rename(tmp_path / "elsewhere")
    watch.check()
    watch.check()
    assert "is missing: the model runs until the daemon ends" in watch.fault
    assert caplog.text.count("model_fault") == 1, "logged once"
    gone.rename(slot.root / lost)
    watch.check()
    assert watch.fault == ""


class Slot:
    """A slot with the first build in force and the second one in its store."""

    def __init__(self, folder: Path) -> None:
        self.first = make_package(folder / "first", build=1)
        self.second = make_package(folder / "second", build=2)
        self.folder = install_package(folder / "slot", self.first)
        store = self.folder.store
        shutil.copytree(self.second.folder, store / self.second.sha256)
        write_proof(self.folder, self.second, FP32)

    def order(self, phase: TrialPhase = TrialPhase.OBSERVE, name: str = "a") -> None:
        """Order the trial of the second build."""
        link = self.folder.trial
        link.unlink(missing_ok=True)
        link.symlink_to(Path("store") / self.second.sha256)
        order = TrialOrder(
            id=name,
            package_sha256=self.second.sha256,
            phase=phase,
            limit_s=60,
            at=datetime.now(UTC),
        )
        write_file(self.folder.trial_order, order)

    def end(self, in_force: Package) -> None:
        point_current_at(self.folder, in_force.sha256)
        self.folder.trial.unlink()
        self.folder.trial_order.unlink()

    def watcher(self) -> ModelWatcher:
        """Return a watcher whose thread is not started: a test calls its check."""
        settings = ModelSettings(slot=self.folder.root, threads=1)
        return ModelWatcher(settings, self.first.sha256)

    def starts(self) -> int:
        file = read_file(self.folder.trial_starts, TrialStarts)
        return file.starts if file else 0


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path)


def candidate_of(watcher: ModelWatcher) -> TrialCandidate:
    watcher.check()
    candidate = watcher.take_candidate()
    assert candidate is not None
    return candidate


def test_package_in_trial_is_loaded_once_and_the_one_in_force_stays(slot: Slot) -> None:
    watcher = slot.watcher()
    slot.order()
    candidate = candidate_of(watcher)
    assert candidate.model is not None
    assert candidate.model.in_force.build == 2
    assert (candidate.starts, candidate.fault, slot.starts()) == (1, "", 1)
    assert candidate.rss_bytes_before > 0
    slot.order(TrialPhase.DECIDE)
    watcher.check()
    assert watcher.take_candidate() is None
    assert watcher.order is not None
    assert watcher.order.phase is TrialPhase.DECIDE
    assert (watcher.take(), watcher.running) == (None, slot.first.sha256)


def test_committed_package_is_not_loaded_again(slot: Slot) -> None:
    watcher = slot.watcher()
    slot.order()
    candidate_of(watcher)
    point_current_at(slot.folder, slot.second.sha256)  # the trial's link is next
    watcher.check()
    slot.end(slot.second)
    watcher.check()
    assert watcher.order is None
    assert (watcher.take(), watcher.running) == (None, slot.second.sha256)


def test_package_that_was_rolled_back_is_forgotten(slot: Slot) -> None:
    watcher = slot.watcher()
    slot.order()
    candidate_of(watcher)
    slot.end(slot.first)
    watcher.check()
    assert watcher.order is None
    assert watcher.running == slot.first.sha256
    point_current_at(slot.folder, slot.second.sha256)  # by hand, without a trial
    watcher.check()
    fresh = watcher.take()
    assert fresh is not None
    assert fresh.in_force.build == 2


def test_refused_package_is_tried_again_after_some_minutes(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = slot.watcher()
    stored = slot.folder.store / slot.second.sha256
    stored.rename(stored.with_name("gone"))
    point_current_at(slot.folder, slot.second.sha256)
    watcher.check()
    assert watcher.fault
    stored.with_name("gone").rename(stored)  # repaired; its proof did not change
    watcher.check()
    assert watcher.take() is None
    monkeypatch.setattr(model_watch, "RETRY_S", 0.0)
    watcher.check()
    assert watcher.take() is not None
    assert watcher.fault == ""


@pytest.mark.fault(55)
def test_starts_are_counted_before_the_load_and_the_fourth_loads_nothing(
    slot: Slot,
) -> None:
    slot.order()
    for start in range(1, STARTS_MAX + 1):
        candidate = candidate_of(slot.watcher())
        assert (candidate.starts, candidate.model is not None) == (start, True)
        assert slot.starts() == start
    refused = candidate_of(slot.watcher())
    assert refused.model is None
    assert refused.fault == "the daemon did not survive 3 starts with it"
    slot.order(name="b")
    assert candidate_of(slot.watcher()).starts == 1


def test_start_that_cannot_be_counted_loads_nothing(slot: Slot) -> None:
    slot.order()
    slot.folder.trial_starts.mkdir()
    candidate = candidate_of(slot.watcher())
    assert candidate.model is None
    assert "its starts cannot be counted" in candidate.fault


def test_package_in_trial_that_cannot_be_loaded_says_why(slot: Slot) -> None:
    (slot.folder.store / slot.second.sha256 / "openvino" / "fp32.xml").unlink()
    slot.order()
    candidate = candidate_of(slot.watcher())
    assert candidate.model is None
    assert "it cannot be loaded: " in candidate.fault


@pytest.mark.parametrize("case", ["no-link", "other-link", "damaged"])
def test_order_without_its_link_is_none(case: str, slot: Slot) -> None:
    slot.order()
    if case == "damaged":
        slot.folder.trial_order.write_text("{")
    else:
        slot.folder.trial.unlink()
    if case == "other-link":
        slot.folder.trial.symlink_to(Path("store") / slot.first.sha256)
    watcher = slot.watcher()
    watcher.check()
    assert watcher.take_candidate() is None
    assert watcher.order is None


@pytest.mark.parametrize(
    ("state", "reason", "flashing"),
    [
        (SlotState.TRIAL, "", "m build 2 is in trial"),
        (SlotState.ROLLED_BACK, "it is bad", "m build 2 was rolled back: it is bad"),
        (SlotState.COMMITTED, "", ""),
    ],
)
def test_status_says_what_flashing_did(
    state: SlotState, reason: str, flashing: str, slot: Slot
) -> None:
    record = SlotRecord(
        state=state, reason=reason, package="m build 2", at=datetime.now(UTC)
    )
    write_file(slot.folder.state, record)
    watcher = slot.watcher()
    watcher.check()
    assert watcher.flashing == flashing
    assert watcher.in_trial == (state is SlotState.TRIAL)


def test_slot_without_a_record_says_nothing(tmp_path: Path) -> None:
    settings = ModelSettings(slot=tmp_path, threads=1)
    watcher = ModelWatcher(settings, "")
    watcher.check()
    assert (watcher.flashing, watcher.order) == ("", None)
