"""The verb ``service``: daemon with agent, and the dashboard, as systemd units."""

import argparse
from pathlib import Path

from deploy.service import (
    DashboardServiceFiles,
    ServiceFiles,
    make_dashboard_service,
    make_service,
)
from models.errors import ConfigError, ExitCode

INSTALLED = Path("/etc/systemd/system")
USER, DASHBOARD_USER = "graftline", "graftline-dashboard"


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline service``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration of the daemon, TOML: units of daemon and agent",
    )
    parser.add_argument(
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
    if args.config is None and args.dashboard is None:
        raise ConfigError(
            "--config and --dashboard are missing.",
            why="A unit is written for a configured program.",
            fix="Give --config edge.toml, --dashboard dashboard.toml, or both.",
        )
    _refuse_what_does_not_fit(args)
    files: list[ServiceFiles | DashboardServiceFiles]
    files = [*_of_daemon(args), *_of_dashboard(args)]
    if args.dry_run:
        print("\n".join(each.unit_texts() for each in files), end="")
        return ExitCode.OK
    out = _out(args)
    _print_next_steps([path for each in files for path in each.write(out)])
    return ExitCode.OK


def _refuse_what_does_not_fit(args: argparse.Namespace) -> None:
    if args.config is None and args.agent_config is not None:
        raise ConfigError(
            "--agent-config does not go without --config.",
            why="The agent installs models on a line PC.",
            fix="Give --config edge.toml too.",
        )
    if args.user and args.config and args.dashboard:
        raise ConfigError(
            "--user does not go with both --config and --dashboard.",
            why="Daemon and dashboard run as users of their own.",
            fix="Write the units with two commands.",
        )


def _of_daemon(args: argparse.Namespace) -> list[ServiceFiles]:
    if args.config is None:
        return []
    return [make_service(args.config, args.user or USER, args.agent_config)]


def _of_dashboard(args: argparse.Namespace) -> list[DashboardServiceFiles]:
    if args.dashboard is None:
        return []
    return [make_dashboard_service(args.dashboard, args.user or DASHBOARD_USER)]


def _out(args: argparse.Namespace) -> Path:
    out: Path | None = args.out
    if out is None:
        raise ConfigError(
            "--out is missing.",
            why="The units are written into a folder of your choice.",
            fix="Add --out DIR, or --dry-run to read the units first.",
        )
    return out


def _print_next_steps(paths: list[Path]) -> None:
    units = [path for path in paths if path.suffix == ".service"]
    users = " ".join(str(path.absolute()) for path in paths if path not in units)
    for path in paths:
        print(f"written: {path}")
    print("Then, as root:")
    print(f"  systemd-sysusers {users}")
    if units[0].parent.absolute() != INSTALLED:
        copied = " ".join(str(unit.absolute()) for unit in units)
        print(f"  cp {copied} {INSTALLED}/")
    print("  systemctl daemon-reload")
    print(f"  systemctl enable --now {' '.join(unit.name for unit in units)}")
