"""Orders of MQTT and the answers to them, without a broker."""

import json
import time
from pathlib import Path

import pytest

from deploy.agent.config import AgentStation, PullSettings
from deploy.agent.model_pull import VERIFY_S, ModelPull, PullPlan
from deploy.agent.step_log import failure_line, success_line
from deploy.trust.refusals import SourceUnavailableError
from models.broker import BrokerLogin
from models.errors import InstallError
from models.inbox_files import FlashRequest
from models.messages import DesiredModel, PullState, ReportedModel
from models.package import Package
from tests.simulators.agent_pc import AgentPc

URL = "http://files.plant/plate"


@pytest.fixture
def pull(agent_pc: AgentPc) -> ModelPull:
    plan = PullPlan(
        AgentStation(site="plant", line="line-1", station="station-1"),
        BrokerLogin(),
        PullSettings(sources=("http://files.plant/",)),
    )
    return ModelPull(plan, agent_pc.slot)


def desired(package: Package, **change: object) -> bytes:
    model = DesiredModel(
        name=package.manifest.name,
        build=package.manifest.build,
        sha256=package.sha256,
        url=URL,
    )
    return json.dumps({**model.model_dump(), **change}).encode()


def queued(pull: ModelPull, agent_pc: AgentPc) -> FlashRequest | None:
    """Return the request that the pull has put into the inbox, and remove it."""
    before = set(agent_pc.agent.inbox.waiting())
    pull.queue(agent_pc.agent)
    new = set(agent_pc.agent.inbox.waiting()) - before
    if not new:
        return None
    (entry_id,) = new
    folder = agent_pc.agent.inbox.folder.entry(entry_id)
    request = FlashRequest.model_validate_json((folder / "request.json").read_bytes())
    agent_pc.agent.inbox.remove(entry_id)
    return request


def test_desired_model_is_queued_once(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    assert queued(pull, agent_pc) is None
    pull.receive(desired(builds[0]))
    request = queued(pull, agent_pc)
    assert request is not None
    assert (request.package_sha256, request.source) == (builds[0].sha256, URL)
    assert pull.report.state is PullState.INSTALLING
    assert queued(pull, agent_pc) is None
    pull.receive(desired(builds[0]))  # the broker sends it again after a reconnect
    assert queued(pull, agent_pc) is None


def test_model_that_is_in_force_is_only_reported(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    agent_pc.flash(builds[0])
    pull.receive(desired(builds[0]))
    assert queued(pull, agent_pc) is None
    report = pull.report
    assert report.state is PullState.IN_FORCE
    assert report.model is not None
    assert report.model.sha256 == builds[0].sha256


@pytest.mark.parametrize("is_known", [False, True])
def test_damaged_model_in_force_is_installed_again(
    pull: ModelPull,
    agent_pc: AgentPc,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_known: bool,
) -> None:
    agent_pc.flash(builds[0])
    if is_known:  # it was whole when it was ordered
        pull.receive(desired(builds[0]))
        assert queued(pull, agent_pc) is None
        later_s = time.monotonic() + VERIFY_S
        monkeypatch.setattr("time.monotonic", lambda: later_s)
    stored = agent_pc.slot.store / builds[0].sha256
    name = next(iter(builds[0].manifest.files))
    (stored / name).chmod(0o644)
    (stored / name).write_bytes(b"damaged")
    pull.receive(desired(builds[0]))
    request = queued(pull, agent_pc)
    assert request is not None
    assert request.package_sha256 == builds[0].sha256
    assert pull.report.state is PullState.INSTALLING
    assert "damaged" in pull.report.reason


def test_model_that_a_person_put_in_force_later_stays(
    pull: ModelPull,
    agent_pc: AgentPc,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent_pc.flash(builds[0])
    pull.receive(desired(builds[0]))
    assert queued(pull, agent_pc) is None
    agent_pc.flash(builds[1])
    later_s = time.monotonic() + VERIFY_S
    monkeypatch.setattr("time.monotonic", lambda: later_s)
    assert queued(pull, agent_pc) is None


def test_result_is_reported(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    pull.receive(desired(builds[0]))
    request = queued(pull, agent_pc)
    assert request is not None
    pull.note(request, success_line(agent_pc.flash(builds[0])))
    assert pull.report.state is PullState.IN_FORCE
    assert pull.report.desired_sha256 == builds[0].sha256


def test_refused_package_is_reported_and_not_tried_again(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    pull.receive(desired(builds[0]))
    request = queued(pull, agent_pc)
    assert request is not None
    error = failure_line(InstallError("refused", why="for a reason " * 100))
    pull.note(request, error.model_copy(update={"refusal": "tampered"}))
    report = ReportedModel.model_validate_json(pull.report.model_dump_json())
    assert (report.state, report.refusal) == (PullState.REFUSED, "tampered")
    assert report.reason.startswith("refused for a reason")
    assert queued(pull, agent_pc) is None


@pytest.mark.fault(48)
def test_release_that_cannot_be_reached_is_tried_again_after_a_pause(
    pull: ModelPull,
    agent_pc: AgentPc,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    pull.receive(desired(builds[0]))
    first = queued(pull, agent_pc)
    assert first is not None
    pull.note(first, failure_line(SourceUnavailableError("off")))
    assert pull.report.state is PullState.WAITING
    assert queued(pull, agent_pc) is None
    now_s = 60.0
    second = queued(pull, agent_pc)
    assert second is not None
    assert second.id != first.id


def test_result_of_a_package_that_came_another_way_updates_what_is_in_force(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    assert pull.report.model is None
    report = agent_pc.flash(builds[1])
    pull.receive(desired(builds[0]))
    request = queued(pull, agent_pc)
    assert request is not None
    other = request.model_copy(update={"id": "by-ssh"})
    pull.note(other, success_line(report))
    assert pull.report.state is PullState.INSTALLING
    assert pull.report.model is not None
    assert pull.report.model.build == 2


def test_order_that_is_taken_back_is_forgotten(
    pull: ModelPull, agent_pc: AgentPc, builds: list[Package]
) -> None:
    pull.receive(desired(builds[0]))
    pull.receive(b"")
    assert queued(pull, agent_pc) is None
    assert pull.report.state is PullState.IDLE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://evil.example/plate"}, "do not allow http://evil.example"),
        ({"url": "file:///etc"}, "do not allow"),
        ({"url": "http://u:secret@files.plant/"}, "do not allow http://***"),
        ({"sha256": "../../etc"}, "not valid: sha256"),
        ({"schema_version": 99}, "schema 99 is newer"),
        ({"name": "NOT A NAME"}, "not valid: name"),
        ({"url": "x" * 9000}, "larger than"),
    ],
)
def test_order_that_is_not_valid_is_refused_with_the_reason(
    pull: ModelPull,
    agent_pc: AgentPc,
    builds: list[Package],
    change: dict[str, object],
    reason: str,
) -> None:
    pull.receive(desired(builds[0], **change))
    assert queued(pull, agent_pc) is None
    assert pull.report.state is PullState.REFUSED
    assert reason in pull.report.reason
    assert "secret" not in pull.report.reason


@pytest.mark.parametrize("payload", [b"{", b"[]", b"null", b"\xff", b'{"a":1,"a":2}'])
def test_bytes_that_are_no_message_are_refused(
    pull: ModelPull, agent_pc: AgentPc, payload: bytes
) -> None:
    pull.receive(payload)
    assert pull.report.state is PullState.REFUSED
    assert queued(pull, agent_pc) is None
    assert Path(agent_pc.root).exists()
