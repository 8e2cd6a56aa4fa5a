"""Flashing a fleet: it stops, goes on, and catches up."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.fleet.look import read_fleet
from deploy.fleet.reports import FleetReport, PcResult
from deploy.fleet.state import FleetState, PcState
from deploy.fleet.windows import parse_window
from models.errors import ConfigError
from tests.simulators.fleet import NEW, OLD, SimFleet

KILL_LIMIT_S = 20


def names(report: FleetReport, result: PcResult) -> list[str]:
    return [row.name for row in report.pcs if row.result is result]


def audit(folder: Path) -> list[tuple[str, str]]:
    rows = map(json.loads, (folder / "audit.jsonl").read_text().splitlines())
    return [(row["what"], row["pc"]) for row in rows]


def test_healthy_fleet_is_flashed_in_three_waves(tmp_path: Path) -> None:
    fleet = SimFleet.of(20)
    report = fleet.run(tmp_path)
    assert report.exit_code == 0
    assert names(report, PcResult.GOOD) == fleet.names
    waves = [step.partition(":")[0] for step in fleet.steps if step.startswith("wave")]
    assert waves == ["wave 1", "wave 2", "wave 3"]
    assert sorted(fleet.flashed) == fleet.names


def test_number_at_the_same_time_is_bounded(tmp_path: Path) -> None:
    fleet = SimFleet.of(20, seconds=0.1)
    fleet.run(tmp_path, parallel=3)
    assert 1 < fleet.busiest <= 3


def test_same_command_again_flashes_nothing(tmp_path: Path) -> None:
    fleet = SimFleet.of(5)
    fleet.run(tmp_path)
    report = fleet.run(tmp_path)
    assert (fleet.flashed, report.exit_code) == ([], 0)
    assert not any(row.is_new for row in report.pcs)


def test_first_failure_stops_the_fleet_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    fleet = SimFleet.of(20, bad={"pc04"}, off={"pc17"})
    report = fleet.run(tmp_path, parallel=1)
    assert (report.stopped_by, report.exit_code) == ("pc04", 8)
    assert names(report, PcResult.GOOD) == ["pc01", "pc02", "pc03"]
    assert names(report, PcResult.BAD) == ["pc04"]
    assert names(report, PcResult.UNKNOWN) == ["pc17"]
    assert len(names(report, PcResult.NOT_TRIED)) == 15
    (row,) = (row for row in report.pcs if row.result is PcResult.BAD)
    assert (row.reason, row.fix) == ("the self-test failed", "Look at it.")
    # Nothing was done about it: the same PC is tried again, alone, and stops it again.
    fleet.run(tmp_path, parallel=1)
    assert fleet.flashed == ["pc04"]
    fleet.bad.clear()
    report = fleet.run(tmp_path, parallel=1)
    assert fleet.flashed[0] == "pc04"
    assert names(report, PcResult.UNKNOWN) == ["pc17"]
    assert (report.count(PcResult.GOOD), report.exit_code) == (19, 7)
    fleet.off.clear()
    report = fleet.run(tmp_path)
    assert (fleet.flashed, report.exit_code) == (["pc17"], 0)


def test_failure_in_the_first_wave_reaches_one_pc(tmp_path: Path) -> None:
    fleet = SimFleet.of(20, bad=set(SimFleet.of(20).names))
    report = fleet.run(tmp_path, parallel=8)
    assert fleet.flashed == ["pc01"]
    assert report.exit_code == 8


def test_after_a_failure_only_what_has_started_ends(tmp_path: Path) -> None:
    fleet = SimFleet.of(20, bad={"pc07"}, seconds=0.002)
    report = fleet.run(tmp_path, parallel=2)
    # The third wave starts with pc07; at most one other PC had started beside it.
    assert report.count(PcResult.GOOD) + report.count(PcResult.BAD) <= 8
    assert report.count(PcResult.NOT_TRIED) >= 12


def test_first_pc_that_is_off_is_replaced_and_caught_up(tmp_path: Path) -> None:
    fleet = SimFleet.of(8, off={"pc01"})
    report = fleet.run(tmp_path)
    assert fleet.flashed[0] == "pc02"
    assert (report.count(PcResult.GOOD), report.exit_code) == (7, 7)
    assert "It is off." in report.pcs[0].reason


def test_pc_that_is_lost_during_its_flash_stops_the_fleet(tmp_path: Path) -> None:
    fleet = SimFleet.of(8, lost={"pc01"})
    report = fleet.run(tmp_path)
    assert (report.stopped_by, fleet.flashed) == ("pc01", ["pc01"])
    assert names(report, PcResult.UNKNOWN) == ["pc01"]


def test_pc_that_was_switched_back_by_hand_gets_the_package_again(
    tmp_path: Path,
) -> None:
    fleet = SimFleet.of(5)
    fleet.run(tmp_path)
    fleet.packages["pc03"] = OLD
    report = fleet.run(tmp_path)
    assert (fleet.flashed, report.exit_code) == (["pc03"], 0)
    assert ("found no longer in force", "pc03") in audit(tmp_path)


def test_pc_that_was_flashed_by_hand_is_found_in_force(tmp_path: Path) -> None:
    fleet = SimFleet.of(5)
    fleet.packages["pc01"] = NEW
    fleet.run(tmp_path)
    assert "pc01" not in fleet.flashed
    assert ("found in force", "pc01") in audit(tmp_path)


def test_lost_state_does_no_harm(tmp_path: Path) -> None:
    fleet = SimFleet.of(5)
    fleet.run(tmp_path / "one")
    report = fleet.run(tmp_path / "two")
    assert (fleet.flashed, report.exit_code) == ([], 0)


def test_pc_outside_of_its_window_is_left_for_later(tmp_path: Path) -> None:
    night = (parse_window("22:00-05:00"),)
    fleet = SimFleet.of(5, windows={"pc01": night, "pc04": night})
    report = fleet.run(tmp_path)
    assert names(report, PcResult.CLOSED) == ["pc01", "pc04"]
    assert fleet.flashed[0] == "pc02"
    assert report.exit_code == 7
    report = fleet.run(tmp_path, ignore_windows=True)
    assert (sorted(fleet.flashed), report.exit_code) == (["pc01", "pc04"], 0)


def test_audit_has_every_start_and_every_result(tmp_path: Path) -> None:
    fleet = SimFleet.of(3, off={"pc03"})
    fleet.run(tmp_path)
    assert audit(tmp_path) == [
        ("rollout started", ""),
        ("not reached", "pc03"),
        ("flash started", "pc01"),
        ("committed", "pc01"),
        ("flash started", "pc02"),
        ("committed", "pc02"),
        ("rollout ended", ""),
    ]


def test_plan_changes_nothing(tmp_path: Path) -> None:
    fleet = SimFleet.of(20, off={"pc01"})
    fleet.packages["pc02"] = NEW
    folder = tmp_path / "state"
    run = fleet.fleet_flash(folder)
    waves = run.plan()
    assert [len(wave.names) for wave in waves] == [5, 13]
    assert run.left_out == {"pc01": PcResult.UNKNOWN}
    assert not folder.exists()
    assert not fleet.flashed


def test_status_counts_the_three_values_and_keeps_the_last_answer(
    tmp_path: Path,
) -> None:
    fleet = SimFleet.of(4)
    fleet.run(tmp_path)
    state = FleetState(tmp_path, "me")
    fleet.off.add("pc02")
    del fleet.packages["pc03"]
    status = read_fleet(fleet.pcs, state, fleet.look, 4)
    assert [pc.state for pc in status.pcs] == ["good", "unknown", "bad", "good"]
    assert (status.pcs[1].package, status.pcs[1].variant) == (NEW, "openvino-fp32 f32")
    assert status.exit_code == 8
    fleet.packages["pc03"] = NEW
    assert read_fleet(fleet.pcs, state, fleet.look, 4).exit_code == 7
    fleet.off.clear()
    assert read_fleet(fleet.pcs, state, fleet.look, 4).exit_code == 0


def test_status_works_while_the_fleet_is_flashed(tmp_path: Path) -> None:
    fleet = SimFleet.of(2)
    state = FleetState(tmp_path / "state", "me")
    with state.locked():
        status = read_fleet(fleet.pcs, state, fleet.look, 4)
    assert status.count(PcState.BAD) == 2


def test_state_that_cannot_be_written_stops_before_the_first_pc(
    tmp_path: Path,
) -> None:
    fleet = SimFleet.of(2)
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        fleet.run(tmp_path)
    assert not fleet.flashed


@pytest.mark.fault(47)
def test_killed_run_goes_on_with_the_same_command(
    tmp_path: Path, repository: Path
) -> None:
    folder = tmp_path / "state"
    command = [sys.executable, "-m", "tests.simulators.fleet", folder, "20", "0.2"]
    child = subprocess.Popen(list(map(str, command)), cwd=repository)
    try:
        _wait_for_row(folder, "pc08")  # in the middle of the third wave
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(KILL_LIMIT_S)
    rollout = FleetState(folder, "me").rollout()
    assert rollout is not None
    done = {name for name, known in rollout.outcomes.items() if known == "good"}
    started = {name for name, known in rollout.outcomes.items() if known == "started"}
    assert "pc01" in done
    assert started
    fleet = SimFleet.of(20)
    fleet.packages = dict.fromkeys(done, NEW)
    report = fleet.run(folder)
    assert report.exit_code == 0
    assert not done & set(fleet.flashed)
    assert set(fleet.flashed[: len(started)]) == started
    assert report.started_at == rollout.started_at


def _wait_for_row(folder: Path, pc: str) -> None:
    end_s = time.monotonic() + KILL_LIMIT_S
    file = folder / "audit.jsonl"
    while time.monotonic() < end_s:
        if file.exists() and f'"pc":"{pc}"' in file.read_text():
            return
        time.sleep(0.01)
    pytest.fail(f"{pc} was not started")
