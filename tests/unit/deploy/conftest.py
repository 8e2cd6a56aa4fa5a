"""Three builds of one small package, made once."""

from pathlib import Path

import pytest

from models.package import Package
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.packages import make_package
from tests.simulators.target import SimTarget


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    """Builds 1 to 4 of one model."""
    folder = tmp_path_factory.mktemp("builds")
    return [make_package(folder / str(build), build=build) for build in range(1, 5)]


@pytest.fixture
def line_pc(tmp_path: Path) -> SimTarget:
    return SimTarget(tmp_path / "line-pc")


@pytest.fixture(scope="session")
def workstation(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    """A workstation with keys, made once."""
    return Workstation.make(tmp_path_factory.mktemp("workstation") / "keys")


@pytest.fixture
def agent_pc(workstation: Workstation, tmp_path: Path) -> AgentPc:
    """A line PC that trusts the keys of the workstation."""
    return workstation.line_pc(tmp_path / "agent-pc")
