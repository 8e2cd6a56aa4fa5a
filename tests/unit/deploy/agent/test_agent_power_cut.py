"""An entry of the inbox is taken, and power is lost or the disk fails at any step."""

import errno
import shutil
from pathlib import Path

import pytest

from models.errors import InstallError
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.target import POWER_CUT

pytestmark = pytest.mark.fault(47)
STEPS_TRIED = 10  # spread over all; the sweep of flashing itself tries every one


@pytest.fixture
def waiting(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> AgentPc:
    """A line PC with build 1 in force and build 2 in its inbox."""
    agent_pc.flash(builds[0])
    with workstation.delivery(builds[1]) as delivery:
        agent_pc.bring(delivery)
    return agent_pc


def fresh_copy(waiting: AgentPc, root: Path) -> AgentPc:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(waiting.root, root, symlinks=True)
    return AgentPc(root)


def some(steps: int) -> list[int]:
    return list(range(1, steps + 1, max(1, steps // STEPS_TRIED)))


def assert_taken(line_pc: AgentPc, package: Package) -> None:
    """Take what is left, and find the new package in force and nothing left over."""
    assert all(each.exit_code == 0 for each in line_pc.agent.take_waiting())
    assert line_pc.current() == package.sha256
    inbox = line_pc.agent.inbox.folder
    assert line_pc.agent.inbox.waiting() == []
    assert list(inbox.pool.iterdir()) == []
    assert not list(inbox.root.glob(".package-*"))
    (log,) = inbox.root.glob("*.log")
    assert line_pc.agent.inbox.log(log.stem).result() is not None


def test_power_cut_leaves_a_complete_package_and_the_entry_is_taken_again(
    waiting: AgentPc, builds: list[Package], tmp_path: Path
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(waiting, tmp_path / "counted").steps("take")
    seen = set()
    for step in some(steps):
        line_pc = fresh_copy(waiting, tmp_path / "cut")
        assert line_pc.disturbed("take", cut_at=step) == POWER_CUT
        seen.add(line_pc.current())
        assert_taken(line_pc, new)
    assert seen == {old.sha256, new.sha256}


@pytest.mark.fault(54)
def test_full_disk_is_a_result_or_leaves_the_entry(
    waiting: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    tmp_path: Path,
) -> None:
    old, new = builds[:2]
    steps = fresh_copy(waiting, tmp_path / "counted").steps("take")
    for step in some(steps):
        line_pc = fresh_copy(waiting, tmp_path / "full")
        code = line_pc.disturbed("take", fail_at=step, error=errno.ENOSPC)
        assert code in {0, 1, InstallError.exit_code}
        assert line_pc.current() in {old.sha256, new.sha256}
        line_pc.agent.take_waiting()
        with workstation.delivery(new) as delivery:
            line_pc.bring(delivery)
        (result,) = line_pc.agent.take_waiting()
        assert result.exit_code == 0, result
        assert line_pc.current() == new.sha256
