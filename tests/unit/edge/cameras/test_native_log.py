import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys
from edge.cameras.native_log import NativeLog
log = NativeLog(passes_on={passes_on})
library = ctypes.CDLL(None)
library.printf(b"[OPENCV:FFMPEG:48] nal_unit_type: 5\\n")
library.printf(b"[OPENCV:FFMPEG:16] no frame!\\nhalf of ")
os.write(2, b"errno=28\\n")
first = log.read()
library.printf(b"a line\\n")
assert "no frame!" in first and "errno=28" in first and "half" not in first, first
assert log.read() == "half of a line\\n"
assert log.read() == ""
for _ in range(100_000):
    library.printf(b"a full pipe loses lines and blocks nobody\\n")
assert log.read().startswith("a full pipe")
"""


@pytest.mark.parametrize("passes_on", [True, False])
def test_lines_of_c_libraries_are_read_and_warnings_passed_on(passes_on: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(passes_on=passes_on)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert ("no frame!" in done.stderr) is passes_on
    assert "nal_unit_type" not in done.stderr
