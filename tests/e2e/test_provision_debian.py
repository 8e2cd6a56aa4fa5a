"""A whole line PC in a fresh Debian 12: set up, used, upgraded and downgraded.

The root folder is made by debootstrap and thrown away at the end. Nothing in it has a
network; the wheelhouse is what a technician carries. systemd is installed, and does not
run.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models.package import Package
from tests.line_pc import pack_line_pc
from tests.simulators.packages import make_package, write_parts
from tests.simulators.wheelhouse import seal

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]

DEBOOTSTRAP_LIMIT_S, STEP_LIMIT_S = 900, 500
SUITE, DEBIAN_PYTHON, DEBIAN_LIBC = "bookworm", "3.11", 36
PACKAGES = "python3-venv,systemd,procps"  # the last two: on every Debian PC
IN_ROOT = """
set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mkdir -p "$1/media/stick"
mount --bind "$2" "$1/media/stick"
exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$3"
"""
INSTALL = "sh /media/stick/{}/install.sh --json --station plant/line/press"
AS_SERVICE = "runuser -u graftline -- /opt/graftline/current/bin/python -P -m graftline"
RIGHTS = """
stat -c '%U %a %n' /var/lib/graftline /etc/graftline/edge.toml \
    /etc/graftline/agent.toml /opt/graftline/current/
"""
CAMERA = """
[[camera]]
name = "top"
source = "folder:/media/stick/parts"
"""
# Every frame is inspected; the broker is away, so that the alerts stay in the outbox.
RUN = f"timeout 120 {AS_SERVICE} run --config /etc/graftline/edge.toml --exit-at-end"
KEPT = """
cd /var/lib/graftline
find . -type f ! -name health.json ! -name '.*' ! -name '*-wal' ! -name '*-shm' \
    -exec sha256sum {} + | sort -k 2
sha256sum /etc/graftline/edge.toml /etc/graftline/agent.toml
"""


class Debian:
    """A root folder of Debian 12.

    Args:
        root: The folder to make.
        stick: What is mounted at ``/media/stick``.
    """

    def __init__(self, root: Path, stick: Path) -> None:
        self.root, self.stick = root, stick
        program = shutil.which("debootstrap", path="/usr/sbin:/usr/bin")
        if program is None or os.geteuid():
            pytest.skip("needs root and debootstrap")
        command = [program, "--variant=minbase", f"--include={PACKAGES}", SUITE]
        done = subprocess.run(
            [*command, root],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEBOOTSTRAP_LIMIT_S,
        )
        if done.returncode:
            pytest.skip(f"needs root and debootstrap: {done.stdout[-300:]}")

    def run(self, script: str) -> str:
        """Run a script as root in it, without a network; return its stdout."""
        program = ["unshare", "--mount", "--net", "--pid", "--fork"]
        done = subprocess.run(
            [*program, "sh", "-c", IN_ROOT, "sh", self.root, self.stick, script],
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_LIMIT_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def install(self, wheelhouse: str) -> dict[str, object]:
        """Run the installer of a wheelhouse on the stick."""
        report = json.loads(self.run(INSTALL.format(wheelhouse)).splitlines()[-1])
        assert isinstance(report, dict)
        return report


def newer(wheelhouse: Path, folder: Path) -> Path:
    """Write a wheelhouse whose Graftline has another version."""
    shutil.copytree(wheelhouse, folder, copy_function=os.link)
    (wheel,) = (folder / "wheels").glob("graftline-*.whl")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()  # not that of the other wheelhouse
    wheel.rename(wheel.with_name(wheel.name.replace("-py3-", "-1-py3-")))
    seal(folder, graftline=f"{manifest['graftline']}.post1", glibc=manifest["glibc"])
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_package(tmp_path_factory.mktemp("package") / "plate")


@pytest.mark.fault(75)
def test_fresh_debian_is_set_up_used_upgraded_and_downgraded(
    repository: Path, package: Package, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    debian = Debian(tmp_path / "debian", stick)
    wheelhouse, _ = pack_line_pc(repository, stick, DEBIAN_PYTHON, DEBIAN_LIBC)
    newer(wheelhouse, stick / "newer")
    shutil.copytree(package.folder, stick / "plate")
    write_parts(stick / "parts", good=3, defective=5)

    first = debian.install("wheelhouse")
    again = debian.install("wheelhouse")
    assert (first["before"], again["before"]) == ("", first["version"])
    assert debian.run(RIGHTS).splitlines() == [
        "graftline 700 /var/lib/graftline",
        "root 640 /etc/graftline/edge.toml",
        "root 640 /etc/graftline/agent.toml",
        "root 755 /opt/graftline/current/",
    ]
    debian.run(
        "systemd-analyze verify --man=no /etc/systemd/system/graftline-*.service"
    )

    slot = "local:/var/lib/graftline/slot"
    debian.run(f"cd /var/lib/graftline; export HOME=/var/lib/graftline\n"
               f"{AS_SERVICE} flash /media/stick/plate {slot}")  # fmt: skip
    config = debian.root / "etc/graftline/edge.toml"
    config.write_text(config.read_text().partition("[[camera]]")[0] + CAMERA)
    # The broker is away: all alerts stay in the outbox, and the exit code says so.
    debian.run(f"{RUN} && exit 1 || test $? -eq 7")
    kept = debian.run(KEPT)
    assert "outbox" in kept
    assert "evidence" in kept

    for name, version in (("newer", ".post1"), ("wheelhouse", "")):
        report = debian.install(name)
        assert str(report["graftline"]).endswith(version)
        assert report["before"] != report["version"]
        assert debian.run(KEPT) == kept
        status = json.loads(debian.run(f"{AS_SERVICE} status {slot} --json"))
        assert status["current"]["sha256"] == package.sha256
        assert status["faults"] == []
