"""Sets up line PCs from a wheelhouse: this machine, a stick, or a PC behind ssh.

What is installed where is in ``deploy/templates/provision/installer``; it runs on the
line PC.
"""

import re
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.provision.installer_folder import MANIFEST
from deploy.provision.pip_runs import run_installer
from deploy.provision.wheelhouse import (
    WheelhouseManifest,
    copy_wheelhouse,
    damaged_files,
    refuse_damaged,
)
from deploy.target import FlashTarget, SshTarget, Target, UsbTarget
from deploy.transports.openssh import SshAnswer, run_sftp, run_ssh
from deploy.transports.sftp_batch import quoted
from deploy.transports.ssh_errors import TargetError
from models.counted import counted
from models.errors import ExitCode, InstallError
from models.files import read_regular, write_atomically

FOLDER = "graftline-wheelhouse"  # on a stick, and in the home folder of an ssh user
GIVEN = "given"  # files of the workstation that the installer takes
GIVEN_MAX_BYTES = 1 << 20
LIST_LIMIT_S, SEND_LIMIT_S = 120.0, 3600.0
SILENCE_S = 960.0  # longer than the longest step of the installer
SHOWN_CHARACTERS = 600
# The installer needs root, but not to set up a folder.
INSTALL = (
    'cd "$1" && shift && case "$(id -u) $*" in '
    '"0 "*|*" --root "*) exec sh ./install.sh "$@" 2>&1;; '
    '*) exec sudo -n sh ./install.sh "$@" 2>&1;; esac'
)
LIST = 'cd "$1" 2>/dev/null && find . -type f -exec sha256sum -- {} + || true'
LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  \./(?P<name>.+)")


