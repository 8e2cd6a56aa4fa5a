"""What the installer does while a daemon tries a package, and why it ends."""

import itertools
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.installer import DEFAULT_TRIAL
from deploy.results import FlashOutcome, FlashReport
from deploy.status import read_status
from deploy.trial import TrialSettings
from deploy.trial_run import NO_DAEMON, OLD_DAEMON, DaemonSign, why_no_trial
from models.errors import InstallError
from models.messages import DaemonState
from models.package import Package
from models.slot_files import Health, SlotFolder, TrialOrder, read_file, write_file
from models.slot_states import SlotState
from models.trial_report import TrialPhase, TrialReport
from tests.simulators.target import SimTarget
from tests.simulators.trial_daemon import TrialDaemon, good_report, silent

QUICK = TrialSettings(frames=300, seconds=60, limit_s=2, silence_s=0.3)
BAD = "it finds no defect"


def bad_report(order: TrialOrder) -> TrialReport:
    return good_report(order, fault=BAD)


def write_health(slot: SlotFolder, age_s: float = 0, **fields: object) -> None:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    values = {"at": at, "boot_id": "boot", "state": "ready", "can_try": True, **fields}
    write_file(slot.health, Health.model_validate(values))


@pytest.fixture
def line(line_pc: SimTarget, builds: list[Package]) -> SimTarget:
    """A line PC with the first build in force."""
    line_pc.flash(builds[0])
    return line_pc


def assert_old_in_force(line: SimTarget, old: Package, new: Package) -> None:
    assert line.current() == old.sha256
    assert not line.slot.trial.is_symlink()
    assert not line.slot.trial_order.exists()
    record = line.record()
    assert (record.state, record.package_sha256) == (SlotState.ROLLED_BACK, new.sha256)
    assert record.package == "bright-cells build 2"


def test_package_is_in_force_after_both_phases_of_its_trial(
    line: SimTarget, builds: list[Package]
) -> None:
    with TrialDaemon(line.slot) as daemon:
        report = line.flash(builds[1], QUICK)
    assert daemon.phases == [TrialPhase.OBSERVE, TrialPhase.DECIDE]
    assert report.outcome is FlashOutcome.COMMITTED
    assert report.trial.startswith("decided 500 frames, 25.0/s")
    assert (line.current(), line.previous()) == (builds[1].sha256, builds[0].sha256)
    assert line.record().state is SlotState.COMMITTED
    names = line.names()
    assert "trial" not in names
    assert "trial.json" not in names
    assert "refused.json" not in names


def test_bad_package_is_rolled_back_and_refused_until_it_is_to_be_tried_again(
    line: SimTarget, builds: list[Package]
) -> None:
    with TrialDaemon(line.slot, bad_report):
        with pytest.raises(InstallError, match="build 2 was rolled back") as caught:
            line.flash(builds[1], QUICK)
        assert caught.value.why.startswith("It finds no defect. The package that was")
        assert "--again" in caught.value.fix
        assert_old_in_force(line, *builds[:2])
        assert line.record().reason == BAD
        with pytest.raises(InstallError, match="was rolled back here on") as caught:
            line.flash(builds[1], QUICK)
        assert caught.value.why == "It finds no defect."
    status = read_status(line.installer.target)
    assert [each.reason for each in status.refused] == [BAD]
    with TrialDaemon(line.slot):
        again = line.flash(builds[1], replace(QUICK, tries_again=True))
    assert again.outcome is FlashOutcome.COMMITTED
    assert read_status(line.installer.target).refused == ()


