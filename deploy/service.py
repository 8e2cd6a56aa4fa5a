"""The daemon as a systemd service: a unit that may do little, and the user it runs as.

The unit is a template, filled in with what the daemon's own configuration names: the
program, the file, and the folders that it writes to outside of ``/var/lib/graftline``.
It is written, never installed: that takes root, and two commands which are shown.

Source:
    ``systemd-analyze security``: a unit without hardening has an exposure of 9.2, this
    one 1.9; tests/contract/test_service_unit.py keeps it at 2.0 or less.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pydantic import BaseModel, ConfigDict

from models.config import Settings, load_config
from models.errors import ConfigError
from models.files import write_atomically

TEMPLATES = Path(__file__).parent / "templates" / "systemd"
UNIT_NAME = "graftline-edge.service"
SYSUSERS_NAME = "graftline-sysusers.conf"
STATE_FOLDER = Path("/var/lib/graftline")  # StateDirectory= of the unit
HIDDEN_FOLDERS = (Path("/home"), Path("/root"), Path("/run/user"))  # ProtectHome=
USER_PATTERN = r"[a-z_][a-z0-9_-]{0,30}"
PLAIN_WORD = r"[A-Za-z0-9_/.+:,@=-]+"


class _Loose(BaseModel):
    """The part of a table that is of interest here; the daemon checks the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Model(_Loose):
    slot: Path


class _Outbox(_Loose):
    path: Path


class _Evidence(_Loose):
    folder: Path


class _EdgeFile(Settings):
    """What the unit must know of the daemon's configuration."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: _Model
    outbox: _Outbox
    evidence: _Evidence


@dataclass(frozen=True, slots=True)
class ServiceFiles:
    """What was made.

    Attributes:
        unit: Content of ``graftline-edge.service``.
        sysusers: Content of ``graftline-sysusers.conf``.
    """

    unit: str
    sysusers: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both files and return their paths.

        Args:
            folder: Where; it is made.

        Raises:
            ConfigError: It cannot be written.
        """
        unit, sysusers = folder / UNIT_NAME, folder / SYSUSERS_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(unit, self.unit.encode())
            write_atomically(sysusers, self.sysusers.encode())
        except OSError as exc:
            raise ConfigError(
                f"{folder}: cannot be written.",
                why=exc.strerror or str(exc),
                fix="Give a folder that you may write, and copy the files as root.",
            ) from exc
        return unit, sysusers


def make_service(config: Path, user: str) -> ServiceFiles:
    """Return the files that make a configured daemon a service.

    Args:
        config: Its configuration, TOML.
        user: Who it runs as.

    Raises:
        ConfigError: The configuration cannot be read, the user's name is none, or a
            path lies where a service may not look.
    """
    if not re.fullmatch(USER_PATTERN, user):
        raise ConfigError(
            f"user {user!r} is not the name of a system user.",
            why="Expected small letters, digits, '-' and '_'.",
            fix="Give another --user.",
        )
    config = config.absolute()
    settings = load_config(config, _EdgeFile)
    written = {
        config.parent / settings.model.slot,
        (config.parent / settings.outbox.path).parent,
        config.parent / settings.evidence.folder,
    }
    python = Path(sys.executable)
    _refuse_hidden({config, python} | written)
    outside = sorted(path for path in written if not path.is_relative_to(STATE_FOLDER))
    # With "-" a folder that is not there yet does not keep the service from starting.
    paths = "\n".join(f"ReadWritePaths={_word(f'-{path}')}" for path in outside)
    words = [str(python), "-P", "-m", "graftline", "run", "--config", str(config)]
    values = {
        "command": " ".join(_word(word).replace("$", "$$") for word in words),
        "config": _one_line(str(config)),
        "read_write_paths": paths or "# (nothing)",
        "user": user,
    }
    return ServiceFiles(_fill(UNIT_NAME, values), _fill(SYSUSERS_NAME, values))


def _fill(name: str, values: dict[str, str]) -> str:
    """Return a template with its values."""
    return Template((TEMPLATES / name).read_text("utf-8")).substitute(values)


def _refuse_hidden(paths: set[Path]) -> None:
    """Refuse what the unit hides from the daemon."""
    hidden = sorted(
        str(path)
        for path in paths
        if any(path.is_relative_to(folder) for folder in HIDDEN_FOLDERS)
    )
    if hidden:
        raise ConfigError(
            f"a service cannot use {', '.join(hidden)}.",
            why="The unit hides the homes of people from the daemon (ProtectHome=).",
            fix=f"Put configuration and program under /etc and /opt, data under "
            f"{STATE_FOLDER}.",
        )


def _word(text: str) -> str:
    """Return a word as systemd reads it back: quoted, specifiers doubled.

    Source:
        systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers".
    """
    text = _one_line(text).replace("%", "%%")
    if re.fullmatch(PLAIN_WORD, text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    """Return a path that is one line; a line break would be a line of the unit."""
    if not text.isprintable():
        raise ConfigError(
            f"{text!r} cannot stand in a unit file.",
            why="It holds a character that is no letter, digit or sign.",
            fix="Rename it.",
        )
    return text
