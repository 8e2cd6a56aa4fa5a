"""The verb ``service``: daemon and agent, or the dashboard, as systemd units."""

import argparse
from pathlib import Path

from deploy.service import make_dashboard_service, make_service
from models.errors import ConfigError, ExitCode

USER, DASHBOARD_USER = "graftline", "graftline-dashboard"


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline service``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration of the daemon, TOML",
    )
    which.add_argument(
        "--dashboard",
        type=Path,
        metavar="FILE",
        help="configuration of the dashboard, TOML: its unit",
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
        metavar="NAME",
        help=f"system user (default {USER}, for the dashboard {DASHBOARD_USER})",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the units, write nothing"
    )


def run_service(args: argparse.Namespace) -> int:
    """Write the units, or print them.

    Raises:
        ConfigError: See ``deploy.service.make_service``.
    """
    if args.dashboard is not None:
        return _run_dashboard(args)
    files = make_service(args.config, args.user or USER, args.agent_config)
    if args.dry_run:
        print(files.unit, files.agent, sep="\n", end="")
        return ExitCode.OK
    unit, agent, sysusers = files.write(_out(args))
    _print_next_steps((unit, agent), sysusers)
    return ExitCode.OK


def _run_dashboard(args: argparse.Namespace) -> int:
    if args.agent_config is not None:
        raise ConfigError(
            "--agent-config does not go with --dashboard.",
            why="The agent installs models on a line PC.",
            fix="Give it with --config.",
        )
    files = make_dashboard_service(args.dashboard, args.user or DASHBOARD_USER)
    if args.dry_run:
        print(files.unit, end="")
        return ExitCode.OK
    unit, sysusers = files.write(_out(args))
    _print_next_steps((unit,), sysusers)
    return ExitCode.OK


def _out(args: argparse.Namespace) -> Path:
    out: Path | None = args.out
    if out is None:
        raise ConfigError(
            "--out is missing.",
            why="The units are written into a folder of your choice.",
            fix="Add --out DIR, or --dry-run to read the units first.",
        )
    return out


def _print_next_steps(units: tuple[Path, ...], sysusers: Path) -> None:
    for path in (*units, sysusers):
        print(f"written: {path}")
    print("Then, as root:")
    print(f"  systemd-sysusers {sysusers.absolute()}")
    copied = " ".join(str(unit.absolute()) for unit in units)
    print(f"  cp {copied} /etc/systemd/system/")
    print("  systemctl daemon-reload")
    print(f"  systemctl enable --now {' '.join(unit.name for unit in units)}")
