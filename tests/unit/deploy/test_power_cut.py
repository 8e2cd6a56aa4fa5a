"""kill -9 at the steps of a flash (faults.md, row 47), and steps that fail (54)."""

import errno
import itertools
import shutil
from pathlib import Path

import pytest

from models.errors import InstallError
from models.package import Package
from models.slot_files import TrialOrder
from models.trial_report import TrialReport
from tests.simulators.target import POWER_CUT, SimTarget
from tests.simulators.trial_daemon import TrialDaemon, good_report

TRIAL_STEPS = 40  # the last ones of a flash with a trial, from before its start
TRIAL_POINTS = 8
pytestmark = pytest.mark.fault(47)
POINTS = 16  # steps that are tried out of some hundred; each costs a tenth second


def some(steps: int) -> list[int]:
    """Return steps spread over a verb, each of its last ones included."""
    early = range(1, steps - POINTS // 2, max(1, 2 * steps // POINTS))
    return [*early, *range(max(1, steps - POINTS // 2), steps + 1)]


@pytest.fixture(scope="module")
def with_first_build(
    builds: list[Package], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = tmp_path_factory.mktemp("first") / "line-pc"
    SimTarget(root).flash(builds[0])
    return root


@pytest.fixture(scope="module")
def with_second_build(
    builds: list[Package],
    with_first_build: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    root = tmp_path_factory.mktemp("second") / "line-pc"
    shutil.copytree(with_first_build, root, symlinks=True)
    SimTarget(root).flash(builds[1])
    return root


def fresh_copy(line_pc: Path, folder: Path) -> SimTarget:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(line_pc, folder, symlinks=True)
    return SimTarget(folder)


def assert_flash_converges(
    target: SimTarget, package: Package, before: Package | None
) -> None:
    target.flash(package)
    assert target.current() == package.sha256
    assert target.previous() == (before.sha256 if before else "")
    kept = {package.sha256, *([before.sha256] if before else [])}
    links = {"current", "previous"} if before else {"current"}
    files = {".lock", "state.json", "proof.json", "store"}
    assert target.names() == files | links | {f"store/{name}" for name in kept}
    assert target.proven() == kept


def test_first_flash_cut_at_any_step_leaves_nothing_or_all(
    builds: list[Package], tmp_path: Path
) -> None:
    package = builds[0]
    steps = SimTarget(tmp_path / "counted").steps("flash", package)
    seen = set()
    for step in some(steps):
        target = SimTarget(tmp_path / f"line-pc-{step}")
        assert target.disturbed("flash", package, cut_at=step) == POWER_CUT
        seen.add(target.current())
        assert_flash_converges(target, package, None)
    assert seen == {"", package.sha256}  # the sweep reaches both sides of the switch


def test_flash_cut_at_any_step_leaves_the_old_package_or_the_new(
    builds: list[Package], with_first_build: Path, tmp_path: Path
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(with_first_build, tmp_path / "counted").steps("flash", new)
    seen = set()
    for step in some(steps):
        target = fresh_copy(with_first_build, tmp_path / "line-pc")
        assert target.disturbed("flash", new, cut_at=step) == POWER_CUT
        seen.add(target.current())
        assert target.current() in target.proven()
        assert_flash_converges(target, new, old)
    assert seen == {old.sha256, new.sha256}


def test_rollback_cut_at_any_step_leaves_the_one_package_or_the_other(
    builds: list[Package], with_second_build: Path, tmp_path: Path
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(with_second_build, tmp_path / "counted").steps("rollback")
    for step in range(1, steps + 1):
        target = fresh_copy(with_second_build, tmp_path / "line-pc")
        assert target.disturbed("rollback", cut_at=step) == POWER_CUT
        assert target.current() in {old.sha256, new.sha256}
        assert_flash_converges(target, new, old)


def test_repair_cut_at_any_step_is_completed_by_the_next_flash(
    builds: list[Package], with_first_build: Path, tmp_path: Path
) -> None:
    package = builds[0]
    damaged = fresh_copy(with_first_build, tmp_path / "damaged")
    flip_a_byte(damaged.slot.current / "openvino" / "fp32.xml")
    (damaged.slot.current / "golden" / "00.png").unlink()
    counted = fresh_copy(damaged.root, tmp_path / "counted")
    steps = counted.steps("flash", package)
    for step in some(steps):
        target = fresh_copy(damaged.root, tmp_path / "line-pc")
        assert target.disturbed("flash", package, cut_at=step) == POWER_CUT
        assert target.slot.package_of(target.slot.current) == package.sha256
        assert step < steps or target.current() == package.sha256
        assert_flash_converges(target, package, None)


@pytest.mark.fault(54)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_step_that_fails_is_an_install_error_and_the_old_package_stays(
    error: int, builds: list[Package], with_first_build: Path, tmp_path: Path
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(with_first_build, tmp_path / "counted").steps("flash", new)
    for step in some(steps)[:: 3 if error == errno.EIO else 2]:
        target = fresh_copy(with_first_build, tmp_path / "line-pc")
        code = target.disturbed("flash", new, fail_at=step, error=error)
        assert code in {0, 8}  # 0: only what is done after success had failed
        assert target.current() in {old.sha256, new.sha256}
        assert_flash_converges(target, new, old)


def bad_report(order: TrialOrder) -> TrialReport:
    return good_report(order, fault="it is bad")


def trial_steps(steps: int) -> range:
    """Return steps spread over a trial, the last one of the flash included."""
    return range(steps, max(1, steps - TRIAL_STEPS), -TRIAL_STEPS // TRIAL_POINTS)


def test_trial_cut_at_any_step_goes_on_and_is_committed(
    builds: list[Package], with_first_build: Path, tmp_path: Path
) -> None:
    old, new = builds[:2]
    counted = fresh_copy(with_first_build, tmp_path / "counted")
    with TrialDaemon(counted.slot):
        steps = counted.steps("flash", new)
    for step in trial_steps(steps):
        target = fresh_copy(with_first_build, tmp_path / f"line-pc-{step}")
        with TrialDaemon(target.slot):
            assert target.disturbed("flash", new, cut_at=step) == POWER_CUT
            assert target.current() in {old.sha256, new.sha256}
            target.flash(new)
        assert (target.current(), target.previous()) == (new.sha256, old.sha256)
        left = target.names() & {"trial", "trial.json", "refused.json"}
        assert not left


def test_bad_trial_cut_at_any_step_never_puts_the_package_in_force(
    builds: list[Package], with_first_build: Path, tmp_path: Path
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(with_first_build, tmp_path / "counted").steps("flash", new)
    code = POWER_CUT
    for step in itertools.count(steps - TRIAL_STEPS // 2, 3):
        if code != POWER_CUT:
            break
        target = fresh_copy(with_first_build, tmp_path / f"line-pc-{step}")
        with TrialDaemon(target.slot, bad_report):
            code = target.disturbed("flash", new, cut_at=step)
            assert code in {POWER_CUT, InstallError.exit_code}
            assert target.current() == old.sha256
            with pytest.raises(InstallError, match="rolled back"):
                target.flash(new)
        assert target.current() == old.sha256
        assert target.previous() == ""
        assert "refused.json" in target.names()
        assert not target.names() & {"trial", "trial.json"}
    assert step > steps  # the sweep reaches beyond the rollback


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
