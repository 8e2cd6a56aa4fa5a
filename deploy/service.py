"""Daemon and agent as systemd services: sandboxed units, and the user they run as.

The unit is a template. Its values come from the daemon's configuration: the program,
the file, and the folders that it writes to outside ``/var/lib/graftline``. The unit is
written but not installed: the installation needs root, and its commands are printed.

Source:
    ``systemd-analyze security``: a unit without hardening has an exposure of 9.2, this
    one 1.9; tests/contract/test_service_unit.py keeps it at 2.0 or less.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pydantic import BaseModel, ConfigDict

from deploy.agent.config import load_agent_settings
from models.config import Settings, load_config
from models.errors import ConfigError
from models.files import write_atomically

TEMPLATES = Path(__file__).parent / "templates" / "systemd"
UNIT_NAME = "graftline-edge.service"
AGENT_UNIT_NAME = "graftline-agent.service"
SYSUSERS_NAME = "graftline-sysusers.conf"
STATE_FOLDER = Path("/var/lib/graftline")  # StateDirectory= of the unit
DASHBOARD_UNIT_NAME = "graftline-dashboard.service"
DASHBOARD_SYSUSERS_NAME = "graftline-dashboard-sysusers.conf"
DASHBOARD_STATE_FOLDER = Path("/var/lib/graftline-dashboard")
PRIVATE_NETWORKS = (
    *("localhost", "link-local", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    "fc00::/7",
)
USUAL_PORT = 8765
FIRST_FREE_PORT = 1024  # a lower one needs a capability
HIDDEN_FOLDERS = (Path("/home"), Path("/root"), Path("/run/user"))  # ProtectHome=
USER_PATTERN = r"[a-z_][a-z0-9_-]{0,30}"
PLAIN_ARGUMENT = r"[A-Za-z0-9_/.+:,@=-]+"


class _PartialTable(BaseModel):
    """The keys of a table that the unit needs; the daemon validates the others."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Model(_PartialTable):
    slot: Path


class _Outbox(_PartialTable):
    path: Path


class _Evidence(_PartialTable):
    folder: Path


class _EdgeFile(Settings):
    """The tables of the daemon's configuration that the unit needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: _Model
    outbox: _Outbox
    evidence: _Evidence


class _Server(_PartialTable):
    port: int = USUAL_PORT
    tls_certificate: Path | None = None
    tls_key: Path | None = None


class _History(_PartialTable):
    path: Path = Path("history.sqlite3")
    url: str = ""
    password_file: Path | None = None


class _Broker(_PartialTable):
    password_file: Path | None = None
    tls_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None


class _DashboardFile(Settings):
    """The tables of the dashboard's configuration that its unit needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    server: _Server = _Server()
    history: _History = _History()
    broker: _Broker = _Broker()
    notify: tuple[_PartialTable, ...] = ()

    def files(self) -> list[Path]:
        """Return the files that the dashboard reads."""
        server, broker = self.server, self.broker
        named = (
            *(server.tls_certificate, server.tls_key, self.history.password_file),
            *(broker.password_file, broker.tls_ca_file),
            *(broker.tls_cert_file, broker.tls_key_file),
        )
        return [path for path in named if path is not None]


@dataclass(frozen=True, slots=True)
class DashboardServiceFiles:
    """The texts of the files of the dashboard.

    Attributes:
        unit: Content of ``graftline-dashboard.service``.
        sysusers: Content of ``graftline-dashboard-sysusers.conf``.
    """

    unit: str
    sysusers: str

    def unit_texts(self) -> str:
        """Return the content of the unit."""
        return self.unit

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the files into a folder, which is created, and return their paths.

        Raises:
            ConfigError: The folder cannot be written.
        """
        contents = {
            folder / DASHBOARD_UNIT_NAME: self.unit,
            folder / DASHBOARD_SYSUSERS_NAME: self.sysusers,
        }
        _write_all(folder, contents)
        unit, sysusers = contents
        return unit, sysusers


@dataclass(frozen=True, slots=True)
class ServiceFiles:
    """The texts of the files.

    Attributes:
        unit: Content of ``graftline-edge.service``.
        agent: Content of ``graftline-agent.service``.
        sysusers: Content of ``graftline-sysusers.conf``.
    """

    unit: str
    agent: str
    sysusers: str

    def unit_texts(self) -> str:
        """Return the content of the two units."""
        return f"{self.unit}\n{self.agent}"

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Write the files into a folder, which is created, and return their paths.

        Returns:
            The units of daemon and agent, and the file of the user.

        Raises:
            ConfigError: The folder cannot be written.
        """
        unit, agent = folder / UNIT_NAME, folder / AGENT_UNIT_NAME
        sysusers = folder / SYSUSERS_NAME
        contents = {unit: self.unit, agent: self.agent, sysusers: self.sysusers}
        _write_all(folder, contents)
        return unit, agent, sysusers


