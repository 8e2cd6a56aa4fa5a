"""One small package, made once; a test that changes it gets a copy."""

import shutil
from pathlib import Path

import pytest

from models.package import Package, open_package
from tests.simulators.packages import make_package


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package that no test may change."""
    return make_package(tmp_path_factory.mktemp("sealed") / "package")


@pytest.fixture
def package(sealed: Package, tmp_path: Path) -> Package:
    """A copy that the test may change."""
    shutil.copytree(sealed.folder, tmp_path / "package")
    return open_package(tmp_path / "package")
