"""Sets up a line PC from a wheelhouse, without a network: `sh install.sh`.

This file runs alone, with the Python of the line PC: the standard library is all that
it needs. It is safe to repeat; a newer or an older wheelhouse is installed the same
way. Outbox, evidence, slot and an existing edge.toml are not touched.

::

    /opt/graftline/versions/<version>-<hash>/   one Python environment each
    /opt/graftline/current, previous            links to two of them
    /opt/graftline/bin/graftline                the command
    /etc/graftline/edge.toml, agent.toml        written once, from templates
    /etc/systemd/system/graftline-*.service     written by `graftline service`
    /var/lib/graftline/                         slot, outbox, evidence

Exit codes: 0 installed, 2 wrong usage, 8 not installed: what was there is unchanged.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import pwd
import re
import shutil
import string
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
EXIT_FAILED = 8
DEFAULT_PORT = 1883
STAMP = "installed.json"  # the last file of an environment: it is whole
STICKS = "/media"  # where sticks are mounted
SPACE_FACTOR = 5  # of the wheels: packed and unpacked
VERBS = ("run", "doctor", "agent", "flash")
RUN_LIMIT_S, DOCTOR_LIMIT_S = 900, 120
MANIFEST_MAX_BYTES = 1 << 20
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
PUBLIC_KEY = re.compile(
    r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?"
)


class SetupError(Exception):
    """The line PC cannot be set up."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix


class Places:
    """Where everything goes.

    Args:
        root: ``/``, or another folder: then neither users nor services are made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.is_system = root == Path("/")
        self.prefix = root / "opt/graftline"
        self.current = self.prefix / "current"  # link to the environment in force
        self.previous = self.prefix / "previous"  # link to the one before
        self.python = self.current / "bin/python"
        self.config = root / "etc/graftline/edge.toml"
        self.agent_config = root / "etc/graftline/agent.toml"
        self.units = root / "etc/systemd/system"
        self.sysusers = root / "etc/sysusers.d/graftline.conf"
        self.data = root / "var/lib/graftline"


def main() -> int:
    """Set up this PC and return the exit code."""
    args = read_arguments()
    os.umask(0o022)  # root's own may hide the programs from the service user
    try:
        report = install(args)
    except SetupError as error:
        step(f"error: {error.what}\n  {error.why}\n  Fix: {error.fix}")
        return EXIT_FAILED
    except OSError as error:
        step(f"error: {error}\n  Fix: correct that, and run this again.")
        return EXIT_FAILED
    if args.json:
        print(json.dumps(report))
    else:
        print_report(report)
    return 0


def read_arguments() -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(
        prog="install.sh", description="Set up a line PC, without a network."
    )
    parser.add_argument(
        "--station", metavar="SITE/LINE/STATION", help="for a new edge.toml"
    )
    parser.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        default="localhost",
        help="for a new edge.toml (default: %(default)s)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="edge.toml to use if there is none"
    )
    parser.add_argument(
        "--user", default="graftline", help="service user (default: %(default)s)"
    )
    parser.add_argument(
        "--ssh-key",
        type=Path,
        metavar="FILE",
        help="public key that may flash over ssh as the service user",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="set up below this folder, without user and services (default: /)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON on stdout")
    args = parser.parse_args()
    args.names = args.station.split("/") if args.station else []
    if len(args.names) not in {0, 3} or not all(map(NAME.fullmatch, args.names)):
        parser.error("--station: expected SITE/LINE/STATION of a-z, 0-9 and '-'")
    host, _, port = args.broker.rpartition(":")
    is_with_port = bool(host) and port.isdecimal()
    args.host = host if is_with_port else args.broker
    args.port = int(port) if is_with_port else DEFAULT_PORT
    if not HOST.fullmatch(args.host) or not 0 < args.port < 1 << 16:
        parser.error("--broker: expected HOST or HOST:PORT")
    if not USER.fullmatch(args.user):
        parser.error("--user: expected the name of a system user")
    return args


def install(args: argparse.Namespace) -> dict[str, Any]:
    """Set up this PC and return what was done."""
    folder, places = Path(__file__).resolve().parent, Places(args.root.absolute())
    if places.is_system and os.geteuid():
        raise SetupError(
            "this needs root.",
            "It makes a user, folders below /opt, /etc and /var, and services.",
            "sudo sh install.sh",
        )
    manifest = read_manifest(folder)
    check_platform(manifest)
    check_files(folder, manifest)
    places.prefix.mkdir(parents=True, exist_ok=True)
    with locked(places.prefix / ".lock"):
        return install_locked(args, folder, places, manifest)


def install_locked(
    args: argparse.Namespace, folder: Path, places: Places, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Do the work; the lock is held."""
    before = places.current.readlink().name if places.current.is_symlink() else ""
    version = f"{manifest['graftline']}-{content_hash(manifest)[:12]}"
    environment = places.prefix / "versions" / version
    is_new_config = make_config(args, folder, places)
    try:
        make_environment(environment, folder, manifest)
        check_config(environment, places.config)
    except SetupError:
        if is_new_config:
            places.config.unlink()
        raise
    make_agent_config(places)
    switch(places, version)
    try:
        units = make_units(args.user, places)
    except SetupError:
        if before and before != version:
            replace_link(places.current, Path("versions") / before)
        raise
    make_user(args, places)
    make_data_folder(args, places)
    services = start_services(places, units, version)
    remove_old(places)
    return {
        "graftline": manifest["graftline"],
        "version": version,
        "before": before,
        "root": str(places.root),
        "config": str(places.config),
        "is_new_config": is_new_config,
        "units": units,
        "services": services,
        "doctor": run_doctor(args.user, places),
    }


