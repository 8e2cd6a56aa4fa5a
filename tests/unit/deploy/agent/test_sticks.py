"""A stick is taken by the agent: asked to, or found where it is mounted."""

import json
from pathlib import Path

import pytest

from deploy.agent.following import follow_entry
from deploy.agent.sticks import leave_result, queue_new_stick, queue_stick
from deploy.target import UsbTarget
from deploy.transports.delivery import FlashOptions
from deploy.transports.usb import release_on, write_stick
from models.errors import InstallError
from models.inbox_files import ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation


@pytest.fixture
def stick(tmp_path: Path, workstation: Workstation, builds: list[Package]) -> Path:
    """A stick with the first build."""
    folder = tmp_path / "media" / "stick"
    folder.mkdir(parents=True)
    write(folder, workstation, builds[0])
    return folder


def write(folder: Path, workstation: Workstation, package: Package) -> None:
    with workstation.delivery(package) as delivery:
        request = delivery.request(FlashOptions())
        write_stick(UsbTarget("usb", folder), delivery, request)


def take(agent_pc: AgentPc, stick: Path) -> ResultLine:
    request = queue_stick(agent_pc.agent, stick)
    return follow_entry(agent_pc.agent, request.id, lambda _: None)


def test_stick_is_installed_and_may_be_taken_twice(
    agent_pc: AgentPc, stick: Path, builds: list[Package]
) -> None:
    assert take(agent_pc, stick).exit_code == 0
    assert agent_pc.current() == builds[0].sha256
    again = take(agent_pc, release_on(stick))
    assert again.report is not None
    assert again.report["outcome"] == "already-in-force"


def test_watched_folder_is_searched_for_sticks_and_each_is_taken_once(
    agent_pc: AgentPc, stick: Path, workstation: Workstation, builds: list[Package]
) -> None:
    agent = agent_pc.agent
    assert queue_new_stick(agent, stick.parent) is not None
    assert queue_new_stick(agent, stick.parent) is None  # it waits
    assert [each.exit_code for each in agent.take_waiting()] == [0]
    assert queue_new_stick(agent, stick.parent) is None  # it was taken
    write(stick, workstation, builds[1])
    assert queue_new_stick(agent, stick) is not None
    assert [each.exit_code for each in agent.take_waiting()] == [0]
    assert agent_pc.current() == builds[1].sha256


def test_watched_folder_that_is_not_mounted_is_no_fault(
    agent_pc: AgentPc, tmp_path: Path
) -> None:
    assert queue_new_stick(agent_pc.agent, tmp_path / "absent") is None


def test_result_is_left_on_the_stick(agent_pc: AgentPc, stick: Path) -> None:
    request = queue_stick(agent_pc.agent, stick)
    result = follow_entry(agent_pc.agent, request.id, lambda _: None)
    leave_result(request, result)
    (left,) = release_on(stick).glob("result-*.json")
    assert json.loads(left.read_text())["exit_code"] == 0


@pytest.mark.fault(48)
def test_stick_without_a_request_is_not_complete(
    agent_pc: AgentPc, stick: Path
) -> None:
    (release_on(stick) / "request.json").unlink()
    with pytest.raises(InstallError, match=r"there is no request\.json"):
        queue_stick(agent_pc.agent, stick)
    assert queue_new_stick(agent_pc.agent, stick.parent) is None


def test_folder_without_a_release_is_named(agent_pc: AgentPc, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="there is no release"):
        queue_stick(agent_pc.agent, tmp_path)


@pytest.mark.fault(48)
@pytest.mark.parametrize("kept_bytes", [0, 100])
def test_truncated_files_on_a_stick_are_refused(
    agent_pc: AgentPc, stick: Path, kept_bytes: int
) -> None:
    for path in (release_on(stick) / "files").iterdir():
        path.write_bytes(path.read_bytes()[:kept_bytes])
    result = take(agent_pc, stick)
    assert result.exit_code == InstallError.exit_code
    assert result.refusal == "truncated"
    assert agent_pc.current() == ""


@pytest.mark.fault(48)
def test_stick_that_was_pulled_out_meanwhile_changes_nothing(
    agent_pc: AgentPc, stick: Path, builds: list[Package]
) -> None:
    agent_pc.flash(builds[0])
    request = queue_stick(agent_pc.agent, stick)
    release_on(stick).rename(stick / "elsewhere")
    result = follow_entry(agent_pc.agent, request.id, lambda _: None)
    assert result.exit_code == InstallError.exit_code
    leave_result(request, result)
    assert agent_pc.current() == builds[0].sha256
    assert not list(stick.glob("graftline"))


@pytest.mark.fault(52)
def test_links_on_a_stick_are_not_followed(agent_pc: AgentPc, stick: Path) -> None:
    files = release_on(stick) / "files"
    path = max(files.iterdir(), key=lambda each: each.stat().st_size)
    outside = stick / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert take(agent_pc, stick).exit_code == InstallError.exit_code


@pytest.mark.fault(52)
def test_stick_whose_release_is_a_link_is_not_taken(
    agent_pc: AgentPc, stick: Path, tmp_path: Path
) -> None:
    release_on(stick).rename(tmp_path / "elsewhere")
    (stick / "graftline").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InstallError, match="there is no release"):
        queue_stick(agent_pc.agent, stick)
    assert queue_new_stick(agent_pc.agent, stick) is None
