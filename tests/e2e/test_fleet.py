"""A fleet of local line PCs: by the command, and twenty slots with a recorded proof."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.fleet.inventory import FleetPc, read_inventory
from deploy.fleet.line_pcs import look_at_line_pc
from deploy.fleet.look import read_fleet
from deploy.fleet.reports import FleetReport, PcResult
from deploy.fleet.rollout import FleetFlash
from deploy.fleet.state import FleetState
from deploy.links import locked
from deploy.results import PackageName, TargetOutcome, TargetResult
from models.errors import GraftlineError
from models.package import Package
from tests.command import graftline_here
from tests.simulators.agent_pc import Workstation
from tests.simulators.broker import free_port
from tests.simulators.packages import make_package
from tests.simulators.sshd import SimSshd
from tests.simulators.target import SimTarget

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PLANT = """
[hall.hosts]
pc1 = { graftline_target = "local:pcs/1" }
pc2 = { graftline_target = "local:pcs/2" }
pc3 = { graftline_target = "local:away/3" }
"""


Fleet = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def fleet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Fleet:
    """Runs ``graftline fleet`` in a new folder, with its keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "keys"))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        options = ("--inventory", "plant.toml", "--json")
        answer = graftline_here(capsys, "fleet", *words, *options)
        assert answer.code in {0, 7, 8}, answer.errors
        return answer.code, answer.json

    return run


def values(report: dict[str, Any], key: str) -> list[str]:
    return [pc[key] for pc in report["pcs"]]


@pytest.mark.slow
def test_fleet_stops_at_a_failure_goes_on_and_catches_up(
    fleet: Fleet, tmp_path: Path
) -> None:
    make_package(tmp_path / "plate")
    (tmp_path / "plant.toml").write_text(PLANT)
    (tmp_path / "pcs").mkdir()
    (tmp_path / "pcs" / "2").write_text("no folder")  # a PC that fails
    code, report = fleet("flash", "plate")
    assert (code, report["stopped_by"]) == (8, "pc2")
    assert values(report, "result") == ["good", "bad", "unknown"]
    (tmp_path / "pcs" / "2").unlink()
    code, report = fleet("flash", "plate")
    assert (code, values(report, "is_new")) == (7, [False, True, False])
    code, status = fleet("status")
    assert (code, values(status, "state")) == (7, ["good", "good", "unknown"])
    assert status["pcs"][0]["package"]["name"] == "bright-cells"
    (tmp_path / "away").mkdir()
    shutil.copytree(tmp_path / "pcs" / "1", tmp_path / "away" / "3", symlinks=True)
    code, report = fleet("flash", "plate")  # its disk came with a model
    assert (code, values(report, "result")) == (0, ["good"] * 3)
    assert not any(values(report, "is_new"))


class TwentySlots:
    """Twenty real slots, flashed by the installer; only the self-test is recorded."""

    def __init__(self, folder: Path) -> None:
        self.package = make_package(folder / "plate", build=2)
        self.older = make_package(folder / "older", build=1)
        self.state = FleetState(folder / "state", "me@workstation")
        self.folder = folder
        (folder / "pcs").mkdir()
        inventory = folder / "plant.toml"
        pattern = "".join(
            f'pc{n:02} = {{ graftline_target = "local:pcs/{n:02}/slot" }}\n'
            for n in range(1, 21)
        )
        inventory.write_text(f"[plant.hosts]\n{pattern}")
        self.pcs = read_inventory(inventory)
        for number in range(1, 21):
            self.pc(number).root.parent.mkdir()
            if number != 17:
                self.pc(number).flash(self.older)

    def pc(self, number: int) -> SimTarget:
        return SimTarget(self.folder / "pcs" / f"{number:02}" / "slot")

    def flash_one(self, pc: FleetPc, on_step: Any) -> TargetResult:
        try:
            report = self.pc(int(pc.name[2:])).flash(self.package)
        except GraftlineError as exc:
            return self.result(pc, TargetOutcome.FAILED, exc.exit_code, exc.what)
        return self.result(pc, TargetOutcome(report.outcome), 0, "flashed")

    def result(
        self, pc: FleetPc, outcome: TargetOutcome, exit_code: int, message: str
    ) -> TargetResult:
        return TargetResult(
            target=pc.target,
            outcome=outcome,
            exit_code=exit_code,
            message=message,
            package=PackageName.of(self.package),
        )

    def flash(self) -> FleetReport:
        run = FleetFlash(
            pcs=self.pcs,
            package=PackageName.of(self.package),
            state=self.state,
            look=look_at_line_pc,
            on_step=lambda _: None,
            parallel=2,
        )
        with self.state.locked():
            return run.run(self.flash_one)

    def in_force(self, package: Package) -> int:
        return sum(self.pc(n).current() == package.sha256 for n in range(1, 21))


@pytest.mark.fault(53)
def test_twenty_slots_of_which_one_is_busy_and_one_is_away(tmp_path: Path) -> None:
    fleet = TwentySlots(tmp_path)
    away = fleet.pc(17).root.parent
    away.rmdir()
    with locked(fleet.pc(9).slot):  # somebody flashes it by hand
        report = fleet.flash()
    assert (report.exit_code, report.stopped_by) == (8, "pc09")
    assert report.count(PcResult.UNKNOWN) == 1
    assert 7 <= report.count(PcResult.GOOD) <= 9  # and those beside it
    assert fleet.in_force(fleet.package) == report.count(PcResult.GOOD)
    report = fleet.flash()
    assert (report.exit_code, report.count(PcResult.GOOD)) == (7, 19)
    away.mkdir()
    assert fleet.flash().exit_code == 0
    assert fleet.in_force(fleet.package) == 20
    status = read_fleet(fleet.pcs, fleet.state, look_at_line_pc, 8)
    assert status.exit_code == 0


@pytest.mark.slow
def test_fleet_behind_ssh_is_enrolled_flashed_and_shown(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(tmp_path / "plate")
    Workstation.make(tmp_path / "keys")
    with SimSshd() as line_pc:
        line_pc.use(monkeypatch)
        (tmp_path / "plant.toml").write_text(
            f'[all.vars]\nansible_user = "{line_pc.user}"\n[hall.hosts]\n'
            f'pc1 = {{ graftline_target = "{line_pc.target("one")}" }}\n'
            f'pc2 = {{ ansible_host = "127.0.0.1", ansible_port = {free_port()} }}\n'
        )
        for action, key, expected in (
            (("enroll",), "state", ["good", "unknown"]),
            (("flash", "plate"), "result", ["good", "unknown"]),
            (("status",), "state", ["good", "unknown"]),
        ):
            code, report = fleet(*action)
            assert (code, values(report, key)) == (7, expected)
        assert report["pcs"][0]["package"]["name"] == "bright-cells"
        assert "cannot be reached" in report["pcs"][1]["reason"]
