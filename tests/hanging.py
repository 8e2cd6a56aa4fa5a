"""Ends a test that hangs in a native library.

Pytest plugin: pytest-timeout raises an error when Python code runs again, which never
happens while C code waits. After another minute the worker prints where each thread is,
and ends; pytest-xdist reports the test as failed and starts another worker.
"""

import faulthandler
from collections.abc import Generator

import pytest

GRACE_S = 60.0
STDERR = 2


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Limit a test with its fixtures."""
    marker = item.get_closest_marker("timeout")
    limit_s = float(marker.args[0] if marker else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True, file=STDERR)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
