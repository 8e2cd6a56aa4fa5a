import threading
from typing import TYPE_CHECKING

import pytest

from deploy.agent.following import follow_entry
from deploy.agent.lock import agent_lock
from models.errors import InstallError
from models.inbox_files import ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation

if TYPE_CHECKING:
    from deploy.agent.step_log import AnyLine


def test_entry_is_installed_by_the_follower_where_no_agent_runs(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    lines: list[AnyLine] = []
    result = follow_entry(agent_pc.agent, request.id, lines.append)
    assert result.exit_code == 0
    assert lines[-1] == result
    assert agent_pc.current() == builds[0].sha256


def test_follower_reads_along_while_another_agent_installs(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    results: list[ResultLine] = []
    with agent_lock(agent_pc.slot) as is_held:
        assert is_held
        follower = threading.Thread(
            target=lambda: results.append(
                follow_entry(agent_pc.agent, request.id, lambda _: None)
            )
        )
        follower.start()
        installed = agent_pc.agent.take_waiting()
        follower.join(30)
    assert results == installed


def test_log_of_an_entry_that_is_done_is_shown_again(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    (result,) = agent_pc.agent.take_waiting()
    assert follow_entry(agent_pc.agent, request.id, lambda _: None) == result


@pytest.mark.parametrize("entry_id", ["absent", "../../etc", "", "a/b"])
def test_unknown_entry_is_refused(agent_pc: AgentPc, entry_id: str) -> None:
    with pytest.raises(InstallError, match="there is no entry"):
        follow_entry(agent_pc.agent, entry_id, lambda _: None)


@pytest.mark.fault(53)
def test_two_followers_install_each_entry_once(
    agent_pc: AgentPc, workstation: Workstation, builds: list[Package]
) -> None:
    with workstation.delivery(builds[0]) as delivery:
        requests = [agent_pc.bring(delivery) for _ in range(2)]
    codes: list[int] = []
    followers = [
        threading.Thread(
            target=lambda entry=request.id: codes.append(
                follow_entry(agent_pc.agent, entry, lambda _: None).exit_code
            )
        )
        for request in requests
    ]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join(60)
    assert codes == [0, 0]
    for request in requests:
        lines, _ = agent_pc.agent.inbox.log(request.id).read()
        assert sum(isinstance(line, ResultLine) for line in lines) == 1