class ProvisionReport(BaseModel):
    """What the installer did on a line PC."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str = ""
    graftline: str
    version: str
    before: str = ""
    root: str
    config: str
    is_new_config: bool
    units: tuple[str, ...]
    services: tuple[str, ...]
    doctor: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InstallerOptions:
    """Options of the installer.

    Attributes:
        words: Options that are passed on as they are.
        config: ``edge.toml`` for a PC that has none; None = the template.
        ssh_key: Public key that may flash; None = none is added.
        root: Folder of the PC to set up below; empty = the PC itself.
    """

    words: tuple[str, ...] = ()
    config: Path | None = None
    ssh_key: Path | None = None
    root: str = ""

    def arguments(self, place: Callable[[str, Path], str]) -> list[str]:
        """Return the arguments of the installer.

        Args:
            place: Returns where the installer finds a file of this machine.
        """
        words = [*self.words, "--json"]
        for option, path in (("--config", self.config), ("--ssh-key", self.ssh_key)):
            if path is not None:
                words += [option, place(option, path)]
        return [*words, "--root", self.root] if self.root else words


def provision(
    wheelhouse: Path,
    target: Target,
    options: InstallerOptions,
    on_step: Callable[[str], None],
) -> ProvisionReport | None:
    """Set up a line PC; it is safe to repeat.

    Args:
        on_step: Called with a sentence at each step.

    Returns:
        What was done; None for a stick, which is carried to the line PC.

    Raises:
        ConfigError: There is no wheelhouse, or a file cannot be read or written.
        InstallError: The line PC cannot be reached, or the installer refused.
    """
    match target:
        case UsbTarget():
            on_step(f"write: {target.folder / FOLDER}")
            copy_wheelhouse(wheelhouse, target.folder / FOLDER)
            return None
        case FlashTarget():
            return _provision_here(wheelhouse, target, options, on_step)
        case SshTarget():
            return _provision_ssh(wheelhouse, target, options, on_step)


def _provision_here(
    wheelhouse: Path,
    target: FlashTarget,
    options: InstallerOptions,
    on_step: Callable[[str], None],
) -> ProvisionReport:
    WheelhouseManifest.read(wheelhouse)
    root = target.slot.root
    words = options.arguments(lambda _, path: str(path.absolute()))
    script = wheelhouse.absolute() / "install.sh"
    code, output, errors = run_installer(script, [*words, "--root", str(root)])
    for line in errors.splitlines() if code == ExitCode.OK else ():
        on_step(line)
    return _report(target.name, code, f"{errors}\n{output}")


def _provision_ssh(
    wheelhouse: Path,
    target: SshTarget,
    options: InstallerOptions,
    on_step: Callable[[str], None],
) -> ProvisionReport:
    manifest = WheelhouseManifest.read(wheelhouse)
    refuse_damaged(wheelhouse, damaged_files(wheelhouse, manifest))
    with tempfile.TemporaryDirectory(prefix="graftline-provision-") as temporary:
        given = Path(temporary)

        def place(option: str, path: Path) -> str:
            name = option.removeprefix("--")
            write_atomically(given / name, read_regular(path, GIVEN_MAX_BYTES))
            return f"{GIVEN}/{name}"

        try:
            words = options.arguments(place)
        except OSError as exc:
            raise InstallError(
                f"{exc.filename}: cannot be read.",
                why=exc.strerror or str(exc),
                fix="Give another file.",
            ) from exc
        _send(target, wheelhouse, manifest, given, on_step)
    lines: list[str] = []

    def note(line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\n")
        lines.append(text)
        if not text.startswith("{"):
            on_step(text)

    command = ("sh", "-c", INSTALL, "sh", FOLDER, *words)
    answer = run_ssh(target, command, limit_s=SILENCE_S, on_line=note)
    return _report(target.name, answer.code, f"{answer.errors}\n" + "\n".join(lines))


def _send(
    target: SshTarget,
    wheelhouse: Path,
    manifest: WheelhouseManifest,
    given: Path,
    on_step: Callable[[str], None],
) -> None:
    """Send what the home folder of the ssh user lacks of a wheelhouse.

    Raises:
        InstallError: It cannot be sent; what was sent stays, and is not sent again.
    """
    listed = run_ssh(target, ("sh", "-c", LIST, "sh", FOLDER), limit_s=LIST_LIMIT_S)
    there = files_there(listed)
    missing = {
        name: file
        for name, file in manifest.files.items()
        if there.get(name) != file.sha256
    }
    size = sum(file.size_bytes for file in missing.values()) / 1e6
    kept = len(manifest.files) - len(missing)
    on_step(
        f"send: {counted(len(missing), 'file')}, {size:.0f} MB; the line PC has "
        f"{kept} others"
    )
    own = [(given / path.name, f"{GIVEN}/{path.name}") for path in given.iterdir()]
    names = [(wheelhouse.absolute() / name, name) for name in (*missing, MANIFEST)]
    batch = send_batch([*names, *own])
    try:
        run_sftp(target, batch, folder=wheelhouse, limit_s=SEND_LIMIT_S)
    except TargetError as exc:
        raise InstallError(
            f"{target.name}: the wheelhouse cannot be sent.",
            why=f"{exc.what} {exc.why}",
            fix="Free space in the home folder there, and give the same command again.",
        ) from exc


def files_there(answer: SshAnswer) -> dict[str, str]:
    """Return the SHA-256 of each file that a line PC listed."""
    lines = answer.output.decode(errors="replace").splitlines()
    found = filter(None, map(LINE.fullmatch, lines))
    return {each["name"]: each["sha256"] for each in found}


def send_batch(files: list[tuple[Path, str]]) -> str:
    """Return the sftp commands that send files below ``FOLDER``.

    Args:
        files: Local file, and its name there, which may have folders.
    """
    folders = {str(Path(name).parent) for _, name in files} - {"."}
    lines = [f"-mkdir {quoted(FOLDER)}", f"cd {quoted(FOLDER)}"]
    lines += [f"-mkdir {quoted(folder)}" for folder in sorted(folders)]
    lines += [f"put {quoted(str(path))} {quoted(name)}" for path, name in files]
    return "\n".join(lines) + "\n"


def _report(name: str, code: int, output: str) -> ProvisionReport:
    """Return the report at the end of the installer's output."""
    last = output.strip().rpartition("\n")[2]
    if code == ExitCode.OK:
        try:
            report = ProvisionReport.model_validate_json(last)
        except ValidationError as exc:
            raise InstallError(
                f"{name}: the installer gave no report.",
                why=_end_of(output),
                fix="Run it there: sudo sh install.sh",
            ) from exc
        return report.model_copy(update={"target": name})
    if "sudo:" in output:
        raise InstallError(
            f"{name}: the installer needs root, and sudo asks for a password.",
            why=_end_of(output),
            fix="Log in there, and run: "
            + shlex.join(["sudo", "sh", f"{FOLDER}/install.sh", "--help"]),
        )
    raise InstallError(
        f"{name}: the line PC was not set up (exit code {code}).",
        why=_end_of(output),
        fix="Correct that, and give the same command again; what was there is in "
        "force.",
    )


def _end_of(output: str) -> str:
    return " ".join(output.split())[-SHOWN_CHARACTERS:] or "It printed nothing."