def _write_all(folder: Path, contents: Mapping[Path, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            write_atomically(path, content.encode())
    except OSError as exc:
        raise ConfigError(
            f"{folder}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Give a folder that you may write, and copy the files as root.",
        ) from exc


def make_service(
    config: Path, user: str, agent_config: Path | None = None
) -> ServiceFiles:
    """Return the files that run a configured daemon and its agent as services.

    Args:
        config: Configuration of the daemon, TOML.
        user: Name of the system user that they run as.
        agent_config: Configuration of the agent, TOML; None: it takes what comes into
            the inbox of the daemon's slot.

    Raises:
        ConfigError: The configuration cannot be read, the user's name is not valid,
            or a path is in a folder that the unit hides.
    """
    _refuse_no_user(user)
    config = config.absolute()
    settings = load_config(config, _EdgeFile)
    written = {
        config.parent / settings.model.slot,
        (config.parent / settings.outbox.path).parent,
        config.parent / settings.evidence.folder,
    }
    slot = config.parent / settings.model.slot
    agent = ["agent", "--slot", str(slot)]
    agent_writes = {slot}
    if agent_config is not None:
        agent_settings = load_agent_settings(agent_config)
        _refuse_other_slot(slot, agent_settings.slot)
        agent = ["agent", "--config", str(agent_config.absolute())]
        agent_writes |= set(agent_settings.watch)
    python = Path(sys.executable)
    _refuse_hidden({config, python} | written | agent_writes)
    values = {
        "command": _command(python, ["run", "--config", str(config)]),
        "agent_command": _command(python, agent),
        "config": _one_line(str(config)),
        "read_write_paths": _write_paths(written),
        "agent_paths": _write_paths(agent_writes),
        "user": user,
    }
    return ServiceFiles(
        unit=_fill(UNIT_NAME, values),
        agent=_fill(AGENT_UNIT_NAME, values),
        sysusers=_fill(SYSUSERS_NAME, values),
    )


def make_dashboard_service(config: Path, user: str) -> DashboardServiceFiles:
    """Return the files that run a configured dashboard as a service.

    Args:
        config: Configuration of the dashboard, TOML.
        user: Name of the system user that it runs as.

    Raises:
        ConfigError: The configuration cannot be read, the user's name is not valid,
            or a path is in a folder that the unit hides.
    """
    _refuse_no_user(user)
    config = config.absolute()
    settings = load_config(config, _DashboardFile)
    history = set() if settings.history.url else {settings.history.path}
    written = {(config.parent / path).parent for path in history}
    read = {config.parent / path for path in settings.files()}
    python = Path(sys.executable)
    _refuse_hidden({config, python} | written | read)
    is_low_port = settings.server.port < FIRST_FREE_PORT
    networks = ("any",) if settings.notify else PRIVATE_NETWORKS
    values = {
        "command": _command(python, ["dashboard", "--config", str(config)]),
        "config": _one_line(str(config)),
        "read_write_paths": _write_paths(written, DASHBOARD_STATE_FOLDER),
        "capabilities": "CAP_NET_BIND_SERVICE" if is_low_port else "",
        # A capability to bind a port counts outside of a user namespace only.
        "private_users": "no" if is_low_port else "yes",
        "addresses": "\n".join(f"IPAddressAllow={each}" for each in networks),
        "user": user,
    }
    return DashboardServiceFiles(
        unit=_fill(DASHBOARD_UNIT_NAME, values),
        sysusers=_fill(DASHBOARD_SYSUSERS_NAME, values),
    )


def _refuse_no_user(user: str) -> None:
    if not re.fullmatch(USER_PATTERN, user):
        raise ConfigError(
            f"user {user!r} is not the name of a system user.",
            why="Expected small letters, digits, '-' and '_'.",
            fix="Give another --user.",
        )


def _command(python: Path, arguments: list[str]) -> str:
    command = [str(python), "-P", "-m", "graftline", *arguments]
    return " ".join(_quoted(each).replace("$", "$$") for each in command)


def _write_paths(paths: set[Path], state: Path = STATE_FOLDER) -> str:
    """Return the lines that let a service write outside its state folder."""
    outside = sorted(path for path in paths if not path.is_relative_to(state))
    # With "-" the service also starts where a folder does not exist yet.
    lines = [f"ReadWritePaths={_quoted(f'-{path}')}" for path in outside]
    return "\n".join(lines) or "# (nothing)"


def _refuse_other_slot(slot: Path, of_agent: Path) -> None:
    if of_agent != slot:
        raise ConfigError(
            f"the agent installs into {of_agent}, and the daemon runs {slot}.",
            why="Both work on one slot.",
            fix="Give agent.toml the slot of edge.toml.",
        )


def _fill(name: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / name).read_text("utf-8")).substitute(values)


def _refuse_hidden(paths: set[Path]) -> None:
    hidden = sorted(
        str(path)
        for path in paths
        if any(path.is_relative_to(folder) for folder in HIDDEN_FOLDERS)
    )
    if hidden:
        raise ConfigError(
            f"a service cannot use {', '.join(hidden)}.",
            why="The unit hides home folders from the daemon (ProtectHome=).",
            fix=f"Put configuration and program under /etc and /opt, data under "
            f"{STATE_FOLDER}.",
        )


def _quoted(text: str) -> str:
    """Return an argument in systemd's syntax: quoted, specifiers doubled.

    Source:
        systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers".
    """
    text = _one_line(text).replace("%", "%%")
    if re.fullmatch(PLAIN_ARGUMENT, text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    """Return a path without line breaks; one would start a new line of the unit."""
    if not text.isprintable():
        raise ConfigError(
            f"{text!r} cannot be written into a unit file.",
            why="It has a character that is not printable.",
            fix="Rename it.",
        )
    return text
