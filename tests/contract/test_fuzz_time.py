"""``make fuzz`` ends in time, and reports what it found."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROPERTIES = """
import time
from hypothesis import given, settings, strategies as st
from tests.examples import example_count

@settings(max_examples=example_count(5))
@given(st.integers())
def test_without_an_end(value):
    time.sleep(0.001)

@given(st.integers())
def test_with_the_examples_of_the_profile(value):
    time.sleep(0.001)

@given(st.booleans())
def test_of_two_values(value):
    pass

@given(st.data())
def test_that_draws_as_it_runs(data):
    time.sleep(0.001 * data.draw(st.integers(0, 2)))
    data.draw(st.binary())
"""
FAILING = """
@given(st.integers())
def test_of_a_fault(value):
    assert abs(value) < 1000, "the fault"
"""
LATE = """
@given(st.integers())
def test_of_a_late_fault(value):
    time.sleep(0.4)
    assert value == 0, "the fault"  # on a busy machine there are few examples
"""


def fuzz(
    folder: Path, repository: Path, text: str, minutes: float
) -> subprocess.CompletedProcess[str]:
    """Run the properties of a file with the plugin, as ``make fuzz`` does."""
    test = folder / "test_properties.py"
    test.write_text(text)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", os.devnull),
            *("-p", "tests.fuzz_time", "-p", "no:cacheprovider"),
            *("--hypothesis-profile=fuzz", str(test)),
        ],
        cwd=repository,
        env={**os.environ, "FUZZ_MINUTES": str(minutes)},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_run_ends_when_the_time_is_over(tmp_path: Path, repository: Path) -> None:
    begin_s = time.monotonic()
    result = fuzz(tmp_path, repository, PROPERTIES, 0.05)
    assert time.monotonic() - begin_s < 60
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "4 passed" in result.stdout
    assert "examples of 4 properties" in result.stdout
    assert "the fewest: 2 of" in result.stdout  # all values of a boolean


@pytest.mark.parametrize("text", [FAILING, LATE], ids=["soon", "when time is over"])
def test_failure_is_made_small_and_reported(
    text: str, tmp_path: Path, repository: Path
) -> None:
    result = fuzz(tmp_path, repository, PROPERTIES + text, 0.03)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "AssertionError: the fault" in result.stdout
    assert "value=" in result.stdout
