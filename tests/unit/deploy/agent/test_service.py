"""The loop of the agent: what a turn takes, and how SIGTERM ends it."""

import os
import signal
import threading
from pathlib import Path

import pytest

from deploy.agent import service
from deploy.agent.agent import Agent
from deploy.agent.installation import Installation
from deploy.agent.lock import agent_lock
from deploy.agent.service import serve, stopped_by_sigterm
from deploy.target import UsbTarget
from deploy.transports.delivery import FlashOptions
from deploy.transports.usb import release_on, write_stick
from models.errors import InstallError
from models.inbox_files import FlashRequest, ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.waiting import until


class RecordedPull:
    """Another place that brings nothing, and hears of every result."""

    def __init__(self) -> None:
        self.results: list[ResultLine] = []

    def queue(self, agent: Agent) -> None:
        """Bring nothing."""

    def note(self, request: FlashRequest, result: ResultLine) -> None:
        """Keep the result."""
        self.results.append(result)


def stop_when(condition: object) -> None:
    """Send SIGTERM to this process once the condition holds."""

    def wait() -> None:
        until(condition)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


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
    pull = RecordedPull()
    with workstation.delivery(builds[1]) as delivery:
        request = delivery.request(FlashOptions())
        write_stick(UsbTarget("usb", stick), delivery, request)
    stop_when(lambda: len(pull.results) == 2)
    with stopped_by_sigterm():
        serve(agent_pc.agent, [stick], pull)
    assert [each.exit_code for each in pull.results] == [0, 0]
    assert agent_pc.current() == builds[1].sha256
    assert list(release_on(stick).glob("result-*.json"))


def test_installation_that_sigterm_ends_is_done_after_the_next_start(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    with workstation.delivery(builds[0]) as delivery:
        request = agent_pc.bring(delivery)
    log = agent_pc.agent.inbox.log(request.id)
    stop_when(lambda: log.attempts() == 1)
    with stopped_by_sigterm():
        serve(agent_pc.agent, [])
    if log.result() is None:
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
    stop_when(lambda: agent_pc.agent.inbox.waiting() == [])
    with stopped_by_sigterm():
        serve(agent_pc.agent, [])
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
    stop_when(lambda: agent_pc.agent.inbox.waiting() == [])
    with stopped_by_sigterm():
        serve(agent_pc.agent, [])
    assert agent_pc.current() == builds[0].sha256
