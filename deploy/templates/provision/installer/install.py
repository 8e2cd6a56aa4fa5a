"""Sets up a PC of the plant from a wheelhouse: `sh install.sh`.

It runs with the Python of the line PC: the standard library and the files beside it are
all that it needs. The packages are in the folder too, or pip fetches them, locked by
their hashes. It is safe to repeat; a newer or an older wheelhouse is installed the same
way. Outbox, evidence, slot and an existing edge.toml are not touched.

::

    /opt/graftline/versions/<version>-<hash>/   one Python environment each
    /opt/graftline/current, previous            links to two of them
    /opt/graftline/bin/graftline                the command
    /etc/graftline/edge.toml, agent.toml, dashboard.toml    written once, from templates
    /etc/graftline/tls/                         certificates, if there are any
    /etc/systemd/system/graftline-*.service     written by `graftline service`
    /var/lib/graftline/                         slot, outbox, evidence
    /var/lib/graftline-dashboard/               history of the dashboard

Exit codes: 0 installed, 2 wrong usage, 8 not installed: what was there is unchanged.
"""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

from .environment import (
    check_files,
    check_platform,
    content_hash,
    make_environment,
    read_manifest,
)
from .files import SetupError, locked, replace_link, step
from .places import Places, remove_old, switch
from .services import (
    EXIT_FAILED,
    check_configs,
    make_agent_config,
    make_configs,
    make_data_folders,
    make_units,
    make_users,
    run_doctor,
    start_services,
)

DEFAULT_PORT = 1883
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")


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
        prog="install.sh",
        description="Set up a PC of the plant: a line PC, a dashboard, or both.",
    )
    parser.add_argument(
        "--station", metavar="SITE/LINE/STATION", help="for a new edge.toml"
    )
    parser.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        default="localhost",
        help="for new configurations; with port 8883 also the certificates that "
        "graftline broker-config makes (default: %(default)s)",
    )
    parser.add_argument(
        "--camera",
        metavar="SOURCE",
        default="v4l2:/dev/video0",
        help="for a new edge.toml, such as rtsp://10.0.0.17/stream "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--dashboard", action="store_true", help="set up the dashboard on this PC too"
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
    if not args.camera.isprintable():
        parser.error("--camera: has a character that is not printable")
    if not USER.fullmatch(args.user):
        parser.error("--user: expected the name of a system user")
    return args


def install(args: argparse.Namespace) -> dict[str, Any]:
    """Set up this PC and return what was done."""
    folder, places = Path(__file__).resolve().parents[1], Places(args.root.absolute())
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
    new_configs = make_configs(args, folder, places)
    try:
        make_environment(environment, folder, manifest)
        check_configs(environment, places)
    except SetupError:
        for config in new_configs:
            config.unlink()
        raise
    make_agent_config(places)
    switch(places, version)
    try:
        units = make_units(args.user, places)
    except SetupError:
        if before and before != version:
            replace_link(places.current, Path("versions") / before)
        raise
    make_users(args, places)
    make_data_folders(args, places)
    services = start_services(places, units, version)
    remove_old(places)
    return {
        "graftline": manifest["graftline"],
        "version": version,
        "before": before,
        "root": str(places.root),
        "config": str(places.config),
        "is_new_config": places.config in new_configs,
        "new_configs": [str(config) for config in new_configs],
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
    for config in report["new_configs"]:
        print(f"written: {config}")
    for line in report["services"]:
        print(line)
    if report["doctor"]:
        print(f"doctor: exit code {report['doctor']['exit_code']}")
        for line in report["doctor"]["lines"]:
            print(f"  {line}")
