"""Fixtures, Hypothesis profiles and the order of all tests."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.ci_rules",
    "tests.daemon_fixtures",
    "tests.fault_rows",
    "tests.fuzz_time",
    "tests.hanging",
    "tests.line_pc",
    "tests.torch_threads",
]

REPOSITORY = Path(__file__).resolve().parents[1]
# Two workers on two cores: with two threads each, torch, OpenVINO and OpenCV wait for
# each other's threads. Processes that a test starts inherit the limit.
THREADS_PER_WORKER = "1"

# `make test` tries the same examples in each run, so that a red run is the change's
# fault. The profile of `make fuzz` is in tests/fuzz_time.py.
settings.register_profile("same-examples", derandomize=True, database=None)
settings.load_profile("same-examples")


def pytest_configure(config: pytest.Config) -> None:
    """Limit the threads of a worker before a library starts them."""
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = THREADS_PER_WORKER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the modules that take long first, so that no worker is left with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    whole_line = {item.path for item in items if item.get_closest_marker("e2e")}
    items.sort(key=lambda item: (item.path not in slow, item.path not in whole_line))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def _keys_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make keys for local slots elsewhere than in the home folder of a person."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graftline-keys")
        patch.setenv("GRAFTLINE_KEYS", str(folder / "keys"))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the real test data: ``$GRAFTLINE_SHARED``, else ``../shared``.

    With ``CI=true`` its absence fails the test, elsewhere the test is skipped.
    """
    folder = Path(os.environ.get("GRAFTLINE_SHARED", REPOSITORY.parent / "shared"))
    if (folder / "data").is_dir():
        return folder.resolve()
    message = f"needs the real test data in {folder} (set GRAFTLINE_SHARED)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _log_levels_of_one_test_do_not_reach_the_next() -> Iterator[None]:
    """Undo what ``graftline.main`` sets, so that ``caplog`` sees everything."""
    rooms = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
    yield
    for room in rooms:
        logging.getLogger(room).setLevel(logging.NOTSET)
