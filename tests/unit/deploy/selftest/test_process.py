"""A self-test that crashes, hangs or leaks memory is an error of the flash."""

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deploy.selftest import process
from deploy.selftest.process import Selftest, limited_self
from models.errors import InstallError
from models.package import Package
from tests.simulators.target import SimTarget
from tests.waiting import until

# The parent sets the limits after the process has started: a program that allocates
# first would not be limited.
WAIT_FOR_LIMIT = """
end = time.monotonic() + 30
while resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
    if time.monotonic() > end:
        sys.exit('no limit was set')
    time.sleep(0.001)
"""


def selftest_that(does: str, **limits: float) -> Selftest:
    program = f"import os, sys, time, resource\n{does}"
    return Selftest((sys.executable, "-I", "-S", "-c", program), **limits)  # type: ignore[arg-type]


def test_report_of_the_process_is_returned(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    report = line_pc.installer.selftest.run(builds[0])
    assert report.package_sha256 == builds[0].sha256
    assert report.proof().chosen == report.modes[0]


def test_process_that_hangs_is_killed_with_its_children(
    builds: list[Package], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    hang = (
        "child = os.fork()\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)"
    )
    with pytest.raises(InstallError, match=r"did not end within 1 s"):
        selftest_that(hang, timeout_s=1.0).run(builds[0])
    children = [int(pid) for pid in pids.read_text().split()]
    assert len(children) == 2
    until(
        lambda: not any(is_running(pid) for pid in children),
        "no process is left behind",
        limit_s=10,
    )


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan is a zombie until its new parent reaps it


@pytest.mark.parametrize(
    ("does", "ending"),
    [
        ("os.abort()", "was killed by SIGABRT"),
        ("os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
        ("os._exit(1)", "ended with exit code 1"),
        ("sys.exit('error: the files are damaged.')", "the files are damaged"),
    ],
)
def test_process_that_crashes_is_an_install_error(
    does: str, ending: str, builds: list[Package]
) -> None:
    with pytest.raises(InstallError) as caught:
        selftest_that(does).run(builds[0])
    assert ending in str(caught.value)
    assert "error:" not in str(caught.value)
    assert "MiB of memory" in caught.value.why


@pytest.mark.parametrize("output", ["", "fine", "{}", "[1]", "\\0" * 9])
def test_output_that_is_not_a_report_is_an_install_error(
    output: str, builds: list[Package]
) -> None:
    with pytest.raises(InstallError, match="gave no report"):
        selftest_that(f"sys.stdout.write('{output}')").run(builds[0])


def test_memory_of_the_process_is_limited(
    builds: list[Package],
) -> None:
    eat = f"{WAIT_FOR_LIMIT}x = bytearray(600 << 20)"
    with pytest.raises(InstallError, match="MemoryError"):
        selftest_that(eat, memory_bytes=256 << 20).run(builds[0])


def test_process_has_a_low_priority_and_is_the_first_to_be_killed(
    builds: list[Package],
) -> None:
    report = (
        "end = time.monotonic() + 10\n"
        "score = ''\n"
        "while score != '1000' and time.monotonic() < end:\n"  # it is set last
        "    score = open('/proc/self/oom_score_adj').read().strip()\n"
        "limit = resource.getrlimit(resource.RLIMIT_CPU)[0]\n"
        "sys.exit(f'nice={os.nice(0)} score={score} cpu={limit}')"
    )
    with pytest.raises(InstallError) as caught:
        selftest_that(report, timeout_s=20.0).run(builds[0])
    cpu_s = 20 * (os.cpu_count() or 1) + 1
    nice = min(19, os.nice(0) + 10)
    assert f"score=1000 cpu={cpu_s}" in caught.value.why
    assert f"nice={nice}" in caught.value.why


def test_files_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    for name in ("graftline.py", "argparse.py"):
        (tmp_path / name).write_text("raise SystemExit(77)")
    *program, verb = Selftest().command
    assert verb == "selftest"
    ended = subprocess.run(
        [*program, "--version"],
        cwd=tmp_path,
        env=process._environment(),  # noqa: SLF001 - as it is run
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_selftest_by_hand_has_the_limits_of_a_flash() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_self():
        inside = resource.getrlimit(resource.RLIMIT_DATA)[0]
    # And what this process has already: a test run has loaded more than a self-test.
    assert process.MEMORY_BYTES < inside < process.MEMORY_BYTES + (64 << 30)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_selftest_by_hand_that_hangs_ends() -> None:
    expected = pytest.raises(InstallError, match=r"did not end within 0\.05 s")
    with expected, limited_self(timeout_s=0.05):
        threading.Event().wait(30)


def test_selftest_by_hand_that_fills_the_memory_is_an_error() -> None:
    with pytest.raises(InstallError, match="too much memory"), limited_self():
        bytearray(process.MEMORY_BYTES + (64 << 20))
