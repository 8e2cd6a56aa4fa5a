"""A copy of this system's root folder, in which a test is root: users, /etc, /opt.

The copy is an overlay: nothing of this machine is changed, and all of it is gone after
the test. systemd does not run in it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

REASON = "needs root and an overlay of the root folder"
ONLINE, OFFLINE = "", "--net"  # options of unshare: with the network, or loopback only
# Arguments: the folder of the copy; the number of folders to show in it, and two paths
# for each; then an option and a script for each step.
IN_COPY = """
set -e
copy=$1; shown=$2; shift 2
mount -t tmpfs tmpfs "$copy"
mkdir "$copy/upper" "$copy/work" "$copy/root"
mount -t overlay overlay \
    -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" "$copy/root"
mount -t proc proc "$copy/root/proc"
mount --bind /dev "$copy/root/dev"
while [ "$shown" -gt 0 ]; do
    mkdir -p "$copy/root$2"
    mount --bind "$1" "$copy/root$2"
    shown=$((shown - 1)); shift 2
done
while [ $# -gt 0 ]; do
    unshare --pid --fork --kill-child $1 chroot "$copy/root" sh -c "$2"
    shift 2
done
"""


def run_in_copy(
    folder: Path,
    steps: Sequence[tuple[str, str]],
    *,
    shown: Mapping[Path, str],
    timeout_s: float = 100,
) -> str:
    """Run scripts as root in a copy, one after another; return what they print.

    Args:
        folder: Of the copy; it exists.
        steps: ``ONLINE`` or ``OFFLINE``, and a script; its processes end with it.
        shown: Folder of this machine, and where it is in the copy.
    """
    if os.geteuid():
        pytest.skip(REASON)
    copy = folder / "copy"
    copy.mkdir()
    words: list[object] = ["unshare", "--mount", "--pid", "--fork"]
    words += ["sh", "-c", IN_COPY, "sh", copy, len(shown)]
    words += [word for place in shown.items() for word in place]
    words += [word for step in steps for word in step]
    own = ("PYTHON", "GRAFTLINE", "PYTEST")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    python = str(Path(sys.executable).resolve().parent)
    done = subprocess.run(
        list(map(str, words)),
        env={**kept, "PYTHON_FOLDER": python},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode and "mount:" in done.stderr:
        pytest.skip(REASON)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
