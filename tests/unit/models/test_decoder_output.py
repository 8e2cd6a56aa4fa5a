"""What C decoders print: nothing on stderr, and damage found in the right picture."""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from models.decoder_output import decode_watched
from tests.command import environment
from tests.simulators.picture_files import damaged_jpeg, jpeg, noisy_png

CUT = ("premature end of data segment",)


def damage_of(content: bytes) -> tuple[str, ...]:
    coded = np.frombuffer(content, np.uint8)
    return decode_watched(lambda: cv2.imdecode(coded, cv2.IMREAD_COLOR))[1]


def print_in_c(text: bytes) -> None:
    """Print as a C library does, on the stream that ``stderr`` points to."""
    library = ctypes.CDLL(None)
    library.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.fputs(text, ctypes.c_void_p.in_dll(library, "stderr").value)


def test_warnings_of_decoders_are_not_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    flipped = bytearray(noisy_png())
    flipped[-40] ^= 1
    for content in (noisy_png(), damaged_jpeg(), bytes(flipped)):
        damage_of(content)
    assert capfd.readouterr() == ("", "")


def test_damage_is_reported_and_a_harmless_warning_is_not() -> None:
    assert damage_of(damaged_jpeg()) == CUT
    assert damage_of(noisy_png()) == ()
    assert damage_of(jpeg()) == ()


def test_damage_belongs_to_its_picture_where_threads_decode() -> None:
    contents = [jpeg(), noisy_png(), damaged_jpeg(), jpeg(32)] * 100
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(damage_of, contents))
    cut = damaged_jpeg()
    assert found == [CUT if content == cut else () for content in contents]


def test_lines_of_other_libraries_are_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    decode_watched(lambda: print_in_c(b"libpng warning: x\nOMP: a warning\n"))
    print_in_c(b"later\n")
    assert capfd.readouterr().err == "OMP: a warning\nlater\n"


def test_python_prints_while_a_picture_is_decoded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    decode_watched(lambda: os.write(2, b"from Python\n"))
    assert capfd.readouterr().err == "from Python\n"


def test_exception_of_a_decoder_reaches_its_caller(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise ValueError("absurd")

    with pytest.raises(ValueError, match="absurd"):
        decode_watched(fail)
    print_in_c(b"after\n")
    assert capfd.readouterr().err == "after\n"


FORK = """
import os, sys
from models.decoder_output import decode_watched
from tests.unit.models.test_decoder_output import damage_of, print_in_c, CUT
from tests.simulators.picture_files import damaged_jpeg, jpeg

def in_child():
    pid = os.fork()
    if pid == 0:
        ok = damage_of(damaged_jpeg()) == CUT and damage_of(jpeg()) == ()
        print_in_c(b"child prints\\n")
        os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

damage_of(jpeg())
sys.exit(decode_watched(in_child)[0])
"""


def test_process_that_was_forked_while_a_picture_was_decoded_decodes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "child prints\n")
