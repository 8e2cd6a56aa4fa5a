"""A release is pulled from web servers that are slow, endless, cut, or simple."""

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.trust import sources
from models.errors import InstallError
from models.inbox_files import FlashRequest, ResultLine
from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.packages import make_large_package
from tests.simulators.static_server import StaticServer

LARGE_BYTES = 200_000  # more than any metadata


@pytest.fixture(scope="module")
def workstation(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return Workstation.make(tmp_path_factory.mktemp("workstation") / "keys")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_large_package(tmp_path_factory.mktemp("package") / "one", LARGE_BYTES)


@pytest.fixture
def line_pc(workstation: Workstation, tmp_path: Path) -> AgentPc:
    return workstation.line_pc(tmp_path / "line-pc")


@pytest.fixture
def server(workstation: Workstation, package: Package) -> Iterator[StaticServer]:
    """A web server with a release of the package."""
    with (
        workstation.delivery(package) as delivery,
        StaticServer(delivery.folder) as server,
    ):
        yield server


def pull(line_pc: AgentPc, server: StaticServer, package: Package) -> ResultLine:
    request = FlashRequest(
        id=f"pull-{secrets.token_hex(4)}",
        package_sha256=package.sha256,
        at="2026-11-30T00:00:00Z",
        source=server.url,
    )
    line_pc.agent.inbox.add(request)
    (result,) = line_pc.agent.take_waiting()
    return result


def files_asked(server: StaticServer) -> list[tuple[str, str]]:
    return [each for each in server.requests if each[0].startswith("/files/")]


@pytest.mark.parametrize("ignores_range", [False, True])
@pytest.mark.fault(48)
def test_transfer_that_is_cut_goes_on_where_it_ended(
    line_pc: AgentPc, server: StaticServer, package: Package, ignores_range: bool
) -> None:
    server.ignores_range = ignores_range
    server.cut_after = LARGE_BYTES // 2
    first = pull(line_pc, server, package)
    assert first.is_unavailable
    assert line_pc.current() == ""
    server.cut_after = 0
    server.requests.clear()
    assert pull(line_pc, server, package).exit_code == 0
    assert line_pc.current() == package.sha256
    resumed = [asked for _, asked in files_asked(server) if asked]
    assert resumed == [f"bytes={LARGE_BYTES // 2}-"]
    server.requests.clear()
    assert pull(line_pc, server, package).exit_code == 0
    assert files_asked(server) == []


@pytest.mark.fault(51)
def test_endless_file_is_refused_after_its_signed_size(
    line_pc: AgentPc, server: StaticServer, package: Package
) -> None:
    server.is_endless = True
    result = pull(line_pc, server, package)
    assert result.exit_code == InstallError.exit_code
    assert result.refusal == "endless"
    assert server.sent_bytes < 100 << 20
    assert line_pc.current() == ""


@pytest.mark.fault(51)
def test_server_that_dribbles_is_given_up(
    line_pc: AgentPc,
    server: StaticServer,
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = partial(sources.RateLimit, window_s=0.5)
    monkeypatch.setattr(sources, "RateLimit", short)
    server.dribbles_s = 0.02
    result = pull(line_pc, server, package)
    assert result.exit_code == InstallError.exit_code
    assert result.refusal == "slow"
    assert line_pc.current() == ""


@pytest.mark.fault(48)
@pytest.mark.parametrize("status", [302, 404, 500])
def test_server_without_the_release_is_worth_another_try_or_refused(
    line_pc: AgentPc, server: StaticServer, package: Package, status: int
) -> None:
    server.status, server.location = status, server.url
    result = pull(line_pc, server, package)
    assert result.exit_code == InstallError.exit_code
    assert result.is_unavailable or result.refusal
    assert line_pc.current() == ""


@pytest.mark.fault(48)
def test_server_that_is_off_is_worth_another_try(
    line_pc: AgentPc, package: Package, tmp_path: Path
) -> None:
    with StaticServer(tmp_path) as server:
        pass
    result = pull(line_pc, server, package)
    assert result.is_unavailable
    assert result.fix
