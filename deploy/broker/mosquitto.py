"""The mosquitto of this machine: its version, its access plugin, its main file.

Source:
    mosquitto 2.1.0, release notes: ``acl_file`` and ``per_listener_settings`` are
    deprecated, the access list is a plugin. Debian's package has the plugin in
    ``/usr/lib/<architecture>/mosquitto/``.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.files import read_regular, write_atomically

PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
PLUGIN = "mosquitto_acl_file.so"
PLUGIN_FOLDERS = (
    *("usr/lib/*/mosquitto", "usr/lib/*", "usr/lib", "usr/lib64"),
    *("usr/local/lib", "usr/local/lib64"),
)
CONFIG_MAX_BYTES = 1 << 20
PROGRAM_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class InstalledBroker:
    """A mosquitto program.

    Attributes:
        program: Its file.
        version: The first two numbers.
    """

    program: Path
    version: tuple[int, int]

    @property
    def has_plugins(self) -> bool:
        """Whether access lists are a plugin, and a configuration can be tested."""
        return self.version >= (2, 1)


@dataclass(frozen=True, slots=True)
class MainFile:
    """A configuration that includes a folder.

    Attributes:
        path: The file.
        settings: First text and rest of each line, of the file and of all other files
            that it includes, with the file that has it.
    """

    path: Path
    settings: tuple[tuple[str, str, Path], ...]

    def files_with(self, key: str) -> list[Path]:
        """Return the files that set a key."""
        return [file for name, _, file in self.settings if name == key]


def find_broker() -> InstalledBroker | None:
    """Return the mosquitto of this machine; None where there is none."""
    program = shutil.which("mosquitto", path=PATHS)
    if program is None:
        return None
    output = _run([program, "-h"])
    found = re.search(r"mosquitto version (\d+)\.(\d+)", output)
    version = (int(found[1]), int(found[2])) if found else (2, 0)
    return InstalledBroker(Path(program), version)


def find_acl_plugin(root: Path = Path("/")) -> Path | None:
    """Return the plugin of access lists; None where it is not installed."""
    found = (file for each in PLUGIN_FOLDERS for file in root.glob(f"{each}/{PLUGIN}"))
    return next(found, None)


def main_file_of(folder: Path, own: str) -> MainFile | None:
    """Return the ``mosquitto.conf`` that includes a folder; None where none does.

    Args:
        folder: Such as ``/etc/mosquitto/conf.d``.
        own: Name of the file that is written there; it is not read.

    Raises:
        OSError: A file cannot be read.
    """
    path = folder.parent / "mosquitto.conf"
    if not path.is_file():
        return None
    lines = list(_lines_of(path))
    included = [Path(value) for key, value, _ in lines if key == "include_dir"]
    if folder.resolve() not in {each.resolve() for each in included}:
        return None
    for each in included:
        for file in sorted(each.glob("*.conf")):
            if file.name != own or each.resolve() != folder.resolve():
                lines += _lines_of(file)
    return MainFile(path, tuple(lines))


def _lines_of(path: Path) -> Iterator[tuple[str, str, Path]]:
    for line in _text_of(path).splitlines():
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            yield key, value.strip(), path


def _text_of(path: Path) -> str:
    return read_regular(path, CONFIG_MAX_BYTES).decode("utf-8", errors="replace")


def fault_of(broker: InstalledBroker, config: Path) -> str:
    """Return what mosquitto finds wrong in a configuration; empty if it takes it.

    A broker without ``--test-config`` finds nothing. A copy is tested: mosquitto 2.1.2
    saves an empty database at the end of the test, in the place of the broker's own.

    Raises:
        OSError: A file cannot be read.
    """
    if not broker.has_plugins:
        return ""
    with tempfile.TemporaryDirectory(prefix="graftline-broker-") as temporary:
        folder = Path(temporary)
        names = _copy(config, folder)
        copy = str(folder / config.name)
        output = _run([str(broker.program), "-c", copy, "--test-config"], folder)
    if "Configuration file is OK" in output:
        return ""
    for original, copied in names.items():
        output = output.replace(str(copied), str(original))
    lines = [re.sub(r"^\d+: ", "", line) for line in output.splitlines()]
    return " ".join(line for line in lines if "Error" in line) or " ".join(lines)


def _copy(config: Path, folder: Path) -> dict[Path, Path]:
    """Copy a configuration with the folders that it includes.

    Returns:
        Each folder with the one in its place, and last the file.
    """
    names: dict[Path, Path] = {}
    lines = []
    for line in _text_of(config).splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "include_dir":
            included = folder / f"included-{len(names)}"
            shutil.copytree(value.strip(), included)
            names[Path(value.strip())] = included
            lines.append(f"include_dir {included}")
        elif key == "persistence_location":
            lines.append(f"persistence_location {folder}/")
        else:
            lines.append(line)
    copy = folder / config.name
    write_atomically(copy, "\n".join([*lines, ""]).encode(), durable=False)
    return {**names, config: copy}


def _run(command: list[str], folder: Path | None = None) -> str:
    """Return what a program prints; empty where it cannot be started or hangs."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PROGRAM_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
