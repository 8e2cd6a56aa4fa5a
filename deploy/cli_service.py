"""The verb ``service``: the daemon as a systemd unit."""

import argparse
from pathlib import Path

from deploy.service import make_service
from models.errors import ConfigError, ExitCode


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline service``."""
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="configuration of the daemon, TOML",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write into; it is made"
    )
    parser.add_argument(
        "--user",
        default="graftline",
        metavar="NAME",
        help="system user of the daemon (default %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the unit, write nothing"
    )


def run_service(args: argparse.Namespace) -> int:
    """Write the unit, or print it.

    Raises:
        ConfigError: See ``deploy.service.make_service``.
    """
    files = make_service(args.config, args.user)
    if args.dry_run:
        print(files.unit, end="")
        return ExitCode.OK
    if args.out is None:
        raise ConfigError(
            "--out is missing.",
            why="The unit is written into a folder of your choice.",
            fix="Add --out DIR, or --dry-run to read the unit first.",
        )
    unit, sysusers = files.write(args.out)
    print(f"written: {unit}\nwritten: {sysusers}\nThen, as root:")
    print(f"  systemd-sysusers {sysusers.absolute()}")
    print(f"  cp {unit.absolute()} /etc/systemd/system/")
    print(f"  systemctl daemon-reload && systemctl enable --now {unit.name}")
    return ExitCode.OK