def test_first_package_and_one_that_is_repaired_are_not_tried(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.root.mkdir()
    with TrialDaemon(line_pc.slot, bad_report):
        first = line_pc.flash(builds[0], QUICK)
        line_pc.slot.proof.unlink()
        repaired = line_pc.flash(builds[0], QUICK)
        off = line_pc.flash(builds[1], TrialSettings(frames=0, seconds=0))
    assert first.trial == "nothing was in force before"
    assert repaired.trial == "it was in force before"
    assert off.trial == "switched off"


def test_without_a_daemon_a_package_is_in_force_after_its_self_test(
    line: SimTarget, builds: list[Package]
) -> None:
    started = time.monotonic()
    assert line.flash(builds[1]).trial == NO_DAEMON
    write_health(line.slot, age_s=31)
    assert line.flash(builds[2]).trial == NO_DAEMON
    write_health(line.slot, state="disconnected")
    assert line.flash(builds[3]).trial == NO_DAEMON
    assert time.monotonic() - started < 5


def test_daemon_that_has_just_died_is_not_waited_for(line: SimTarget) -> None:
    write_health(line.slot, interval_s=0.1)
    started = time.monotonic()
    assert why_no_trial(line.slot, DaemonSign.of(line.slot)) == NO_DAEMON
    assert 0.2 < time.monotonic() - started < 2


def test_daemon_with_a_wrong_clock_is_alive_if_its_report_changes(
    line: SimTarget,
) -> None:
    write_health(line.slot, age_s=1e9)
    before = DaemonSign.of(line.slot)
    write_health(line.slot, age_s=1e9 - 2)
    assert why_no_trial(line.slot, before) == ""


def test_daemon_of_an_earlier_version_takes_no_part(line: SimTarget) -> None:
    with TrialDaemon(line.slot, can_try=False):
        assert why_no_trial(line.slot, DaemonSign.of(line.slot)) == OLD_DAEMON


def test_daemon_that_falls_silent_in_the_trial_is_the_reason_of_the_rollback(
    line: SimTarget, builds: list[Package]
) -> None:
    reports = itertools.count()

    def report_often(order: TrialOrder) -> TrialReport:
        if next(reports) == 9:  # the first ones may be older than the wait
            daemon.stop_soon()
        return good_report(order, seconds=0)

    class Dying(TrialDaemon):
        def stop_soon(self) -> None:
            self._stop.set()

    with (
        Dying(line.slot, report_often) as daemon,
        pytest.raises(InstallError, match="rolled back") as caught,
    ):
        line.flash(builds[1], QUICK)
    assert "has not reported for" in caught.value.why
    assert_old_in_force(line, *builds[:2])
    assert read_status(line.installer.target).refused


@pytest.mark.parametrize("case", ["limit", "stopped", "not-taken-up"])
def test_trial_without_a_result_is_rolled_back_and_not_remembered(
    case: str, line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.trial_run.PICK_UP_S", 0.2)
    reports = {
        "limit": lambda order: good_report(order, seconds=0),
        "stopped": lambda order: daemon.disconnect() or good_report(order, seconds=0),
        "not-taken-up": silent,
    }
    reasons = {
        "limit": "no result within",
        "stopped": "stopped before the end",
        "not-taken-up": "did not load it within",
    }

    class Stopping(TrialDaemon):
        def disconnect(self) -> None:
            self.state = DaemonState.DISCONNECTED
            self._stop.set()

    settings = replace(QUICK, limit_s=0.6)
    with (
        Stopping(line.slot, reports[case]) as daemon,
        pytest.raises(InstallError, match="rolled back") as caught,
    ):
        line.flash(builds[1], settings)
    assert reasons[case] in caught.value.why.lower()
    assert_old_in_force(line, *builds[:2])
    assert not line.slot.refused.exists()


def interrupt(
    line: SimTarget, package: Package, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Flash a package; power is lost while its trial lasts. Return the trial's id."""

    class PowerCutError(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch, TrialDaemon(line.slot):
        patch.setattr("deploy.trial_run.TrialRun.run", cut)
        with pytest.raises(PowerCutError):
            line.flash(package, QUICK)
    order = read_file(line.slot.trial_order, TrialOrder)
    assert order is not None
    assert line.record().state is SlotState.TRIAL
    assert line.slot.package_of(line.slot.trial) == package.sha256
    return order.id


@pytest.mark.parametrize("by", ["flash", "resume"])
def test_trial_that_was_interrupted_goes_on(
    by: str, line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial_id = interrupt(line, builds[1], monkeypatch)
    seen: set[str] = set()

    def report_of(order: TrialOrder) -> TrialReport:
        seen.add(order.id)
        return good_report(order, starts=2)

    report: FlashReport | None
    with TrialDaemon(line.slot, report_of):
        if by == "flash":
            report = line.flash(builds[1], QUICK)
        else:
            report = line.installer.resume(QUICK)
    assert report is not None
    assert report.outcome is FlashOutcome.COMMITTED
    assert seen == {trial_id}
    assert line.current() == builds[1].sha256
    assert line.previous() == builds[0].sha256
    assert line.installer.resume(DEFAULT_TRIAL) is None


def test_interrupted_trial_waits_for_a_daemon_that_starts_later(
    line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(line, builds[1], monkeypatch)
    line.slot.health.unlink()
    late = threading.Event()

    def report_later(order: TrialOrder) -> TrialReport | None:
        return bad_report(order) if late.wait(0.5) else None

    timer = threading.Timer(0.6, late.set)
    timer.start()
    with (
        TrialDaemon(line.slot, report_later),
        pytest.raises(InstallError, match="rolled back"),
    ):
        line.installer.resume(QUICK)
    timer.join()
    assert_old_in_force(line, *builds[:2])


def test_interrupted_trial_without_a_daemon_is_rolled_back_and_not_remembered(
    line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(line, builds[1], monkeypatch)
    order = read_file(line.slot.trial_order, TrialOrder)
    assert order is not None
    write_health(line.slot, trial=good_report(order))  # from before the power cut
    monkeypatch.setattr("deploy.trial_run.PICK_UP_S", 0.2)
    with pytest.raises(InstallError, match="rolled back") as caught:
        line.installer.resume(QUICK)
    assert "has not reported for" in caught.value.why
    assert_old_in_force(line, *builds[:2])
    assert not line.slot.refused.exists()


def test_other_package_ends_an_interrupted_trial(
    line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(line, builds[1], monkeypatch)
    report = line.flash(builds[2], QUICK)
    assert report.trial == NO_DAEMON
    assert (line.current(), line.previous()) == (builds[2].sha256, builds[0].sha256)
    assert not line.slot.trial_order.exists()


def test_rollback_ends_an_interrupted_trial(
    line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    line.flash(builds[1])
    interrupt(line, builds[2], monkeypatch)
    line.installer.rollback()
    assert line.current() == builds[0].sha256
    assert not line.slot.trial.is_symlink()
    assert not line.slot.trial_order.exists()


def test_person_who_stops_a_trial_has_the_old_model_back(
    line: SimTarget, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.trial_run.TrialRun.run", stop)
    with TrialDaemon(line.slot), pytest.raises(KeyboardInterrupt):
        line.flash(builds[1], QUICK)
    assert_old_in_force(line, *builds[:2])
    assert "stopped by a person" in line.record().reason
    assert not line.slot.refused.exists()


@pytest.mark.fault(56)
@pytest.mark.parametrize("case", ["missing", "damaged"])
def test_rollback_of_a_trial_needs_no_previous_package(
    case: str, line: SimTarget, builds: list[Package], tmp_path: Path
) -> None:
    line.flash(builds[1])
    if case == "missing":
        line.slot.previous.unlink()
    else:
        (line.slot.previous / "manifest.json").write_text("{}")
    with (
        TrialDaemon(line.slot, bad_report),
        pytest.raises(InstallError, match="(?i)" + BAD),
    ):
        line.flash(builds[2], QUICK)
    assert line.current() == builds[1].sha256
    with pytest.raises(InstallError, match="previous package") as caught:
        line.installer.rollback()
    assert caught.value.fix
    assert line.current() == builds[1].sha256
    faults = read_status(line.installer.target).faults
    assert bool(faults) == (case == "damaged")
