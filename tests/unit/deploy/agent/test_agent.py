"""What the agent does with the entries of an inbox."""

import json
from pathlib import Path

import pytest

from deploy.agent.agent import ATTEMPTS_MAX
from deploy.agent.step_log import step_line
from deploy.transports.delivery import FlashOptions
from models.errors import InstallError
from models.inbox_files import REQUEST_NAME, ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation


def test_entry_is_installed_logged_and_removed(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    (result,) = agent_pc.agent.take_waiting()
    assert result.exit_code == 0
    assert result.report is not None
    assert result.report["outcome"] == "committed"
    assert agent_pc.current() == builds[0].sha256
    inbox = agent_pc.agent.inbox
    assert inbox.waiting() == []
    assert list(inbox.folder.pool.iterdir()) == []
    lines, _ = inbox.log(request.id).read()
    assert isinstance(lines[-1], ResultLine)
    assert sum(isinstance(line, ResultLine) for line in lines) == 1
    assert {path.name for path in inbox.folder.root.iterdir()} == {
        ".files",
        f"{request.id}.log",
    }


def test_entries_are_taken_in_the_order_in_which_they_were_complete(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    for package in (builds[1], builds[0]):
        with workstation.delivery(package) as delivery:
            agent_pc.bring(delivery)
    newer, older = agent_pc.agent.take_waiting()
    assert newer.exit_code == 0
    assert older.exit_code == InstallError.exit_code
    assert "is older than build 2" in older.message
    assert agent_pc.current() == builds[1].sha256


def test_second_entry_of_the_same_package_finds_it_in_force(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
        agent_pc.bring(delivery)
    first, second = agent_pc.agent.take_waiting()
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert second.report is not None
    assert second.report["outcome"] == "already-in-force"


@pytest.mark.fault(48, 49)
def test_damaged_file_is_refused_and_the_model_in_force_stays(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    agent_pc.flash(builds[0])
    with workstation.delivery(builds[1]) as delivery:
        agent_pc.bring(delivery)
        largest = max(delivery.sizes(), key=lambda sha256: delivery.sizes()[sha256])
    pool = agent_pc.agent.inbox.folder.pool
    content = bytearray((pool / largest).read_bytes())
    content[-1] ^= 1
    (pool / largest).write_bytes(content)
    (result,) = agent_pc.agent.take_waiting()
    assert result.exit_code == InstallError.exit_code
    assert result.refusal
    assert agent_pc.current() == builds[0].sha256


@pytest.mark.fault(49)
def test_release_of_other_keys_is_refused_by_name(
    agent_pc: AgentPc, builds: list[Package], tmp_path: Path
) -> None:
    with Workstation.make(tmp_path / "other").delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    (result,) = agent_pc.agent.take_waiting()
    assert result.exit_code == InstallError.exit_code
    assert result.refusal == "foreign-keys"
    assert agent_pc.current() == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"package_sha256": "../" * 20}, "not a request"),
        ({"schema_version": 99}, "schema 99 is newer"),
        ({"id": "another"}, "its request is 'another'"),
        ({"source": "ftp://server/release"}, "not the address of a release"),
        ({"source": "relative/folder"}, "not the address of a release"),
    ],
    ids=["hostile-digest", "newer", "other-id", "other-scheme", "relative"],
)
def test_wrong_request_is_a_result_and_is_removed(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    change: dict[str, object],
    reason: str,
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    path = agent_pc.agent.inbox.folder.entry(request.id) / REQUEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (result,) = agent_pc.agent.take_waiting()
    assert reason in result.message
    assert agent_pc.agent.inbox.waiting() == []


def test_entry_that_was_logged_as_done_is_only_removed(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
        done = agent_pc.agent.take_waiting()[0]
        again = agent_pc.agent.inbox.folder.entry(request.id)
        again.mkdir()  # the power went off before it was removed
        assert agent_pc.agent.take_waiting() == [done]
    assert not again.exists()


def test_entry_that_is_interrupted_each_time_is_given_up(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery, FlashOptions())
    log = agent_pc.agent.inbox.log(request.id)
    for attempt in range(ATTEMPTS_MAX):
        log.append(step_line("taken", attempt + 1))
    (result,) = agent_pc.agent.take_waiting()
    assert "given up" in result.message
    assert agent_pc.current() == ""


def test_leftover_of_an_interrupted_attempt_does_not_disturb(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    left = agent_pc.agent.inbox.folder.root / f".package-{request.id}"
    left.mkdir()
    (left / "manifest.json").write_bytes(b"half")
    (result,) = agent_pc.agent.take_waiting()
    assert result.exit_code == 0, result


def test_hostile_names_in_the_inbox_are_no_entries(agent_pc: AgentPc) -> None:
    root = agent_pc.agent.inbox.folder.root
    root.mkdir()
    for name in ("Upper", "a b", "x" * 65, ".partial-one", "a\nb", "name.log"):
        (root / name).mkdir()
    (root / "link").symlink_to(root / "Upper")
    assert agent_pc.agent.inbox.waiting() == []
    assert agent_pc.agent.take_waiting() == []
