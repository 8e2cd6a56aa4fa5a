"""A real PostgreSQL server in a temporary folder, without a system service."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from dashboard.postgresql_login import PostgresqlLogin
from tests.simulators.broker import free_port
from tests.simulators.daemon import children_of, is_alive
from tests.waiting import until

# Debian installs the programs beside each other, and links none of them.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
USERS = ("postgres", "nobody")  # the server refuses to run as root
START_LIMIT_S = 60
SUPERUSER, USER, PASSWORD = "graftline", "dashboard", "hunter2"


def is_installed() -> bool:
    """Whether PostgreSQL is on this machine."""
    return path_of("initdb") is not None


def require_postgresql() -> None:
    """Skip a test where PostgreSQL is not installed; with ``CI=true`` it fails."""
    if is_installed():
        return
    message = "needs PostgreSQL (apt install postgresql)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class PostgresqlServer:
    """A server on a free port of this machine; ``start`` it.

    Args:
        is_durable: Wait for the disk at each commit, and use as much memory as its
            defaults say, as a real server does.

    Attributes:
        port: Its TCP port, where it asks for a password.
    """

    def __init__(self, *, is_durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="graftline-postgresql-"))
        self._pid_file = self.folder / "data" / "postmaster.pid"
        self._is_durable = is_durable
        self.port = free_port()
        self._databases = 0
        # Databases of earlier servers have other names: engines are cached by URL.
        self._name = secrets.token_hex(3)
        if os.geteuid() == 0:
            self._user = next(each for each in USERS if _group_of(each) is not None)
            shutil.chown(self.folder, self._user)
        self._run(
            *("initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
            *("--username", SUPERUSER, "--pgdata", str(self.folder / "data")),
        )

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 60,
        }
        if not self._is_durable:  # no test cuts the power
            settings |= {"fsync": "off", "shared_buffers": "32MB"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, how: str = "immediate") -> None:
        """Stop it: ``immediate`` is a crash."""
        self._control("stop", "-m", how)

    def kill(self) -> None:
        """Kill it with SIGKILL, all of its processes, and wait for their end."""
        first = int(self._pid_file.read_text("utf-8").split()[0])
        os.kill(first, signal.SIGSTOP)  # no further children
        processes = [first, *children_of(first)]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        until(lambda: not any(map(is_alive, processes)), "its processes have ended")
        # In a container the dead processes may stay as zombies, and the server would
        # take its own locks for those of another one.
        for lock in (self._pid_file, *self.folder.glob(".s.PGSQL.*")):
            lock.unlink()

    def remove(self) -> None:
        """Stop it, if it runs, and delete its files."""
        if self._pid_file.exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> PostgresqlLogin:
        """Return the login to an empty database, over the socket."""
        self._databases += 1
        name = f"test_{self._name}_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        url = f"postgresql://{SUPERUSER}@/{name}?host={self.folder}&port={self.port}"
        return PostgresqlLogin(url)

    def with_password(self, login: PostgresqlLogin) -> PostgresqlLogin:
        """Return the login of a user of a database over TCP, who has a password."""
        name = login.full_url().database
        self.execute(
            f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'",
            f"ALTER DATABASE {name} OWNER TO {USER}",
        )
        url = f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"
        return PostgresqlLogin(url, PASSWORD)

    def execute(self, *statements: str) -> None:
        """Execute statements as the superuser, each by itself."""
        self._execute("postgres", statements)

    def execute_in(self, login: PostgresqlLogin, *statements: str) -> None:
        """Execute statements in a database, each by itself."""
        self._execute(str(login.full_url().database), statements)

    def _execute(self, database: str, statements: Sequence[str]) -> None:
        self._run(
            *("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"),
            *("--host", str(self.folder), "--port", str(self.port)),
            *("--username", SUPERUSER, "--dbname", database),
            *(part for each in statements for part in ("--command", each)),
        )

    def _control(self, *arguments: str) -> None:
        data = str(self.folder / "data")
        self._run(
            *("pg_ctl", "--silent", "--wait", "-t", str(START_LIMIT_S)),
            *("--pgdata", data, *arguments),
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(path_of(program)), *arguments]
        if os.geteuid() == 0:
            rights = [f"--reuid={self._user}", f"--regid={_group_of(self._user)}"]
            command = ["setpriv", *rights, "--clear-groups", *command]
        # pg_ctl leaves its server the pipe: a file ends with pg_ctl.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=2 * START_LIMIT_S,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, output.read().decode(errors="replace")


def path_of(name: str) -> str | None:
    """Return the path of one of its programs; None = not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, DEBIAN)])
    return shutil.which(name, path=path)


def _group_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return None
