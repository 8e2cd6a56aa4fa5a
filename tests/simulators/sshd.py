"""A real sshd on loopback, as on a line PC: own host key, own configuration.

Where the tests run as root, people log in as an unprivileged user that only this sshd
knows: in a mount namespace it has a list of users of its own, and this Python where
that user may read it. Else sshd runs as the user of the tests, who is unprivileged too.
"""

import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.command import REPOSITORY
from tests.simulators.broker import free_port

PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
SSHD = shutil.which("sshd", path=PATHS)
SFTP_SERVER = shutil.which("sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh")
SSH, SFTP, KEYGEN = (shutil.which(each) for each in ("ssh", "sftp", "ssh-keygen"))
START_LIMIT_S = 10.0
SEPARATION = Path("/run/sshd")  # where sshd locks itself in when it runs as root
USER, UID = "line", 20_020
FULL_BLOCKS = 2000  # of 512 bytes: the largest file that fits on a full disk
PASSWD = Path("/etc/passwd")


def can_hide_users() -> bool:
    """Return whether this process may give sshd another list of users."""
    program = shutil.which("unshare")
    if os.geteuid() or program is None:
        return False
    arguments = [program, "--mount", "mount", "--bind", PASSWD, PASSWD]
    done = subprocess.run(arguments, check=False, capture_output=True, timeout=10)
    return done.returncode == 0


