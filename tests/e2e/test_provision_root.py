"""The installer as root, in a copy of this system's root folder: users and owners.

The copy is an overlay: nothing of this machine is changed, and all of it is gone after
the test. systemd does not run in it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulators.wheelhouse import make_small_wheelhouse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

IN_COPY = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay \
    -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mkdir -p "$1/root/media/stick"
mount --bind "$2" "$1/root/media/stick"
exec chroot "$1/root" sh -c "$3"
"""
SET_UP = """
set -e; umask 077
PATH="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin:$PYTHON_FOLDER"
for times in 1 2; do
    sh /media/stick/wheelhouse/install.sh --json --station a/b/c \
        --user gl-test --ssh-key /media/stick/key.pub
done
getent passwd gl-test
stat -c '%U %a %n' /var/lib/graftline /var/lib/graftline/.ssh/authorized_keys \
    /etc/graftline/edge.toml /etc/graftline/agent.toml /opt/graftline/current/
runuser -u gl-test -- /opt/graftline/current/bin/python -P -m graftline --version
"""
SYSUSERS = 'u gl-test - "Graftline daemon" /var/lib/graftline\n'


def run_in_copy(folder: Path, stick: Path, script: str) -> str:
    copy = folder / "copy"
    copy.mkdir()
    program = ["unshare", "--mount", "--net", "--pid", "--fork"]
    words = [*program, "sh", "-c", IN_COPY, "sh", copy, stick, script]
    kept = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    python = str(Path(sys.executable).resolve().parent)
    done = subprocess.run(
        list(map(str, words)),
        env={**kept, "PYTHON_FOLDER": python},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if done.returncode and "mount" in done.stderr:
        pytest.skip("needs root and an overlay of the root folder")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_root_gets_a_service_user_who_owns_the_data_and_nothing_else(
    tmp_path: Path,
) -> None:
    if os.geteuid():
        pytest.skip("needs root and an overlay of the root folder")
    stick = tmp_path / "stick"
    make_small_wheelhouse(stick / "wheelhouse", sysusers=SYSUSERS)
    (stick / "key.pub").write_text("ssh-ed25519 AAAAC3Nz me@workstation\n")
    is_installed = Path("/opt/graftline").exists()
    output = run_in_copy(tmp_path, stick, SET_UP).splitlines()
    first, second = map(json.loads, output[:2])
    assert (first["before"], second["before"]) == ("", first["version"])
    assert first["root"] == "/"
    user, *rights, version = output[2:]
    assert user.endswith(":Graftline daemon:/var/lib/graftline:/bin/sh")
    assert rights == [
        "gl-test 700 /var/lib/graftline",
        "gl-test 600 /var/lib/graftline/.ssh/authorized_keys",
        "root 640 /etc/graftline/edge.toml",
        "root 640 /etc/graftline/agent.toml",
        "root 755 /opt/graftline/current/",
    ]
    assert version == "graftline 1.0"
    assert Path("/opt/graftline").exists() is is_installed
