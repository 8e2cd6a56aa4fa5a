"""The verb ``service``: daemon and agent as systemd units."""

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
        "--agent-config",
        type=Path,
        metavar="FILE",
        help="configuration of the agent, TOML: sticks, and models desired by MQTT",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write into; it is made"
    )
    parser.add_argument(
        "--user",
        default="graftline",
        metavar="NAME",
        help="system user of both (default %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the units, write nothing"
    )


def run_service(args: argparse.Namespace) -> int:
    """Write the units, or print them.

    Raises:
        ConfigError: See ``deploy.service.make_service``.
    """
    files = make_service(args.config, args.user, args.agent_config)
    if args.dry_run:
        print(files.unit, files.agent, sep="\n", end="")
        return ExitCode.OK
    if args.out is None:
        raise ConfigError(
            "--out is missing.",
            why="The units are written into a folder of your choice.",
            fix="Add --out DIR, or --dry-run to read the units first.",
        )
    unit, agent, sysusers = files.write(args.out)
    print(f"written: {unit}\nwritten: {agent}\nwritten: {sysusers}\nThen, as root:")
    print(f"  systemd-sysusers {sysusers.absolute()}")
    print(f"  cp {unit.absolute()} {agent.absolute()} /etc/systemd/system/")
    print("  systemctl daemon-reload")
    print(f"  systemctl enable --now {unit.name} {agent.name}")
    return ExitCode.OK
