"""The verbs ``wheelhouse`` and ``provision``: setting up line PCs without Internet."""

import argparse
import platform
import shlex
import sys
from pathlib import Path

from deploy.cli_shared import add_json_argument, print_json, print_line, print_step
from deploy.provision.platforms import parse_platform
from deploy.provision.provisioning import (
    FOLDER,
    InstallerOptions,
    ProvisionReport,
    provision,
)
from deploy.provision.wheelhouse import pack_wheelhouse
from deploy.target import SshTarget, UsbTarget, parse_target
from models.counted import counted
from models.errors import ExitCode


def add_wheelhouse_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline wheelhouse``."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]},{platform.machine()}"
    parser.add_argument(
        "--for",
        dest="platform",
        metavar="PYTHON,PLATFORM",
        default=here,
        help="of the line PCs, for example 3.11,x86_64 (default: this machine's)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path(FOLDER),
        help="folder to write (default: %(default)s)",
    )
    parser.add_argument(
        "--wheel",
        metavar="FILE",
        type=Path,
        help="wheel of Graftline (default: made from the one that runs here)",
    )


def run_wheelhouse(args: argparse.Namespace) -> int:
    """Pack a wheelhouse."""
    target = parse_platform(args.platform)
    print_step(f"fetching the packages for {target}")
    manifest = pack_wheelhouse(target, args.out, args.wheel)
    megabytes = sum(file.size_bytes for file in manifest.files.values()) / 1e6
    print_line(
        f"packed: {args.out}, {counted(len(manifest.files), 'file')}, "
        f"{megabytes:.0f} MB, Graftline {manifest.graftline} for {target}"
    )
    print("next: graftline provision TARGET, or on the line PC: sudo sh install.sh")
    return ExitCode.OK


def add_provision_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline provision``."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="ssh://[user@]host[:port]; usb:DIR, a stick; local:DIR, a folder of this "
        "machine in the place of /",
    )
    parser.add_argument(
        "--wheelhouse",
        metavar="DIR",
        type=Path,
        default=Path(FOLDER),
        help="what graftline wheelhouse has packed (default: %(default)s)",
    )
    parser.add_argument(
        "--station", metavar="SITE/LINE/STATION", help="for a new edge.toml"
    )
    parser.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        help="for new configurations (localhost); with port 8883 also the certificates "
        "that graftline broker-config makes",
    )
    parser.add_argument(
        "--camera", metavar="SOURCE", help="for a new edge.toml (v4l2:/dev/video0)"
    )
    parser.add_argument(
        "--dashboard", action="store_true", help="set up the dashboard there too"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="edge.toml of a PC that has none"
    )
    parser.add_argument(
        "--user", metavar="NAME", help="service user of the line PC (graftline)"
    )
    parser.add_argument(
        "--ssh-key",
        metavar="FILE",
        type=Path,
        help="public key that may flash the line PC as its service user",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default="",
        help="with ssh://: set up below this folder, without user and services",
    )
    add_json_argument(parser)


def run_provision(args: argparse.Namespace) -> int:
    """Set up a line PC, or update it."""
    target = parse_target(args.target)
    words = [
        word
        for option in ("station", "broker", "camera", "user")
        if (value := getattr(args, option))
        for word in (f"--{option}", value)
    ]
    words += ["--dashboard"] if args.dashboard else []
    root = args.root if isinstance(target, SshTarget) else ""
    options = InstallerOptions(tuple(words), args.config, args.ssh_key, root)
    report = provision(args.wheelhouse, target, options, print_step)
    if report is None:
        folder = target.folder / FOLDER if isinstance(target, UsbTarget) else FOLDER
        command = f"sudo sh {shlex.join([f'{FOLDER}/install.sh', *words])}"
        print_line(f"written: {folder}; on the line PC: {command}")
    elif args.json:
        print_json(report)
    else:
        _print_report(report)
    return ExitCode.OK


def _print_report(report: ProvisionReport) -> None:
    is_same = report.before == report.version
    outcome = "nothing to do" if is_same else "set up"
    lines = [f"{outcome}: {report.target} has Graftline {report.version}"]
    if report.before and not is_same:
        lines.append(f"before: {report.before}")
    if report.is_new_config:
        lines.append(f"written: {report.config}; now set the cameras in it")
    lines += report.services
    if report.doctor:
        lines.append(f"doctor: exit code {report.doctor.get('exit_code')}")
    lines += [f"  {line}" for line in report.doctor.get("lines", ())]
    for line in lines:
        print_line(str(line))
