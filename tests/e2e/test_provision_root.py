"""The installer as root, in a copy of this system's root folder: users and owners."""

import json
from pathlib import Path

import pytest

from tests.simulators.copied_root import OFFLINE, run_in_copy
from tests.simulators.wheelhouse import make_small_wheelhouse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

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


def test_root_gets_a_service_user_who_owns_the_data_and_nothing_else(
    tmp_path: Path,
) -> None:
    stick = tmp_path / "stick"
    make_small_wheelhouse(stick / "wheelhouse", sysusers=SYSUSERS)
    (stick / "key.pub").write_text("ssh-ed25519 AAAAC3Nz me@workstation\n")
    is_installed = Path("/opt/graftline").exists()
    steps = [(OFFLINE, SET_UP)]
    output = run_in_copy(tmp_path, steps, shown={stick: "/media/stick"}).splitlines()
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