def print_report(report: dict[str, Any]) -> None:
    """Print what was done, and what is left to do."""
    outcome = "set up already" if report["before"] == report["version"] else "set up"
    print(f"{outcome}: Graftline {report['graftline']} in {report['root']}")
    if report["before"] not in {"", report["version"]}:
        print(f"before: {report['before']}")
    if report["is_new_config"]:
        print(f"written: {report['config']}; now set the cameras in it")
    for line in report["services"]:
        print(line)
    print(f"doctor: exit code {report['doctor']['exit_code']}")
    for line in report["doctor"]["lines"]:
        print(f"  {line}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of this wheelhouse."""
    path = folder / "manifest.json"
    try:
        with path.open("rb") as file:
            manifest = dict(json.loads(file.read(MANIFEST_MAX_BYTES)))
        version = manifest["schema_version"]
        parts = [Path(name).parts for name in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SetupError(
            f"{path}: cannot be read.", str(exc), "Copy the wheelhouse again."
        ) from exc
    if version != SCHEMA_VERSION or any({"/", ".."} & {*part} for part in parts):
        raise SetupError(
            f"{path}: cannot be used.",
            f"Expected schema {SCHEMA_VERSION}, and only files of this folder.",
            "Make the wheelhouse again.",
        )
    return manifest


def check_platform(manifest: dict[str, Any]) -> None:
    """Refuse a wheelhouse for another Python, processor or C library."""
    glibc = os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.0"
    here = {
        "Python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "processor": platform.machine(),
    }
    wanted = {"Python": manifest["python"], "processor": manifest["machine"]}
    faults = [
        f"{k} {wanted[k]}, this PC has {here[k]}" for k in here if here[k] != wanted[k]
    ]
    if int(glibc.rpartition(".")[2]) < manifest["glibc"]:
        faults.append(f"glibc 2.{manifest['glibc']} or newer, this PC has {glibc}")
    if faults:
        platform_tag = f"manylinux_2_{glibc.rpartition('.')[2]}_{here['processor']}"
        raise SetupError(
            "this wheelhouse is for another kind of PC.",
            f"It is for {'; '.join(faults)}.",
            f"graftline wheelhouse --for {here['Python']},{platform_tag}",
        )


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Refuse a wheelhouse with a file that is missing or damaged."""
    wrong = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file() or hash_of(path) != entry["sha256"]:
            wrong.append(name)
    if wrong:
        raise SetupError(
            f"{folder}: the wheelhouse is damaged.",
            f"Missing, or with another hash: {', '.join(wrong[:3])}.",
            "Copy it again.",
        )


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(manifest: dict[str, Any]) -> str:
    """Return the hash of all files of a wheelhouse."""
    files = sorted((name, entry["sha256"]) for name, entry in manifest["files"].items())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one installer run at a time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise SetupError(
            "another installer is running.", f"It holds {path}.", "Wait until it ends."
        ) from exc
    else:
        yield
    finally:
        os.close(descriptor)


def make_environment(environment: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Make a Python environment from the wheels, if it is not whole already."""
    if (environment / STAMP).is_file():
        step(f"environment: {environment.name} is there")
        return
    step(f"environment: making {environment.name}")
    if environment.exists():  # left by an installer that was interrupted
        shutil.rmtree(environment)
    environment.parent.mkdir(exist_ok=True)
    wheels = [folder / name for name in manifest["files"] if name.endswith(".whl")]
    needed = SPACE_FACTOR * sum(wheel.stat().st_size for wheel in wheels)
    free = shutil.disk_usage(environment.parent).free
    if free < needed:
        raise SetupError(
            f"{environment.parent}: the disk is too full.",
            f"{free >> 20} MiB are free, expected {needed >> 20} MiB.",
            "Free space, and run this again.",
        )
    run(sys.executable, "-I", "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    pip = next(wheel for wheel in wheels if wheel.name.startswith("pip-")) / "pip"
    packages = [wheel for wheel in wheels if wheel != pip.parent]
    options = (
        "--isolated",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-cache-dir",
        "--no-input",
    )
    run(python, pip, "install", *options, *packages)
    run(python, pip, "check")
    for verb in VERBS:  # their modules import all packages that a line PC needs
        run(python, "-P", "-m", "graftline", verb, "--help")
    os.sync()
    write(environment / STAMP, json.dumps({"files": manifest["files"]}), 0o644)


def make_config(args: argparse.Namespace, folder: Path, places: Places) -> bool:
    """Write edge.toml if there is none; return whether it was written."""
    places.config.parent.mkdir(parents=True, exist_ok=True)
    if places.config.exists():
        step(f"configuration: {places.config} is left as it is")
        return False
    if args.config:
        text = args.config.read_text("utf-8")
    elif not args.names:
        raise SetupError(
            "--station is missing.",
            f"There is no {places.config}, and it names the station.",
            "Add --station SITE/LINE/STATION, or --config FILE.",
        )
    else:
        site, line, station = args.names
        template = string.Template((folder / "edge.toml").read_text("utf-8"))
        text = template.substitute(
            site=site,
            line=line,
            station=station,
            data=places.data,
            broker_host=args.host,
            broker_port=args.port,
        )
    write(places.config, text, 0o640)
    return True


def check_config(environment: Path, config: Path) -> None:
    """Refuse a version that cannot read the configuration, before it is in force."""
    command = ("-P", "-m", "graftline", "run", "--config", config, "--print-config")
    run(environment / "bin" / "python", *command)


def make_agent_config(places: Places) -> None:
    """Write agent.toml with the slot of edge.toml, if there is none."""
    if not places.agent_config.exists():
        settings = tomllib.loads(places.config.read_text("utf-8"))
        slot = places.config.parent / settings["model"]["slot"]
        lines = [f"slot = {json.dumps(str(slot))}", f'watch = ["{STICKS}"]']
        write(places.agent_config, "\n".join(lines) + "\n", 0o640)


def switch(places: Places, version: str) -> None:
    """Put an environment in force; the one before stays as ``previous``."""
    target = Path("versions") / version
    if places.current.is_symlink() and places.current.readlink() != target:
        replace_link(places.previous, places.current.readlink())
    replace_link(places.current, target)
    command = places.prefix / "bin" / "graftline"
    command.parent.mkdir(exist_ok=True)
    replace_link(command, Path("../current/bin/graftline"))
    shown = places.root / "usr/local/bin/graftline"
    if not shown.exists() or shown.is_symlink():
        shown.parent.mkdir(parents=True, exist_ok=True)
        replace_link(shown, command)


def make_units(user: str, places: Places) -> list[str]:
    """Write the units with `graftline service`; return the names of the services."""
    command = ("-P", "-m", "graftline", "service", "--config", places.config)
    with tempfile.TemporaryDirectory(prefix="graftline-units-") as temporary:
        options = ("--user", user, "--agent-config", places.agent_config)
        run(places.python, *command, *options, "--out", temporary)
        places.units.mkdir(parents=True, exist_ok=True)
        places.sysusers.parent.mkdir(parents=True, exist_ok=True)
        units = sorted(Path(temporary).glob("*.service"))
        for unit in units:
            write(places.units / unit.name, unit.read_text("utf-8"), 0o644)
        for file in Path(temporary).glob("*.conf"):
            write(places.sysusers, file.read_text("utf-8"), 0o644)
    return [unit.name for unit in units]


def make_user(args: argparse.Namespace, places: Places) -> None:
    """Make the service user, if it is not there."""
    if not places.is_system:
        return
    if not find_user(args.user):
        step(f"user: making {args.user}")
        run("systemd-sysusers", places.sysusers)
    if args.ssh_key:  # sysusers gives a shell that refuses every command
        run("usermod", "--shell", "/bin/sh", args.user)


def make_data_folder(args: argparse.Namespace, places: Places) -> None:
    """Make the folder of slot, outbox and evidence; what is in it is not touched."""
    user = find_user(args.user) if places.is_system else None
    places.data.mkdir(parents=True, exist_ok=True)
    own(places.data, user, 0o700)
    own(places.config.parent, user, 0o750, is_of_root=True)
    for file in (places.config, places.agent_config):
        own(file, user, 0o640, is_of_root=True)
    if args.ssh_key:
        key = args.ssh_key.read_text("utf-8").strip()
        if not PUBLIC_KEY.fullmatch(key):
            raise SetupError(
                f"{args.ssh_key}: is no public key.",
                "Expected one line, as in ~/.ssh/id_ed25519.pub.",
                "Give that file.",
            )
        keys = places.data / ".ssh" / "authorized_keys"
        keys.parent.mkdir(exist_ok=True)
        lines = keys.read_text("utf-8").splitlines() if keys.is_file() else []
        line = f"restrict {key}"
        write(keys, "\n".join(dict.fromkeys([*lines, line])) + "\n", 0o600)
        own(keys.parent, user, 0o700)
        own(keys, user, 0o600)


def own(
    path: Path,
    user: pwd.struct_passwd | None,
    mode: int,
    *,
    is_of_root: bool = False,
) -> None:
    """Set owner and mode; a link that was planted there is not followed."""
    if path.is_symlink():
        raise SetupError(
            f"{path}: is a link, expected a file or folder.",
            "Its target would get another owner.",
            "Remove the link.",
        )
    if user:
        os.chown(path, 0 if is_of_root else user.pw_uid, user.pw_gid)
    path.chmod(mode)


def start_services(places: Places, units: Sequence[str], version: str) -> list[str]:
    """Enable the services, and restart those that run; return what was done.

    The version that they were started with is on the disk: an installer that was killed
    before this step is repeated.
    """
    if not places.is_system or not Path("/run/systemd/system").is_dir():
        return ["services: systemd does not run here, nothing was started"]
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", *units)
    started = places.prefix / "started"
    is_changed = not started.is_file() or started.read_text("utf-8") != version
    lines = []
    for unit in units:
        is_active = not subprocess.call(["systemctl", "is-active", "--quiet", unit])
        if is_active and is_changed:
            run("systemctl", "restart", unit)
            lines.append(f"{unit}: restarted")
        elif is_active:
            lines.append(f"{unit}: runs")
        else:
            lines.append(f"{unit}: enabled; start it with: systemctl start {unit}")
    write(started, version, 0o644)
    return lines


def remove_old(places: Places) -> None:
    """Remove the environments that no link names."""
    kept = {
        link.readlink().name
        for link in (places.current, places.previous)
        if link.is_symlink()
    }
    for environment in (places.prefix / "versions").iterdir():
        if environment.name not in kept:
            (environment / STAMP).unlink(missing_ok=True)
            shutil.rmtree(environment)


def run_doctor(user: str, places: Places) -> dict[str, Any]:
    """Run `graftline doctor` as the service user; its findings are not a failure."""
    command = [places.python, "-P", "-m", "graftline", "doctor", "--config"]
    command += [places.config]
    if places.is_system and find_user(user):
        command = ["runuser", "-u", user, "--", *command]
    try:
        answer = answer_of(list(map(str, command)), DOCTOR_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return {"exit_code": EXIT_FAILED, "lines": [str(exc)]}
    lines = (answer.stdout + answer.stderr).splitlines()
    return {"exit_code": answer.returncode, "lines": lines}


def find_user(name: str) -> pwd.struct_passwd | None:
    """Return a user of this PC; None if there is none of that name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def run(*command: object) -> None:
    """Run a program; its failure ends the installation."""
    words = list(map(str, command))
    try:
        answer = answer_of(words, RUN_LIMIT_S)
        reason = answer.stderr.strip() or answer.stdout.strip() or "It printed nothing."
        is_failure = answer.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as exc:
        is_failure, reason = True, str(exc)
    if is_failure:
        raise SetupError(
            f"{' '.join(words[:6])} failed.",
            " ".join(reason.split())[-600:],
            "Correct that, and run this again; what was there is in force.",
        )


def answer_of(words: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; settings of the user's own Python do not reach it."""
    own = ("PYTHON", "PIP_", "VIRTUAL_ENV")
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
        cwd="/",
        env={k: v for k, v in os.environ.items() if not k.startswith(own)},
    )


def replace_link(link: Path, target: Path) -> None:
    """Point a link at a target, by one rename."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def write(path: Path, text: str, mode: int) -> None:
    """Replace a file by one rename; a link of its name is replaced too."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def step(text: str) -> None:
    """Report a step on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
