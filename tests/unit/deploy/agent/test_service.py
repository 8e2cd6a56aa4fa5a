"""The loop of the agent: what a turn takes, and how SIGTERM ends it."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.agent import service
from deploy.agent.agent import Agent
from deploy.agent.installation import Installation
from deploy.agent.lock import agent_lock
from deploy.agent.service import serve, stopped_by_sigterm
from deploy.installer import Installer, StepCallback
from deploy.target import FlashTarget, UsbTarget
from deploy.transports.delivery import FlashOptions
from deploy.transports.usb import release_on, write_stick
from models.errors import InstallError
from models.inbox_files import FlashRequest, ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.target import open_passing_installer


@dataclass
class RecordedPull:
    """Another place that brings nothing, and hears of every result.

    Args:
        is_end: Asked at each turn; once it holds, this process gets SIGTERM.
    """

    is_end: Callable[["RecordedPull"], bool]
    results: list[ResultLine] = field(default_factory=list)

    def queue(self, agent: Agent) -> None:
        """Bring nothing."""
        if self.is_end(self):
            os.kill(os.getpid(), signal.SIGTERM)

    def note(self, request: FlashRequest, result: ResultLine) -> None:
        """Keep the result."""
        self.results.append(result)


def test_service_takes_the_inbox_and_sticks_until_sigterm(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    stick = tmp_path / "stick"
    stick.mkdir()
    with workstation.delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    pull = RecordedPull(lambda pull: len(pull.results) == 2)
    with workstation.delivery(builds[1]) as delivery:
        request = delivery.request(FlashOptions())
        write_stick(UsbTarget("usb", stick), delivery, request)
    with stopped_by_sigterm():
        serve(agent_pc.agent, [stick], pull)
    assert [each.exit_code for each in pull.results] == [0, 0]
    assert agent_pc.current() == builds[1].sha256
    assert list(release_on(stick).glob("result-*.json"))


@pytest.mark.parametrize("last_step", [1, 2, 3])
def test_installation_that_sigterm_ends_is_done_after_the_next_start(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    last_step: int,
) -> None:
    steps: list[object] = []

    def stop(step: object) -> None:
        steps.append(step)
        if len(steps) == last_step:
            os.kill(os.getpid(), signal.SIGTERM)

    def open_installer(target: FlashTarget, _on_step: StepCallback) -> Installer:
        return open_passing_installer(target, stop)

    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    agent = Agent(Installation(agent_pc.slot, make_installer=open_installer))
    with stopped_by_sigterm():
        serve(agent, [])
    assert len(steps) == last_step
    assert agent_pc.agent.inbox.waiting() == [request.id]
    assert [each.exit_code for each in agent_pc.agent.take_waiting()] == [0]
    assert agent_pc.current() == builds[0].sha256


def test_trial_that_a_restart_interrupted_ends_before_the_inbox_is_looked_at(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    with workstation.delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    waiting: list[list[str]] = []

    def bad_trial(installation: Installation, on_step: object) -> None:
        waiting.append(agent_pc.agent.inbox.waiting())
        raise InstallError("the trial was bad")

    monkeypatch.setattr(Installation, "resume", bad_trial)
    pull = RecordedPull(lambda _: agent_pc.agent.inbox.waiting() == [])
    with stopped_by_sigterm():
        serve(agent_pc.agent, [], pull)
    assert [len(each) for each in waiting] == [1]
    assert agent_pc.current() == builds[0].sha256


def test_second_service_of_a_slot_is_refused(agent_pc: AgentPc) -> None:
    with agent_lock(agent_pc.slot), pytest.raises(InstallError, match="busy"):
        serve(agent_pc.agent, [])


@pytest.mark.fault(54)
def test_full_disk_does_not_end_the_service(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    monkeypatch.setattr(service, "ERROR_PAUSE_S", 0.01)
    with workstation.delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    failures = iter(range(1000))
    take = Agent.take_waiting

    def full_at_first(agent: Agent, *, last: str = "") -> list[ResultLine]:
        if next(failures) < 3:
            raise OSError(28, os.strerror(28))
        return take(agent, last=last)

    monkeypatch.setattr(Agent, "take_waiting", full_at_first)
    pull = RecordedPull(lambda _: agent_pc.agent.inbox.waiting() == [])
    with stopped_by_sigterm():
        serve(agent_pc.agent, [], pull)
    assert agent_pc.current() == builds[0].sha256
