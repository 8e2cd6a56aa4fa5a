"""Ends a test that hangs in a native library.

Pytest plugin: pytest-timeout raises an error when Python code runs again, which never
happens while C code waits. After another minute the worker prints where each thread is,
and ends; pytest-xdist reports the test as failed and starts another worker.
"""

import faulthandler
import os
from collections.abc import Generator

import pytest

GRACE_S = 60.0
STDERR_FD = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the terminal, which is not what a test's stderr is."""
    config.stash[STDERR_FD] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Limit a test with its fixtures; not while a person debugs it."""
    marker, config = item.get_closest_marker("timeout"), item.config
    limit_s = float(
        marker.args[0]
        if marker
        else config.getoption("timeout") or config.getini("timeout")
    )
    if config.getoption("usepdb"):
        return (yield)
    faulthandler.dump_traceback_later(
        limit_s + GRACE_S, exit=True, file=config.stash[STDERR_FD]
    )
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