class SimSshd:
    """A line PC with sshd, and a workstation whose OpenSSH knows it.

    Args:
        limit_kbyte_s: Of a transfer of the workstation; 0 = as fast as it goes.

    Attributes:
        user: Who logs in.
        folder: Where keys, configuration and log are.
        home: A folder that this user may write, for slots.
        bin: Put first into PATH, ``ssh`` and ``sftp`` use this line PC's keys.
    """

    def __init__(self, limit_kbyte_s: int = 0) -> None:
        if not (SSHD and SSH and SFTP and KEYGEN and SFTP_SERVER):
            pytest.skip("needs sshd, ssh and sftp (apt-get install openssh-server)")
        # Not below the folder of the tests, which only their own user may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="graftline-sshd-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.home, self.bin = self.folder / "home", self.folder / "workstation"
        self.home.mkdir()
        self.bin.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._hides_users = can_hide_users()
        self.user = USER if self._hides_users else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            SEPARATION.mkdir(exist_ok=True)
        if self._hides_users:
            os.chown(self.home, UID, UID)
            entry = f"{USER}:x:{UID}:{UID}::{self.home}:/bin/sh\n"
            (self.folder / "passwd").write_text(PASSWD.read_text() + entry)
        self._write_keys()
        self._write_line_pc()
        self._write_workstation(limit_kbyte_s)

    def target(self, slot: str = "slot") -> str:
        """Return the target of a slot in the home folder of the user."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{self.home / slot}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which this workstation's OpenSSH is found."""
        path = f"{self.bin}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process use this workstation's OpenSSH."""
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    def new_host_key(self) -> None:
        """Let the line PC answer with another host key, as after an installation."""
        self._keygen("host_key")

    def new_user_key(self) -> None:
        """Let the workstation log in with a key that the line PC does not know."""
        allowed = (self.folder / "authorized_keys").read_bytes()
        self._keygen("user_key")
        (self.folder / "authorized_keys").write_bytes(allowed)

    def forget_host(self) -> None:
        """Let the workstation know no host."""
        (self.folder / "known_hosts").write_bytes(b"")

    def remove_graftline(self) -> None:
        """Let the line PC have no graftline."""
        (self.folder / "line-pc" / "graftline").unlink()

    def written_bytes(self, name: str) -> list[int]:
        """Return how many bytes of a file each finished transfer has written."""
        log = (self.home / "sftp.log").read_text(errors="replace")
        found = re.findall(rf'close ".*{name}" bytes read \d+ written (\d+)', log)
        return [int(each) for each in found]

    def fill_disk(self, is_full: bool) -> None:
        """Let transfers fail after a megabyte, or no longer."""
        if is_full:
            (self.home / "is-full").touch()
        else:
            (self.home / "is-full").unlink()

    def cut(self) -> None:
        """Kill every session, with the programs that it runs."""
        assert self._process is not None
        for pid in _descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _keygen(self, name: str) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        arguments = [str(KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(arguments, check=True, timeout=30)

    def _write_keys(self) -> None:
        self._keygen("host_key")
        self._keygen("user_key")
        public = (self.folder / "user_key.pub").read_text()
        (self.folder / "authorized_keys").write_text(public)
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        line = f"[127.0.0.1]:{self.port} {kind} {key}\n"
        (self.folder / "known_hosts").write_text(line)

    def _write_line_pc(self) -> None:
        programs = self.folder / "line-pc"
        programs.mkdir()
        _write_script(
            programs / "graftline",
            f"PYTHONPATH={shlex.quote(str(REPOSITORY))} OMP_NUM_THREADS=1 "
            f'exec {shlex.quote(sys.executable)} -B -P -m graftline "$@"',
        )
        log = shlex.quote(str(self.home / "sftp.log"))
        full = shlex.quote(str(self.home / "is-full"))
        _write_script(
            programs / "sftp",
            # Without the signal, a write beyond the limit fails as on a full disk.
            f"if [ -e {full} ]; then trap '' XFSZ; ulimit -f {FULL_BLOCKS}; fi\n"
            f"exec {SFTP_SERVER} -e -l INFO 2>>{log}",
        )
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\n"
            f"HostKey {self.folder}/host_key\nPidFile {self.folder}/sshd.pid\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            f"StrictModes no\nSubsystem sftp {programs}/sftp\n"
            f"SetEnv PATH={programs}:/usr/bin:/bin\n"
        )

    def _write_workstation(self, limit_kbyte_s: int) -> None:
        (self.folder / "ssh_config").write_text(
            f"IdentityFile {self.folder}/user_key\nIdentitiesOnly yes\n"
            f"UserKnownHostsFile {self.folder}/known_hosts\n"
            "GlobalKnownHostsFile /dev/null\nIdentityAgent none\n"
        )
        config = shlex.quote(str(self.folder / "ssh_config"))
        _write_script(self.bin / "ssh", f'exec {SSH} -F {config} "$@"')
        limit = f"-l {limit_kbyte_s * 8}" if limit_kbyte_s else ""
        _write_script(self.bin / "sftp", f'exec {SFTP} {limit} -F {config} "$@"')

    def start(self) -> "SimSshd":
        """Start sshd and wait until it accepts connections."""
        arguments = [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if self._hides_users:
            lines = [f"mount --bind {self.folder}/passwd {PASSWD}", *self._readable()]
            text = "\n".join(["set -e", *lines, f"exec {shlex.join(arguments)}"])
            arguments = ["unshare", "--mount", "sh", "-c", text]
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return self
            time.sleep(0.02)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def _readable(self) -> list[str]:
        """Return commands that let every user read this Python and this checkout."""
        needed = {Path(sys.base_prefix), Path(sys.prefix), REPOSITORY}
        closed = {each: _closed_folder(each) for each in needed if _closed_folder(each)}
        places = {each: self.folder / f"mount-{i}" for i, each in enumerate(closed)}
        lines = [
            f"mkdir -p {place}; mount --bind {shlex.quote(str(each))} {place}"
            for each, place in places.items()
        ]
        lines += [
            f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(each))}"
            for each in set(closed.values())
        ]
        for each, place in places.items():
            name = shlex.quote(str(each))
            lines.append(f"mkdir -p {name}; mount --bind {place} {name}")
        return lines

    def stop(self) -> None:
        """End sshd and its sessions."""
        if self._process is not None:
            self.cut()
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _closed_folder(path: Path) -> Path | None:
    """Return the first folder on the way to a path that others may not enter."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _write_script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
