"""One target of each kind, without a network and with a self-test that passes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import flashing
from deploy.agent.installation import Installation
from deploy.agent.step_log import failure_line, success_line
from deploy.flashing import error_of, flash_target, read_target_status
from deploy.results import TargetOutcome, TargetResult
from deploy.target import FlashTarget, SshTarget, Target, UsbTarget, parse_target
from deploy.transports.delivery import FlashOptions, PackageDelivery
from deploy.transports.ssh_errors import TargetError, TargetProblem
from models.errors import ConfigError, InstallError, PackageError
from models.inbox_files import ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.target import SimTarget, open_passing_installer

SSH = SshTarget("ssh://line-3", "", "line-3", None, "/srv/slot")


@pytest.fixture
def delivery(
    workstation: Workstation, builds: list[Package]
) -> Iterator[PackageDelivery]:
    with workstation.delivery(builds[0]) as delivery:
        yield delivery


@pytest.fixture(autouse=True)
def _self_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def passing(slot: object, target_name: str = "") -> Installation:
        return Installation(slot, target_name, open_passing_installer)  # type: ignore[arg-type]

    monkeypatch.setattr(flashing, "Installation", passing)


def flash(
    delivery: PackageDelivery, target: Target, **options: bool
) -> tuple[TargetResult, list[str]]:
    steps: list[str] = []
    result = flash_target(delivery, target, FlashOptions(**options), steps.append)
    return result, steps


def local(folder: Path) -> FlashTarget:
    target = parse_target(f"local:{folder}")
    assert isinstance(target, FlashTarget)
    return target


def test_package_in_force_is_verified_and_not_received_again(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    target = local(tmp_path / "slot")
    flash(delivery, target)
    shutil.rmtree(delivery.folder / "files")
    (target.slot.store / ".incoming-left-behind").mkdir()
    result, steps = flash(delivery, target)
    assert result.outcome is TargetOutcome.ALREADY_IN_FORCE
    assert steps == [f"verify: release {delivery.folder}"]
    assert [path.name for path in target.slot.store.iterdir()] == [
        delivery.package.sha256
    ]


def test_package_in_force_that_was_damaged_is_received_again(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    target = local(tmp_path / "slot")
    flash(delivery, target)
    golden = delivery.package.manifest.golden
    stored = target.slot.store / delivery.package.sha256 / golden
    before = stored.read_bytes()
    stored.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    result, _ = flash(delivery, target)
    assert result.outcome is TargetOutcome.REPAIRED
    assert stored.read_bytes() == before


def test_new_local_slot_is_enrolled_and_flashed(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    target = local(tmp_path / "slot")
    result, steps = flash(delivery, target)
    assert result.outcome is TargetOutcome.COMMITTED
    assert result.report is not None
    assert result.report.target == target.name
    assert any(step.startswith("self-test") for step in steps)
    assert SimTarget(tmp_path / "slot").current() == delivery.package.sha256
    again, _ = flash(delivery, target)
    assert again.outcome is TargetOutcome.ALREADY_IN_FORCE
    assert read_target_status(target).current == result.package


@pytest.mark.fault(49)
def test_local_slot_of_other_keys_is_refused(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    other = Workstation.make(tmp_path / "keys")
    line_pc = other.line_pc(tmp_path / "slot")
    result, _ = flash(delivery, local(line_pc.root))
    assert result.outcome is TargetOutcome.FAILED
    assert result.refusal == "foreign-keys"
    error = error_of(result)
    assert isinstance(error, InstallError)
    assert error.fix
    assert line_pc.current() == ""


def test_older_package_is_a_failure_with_its_fix(
    delivery: PackageDelivery, agent_pc: AgentPc, builds: list[Package]
) -> None:
    agent_pc.flash(builds[1])
    result, _ = flash(delivery, local(agent_pc.root))
    assert result.outcome is TargetOutcome.FAILED
    assert result.exit_code == InstallError.exit_code
    assert result.fix


def test_dry_run_writes_nothing(delivery: PackageDelivery, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    targets = [
        local(tmp_path / "slot"),
        UsbTarget("usb:stick", tmp_path / "stick"),
    ]
    for target in targets:
        result, _ = flash(delivery, target, dry_run=True)
        assert result.outcome is TargetOutcome.PLANNED
        assert result.sent_files > 0
    assert not (tmp_path / "slot").exists()
    assert not list((tmp_path / "stick").iterdir())


def test_stick_is_written_and_not_installed(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    result, _ = flash(delivery, UsbTarget("usb:stick", tmp_path))
    assert result.outcome is TargetOutcome.SENT
    assert result.sent_bytes == sum(delivery.sizes().values())
    assert "graftline agent" in result.message


def test_slot_that_cannot_be_written_is_a_failure(
    delivery: PackageDelivery, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result, _ = flash(delivery, local(tmp_path / "file" / "slot"))
    assert result.outcome is TargetOutcome.FAILED
    assert "cannot be written" in result.message


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (TargetProblem.UNREACHABLE, TargetOutcome.UNREACHABLE),
        (TargetProblem.CUT, TargetOutcome.UNREACHABLE),
        (TargetProblem.KEY_REFUSED, TargetOutcome.FAILED),
        (TargetProblem.HOST_KEY_CHANGED, TargetOutcome.FAILED),
    ],
)
def test_line_pc_that_is_off_is_worth_another_try_later(
    delivery: PackageDelivery,
    monkeypatch: pytest.MonkeyPatch,
    problem: TargetProblem,
    outcome: TargetOutcome,
) -> None:
    def fail(*_: object) -> None:
        raise TargetError("ssh://line-3: no.", why="w", fix="f", problem=problem)

    monkeypatch.setattr(flashing, "send_release", fail)
    result, _ = flash(delivery, SSH)
    assert result.outcome is outcome
    assert (result.why, result.fix) == ("w", "f")


@pytest.mark.parametrize(
    ("is_rolled_back", "outcome"),
    [(True, TargetOutcome.ROLLED_BACK), (False, TargetOutcome.FAILED)],
)
def test_failure_on_the_line_pc_keeps_its_exit_code_and_fix(
    delivery: PackageDelivery,
    monkeypatch: pytest.MonkeyPatch,
    is_rolled_back: bool,
    outcome: TargetOutcome,
) -> None:
    line = failure_line(PackageError("damaged", why="w", fix="f"))
    line = line.model_copy(update={"is_rolled_back": is_rolled_back})
    result = followed(delivery, monkeypatch, line)
    assert result.outcome is outcome
    error = error_of(result)
    assert isinstance(error, PackageError)
    assert (error.what, error.why, error.fix) == ("ssh://line-3: damaged", "w", "f")


def followed(
    delivery: PackageDelivery, monkeypatch: pytest.MonkeyPatch, line: ResultLine
) -> TargetResult:
    monkeypatch.setattr(flashing, "send_release", lambda *_: flashing.SentFiles(3, 99))
    monkeypatch.setattr(flashing, "follow", lambda *_: line)
    return flash(delivery, SSH)[0]


def test_report_of_the_line_pc_names_the_target_as_it_was_typed(
    delivery: PackageDelivery, monkeypatch: pytest.MonkeyPatch, line_pc: SimTarget
) -> None:
    report = line_pc.flash(delivery.package)
    result = followed(delivery, monkeypatch, success_line(report))
    assert result.outcome is TargetOutcome.COMMITTED
    assert result.report is not None
    assert result.report.target == SSH.name
    assert (result.sent_files, result.sent_bytes) == (3, 99)


def test_report_of_another_version_is_named(
    delivery: PackageDelivery, monkeypatch: pytest.MonkeyPatch, line_pc: SimTarget
) -> None:
    line = success_line(line_pc.flash(delivery.package))
    odd = line.model_copy(update={"report": {"outcome": "new"}})
    assert "not readable" in followed(delivery, monkeypatch, odd).message


def test_status_of_a_stick_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a stick"):
        read_target_status(UsbTarget("usb:stick", tmp_path))
