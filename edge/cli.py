"""The verb ``run``: the daemon on the line PC."""

import argparse
import json
import signal
import sys
from pathlib import Path

from edge.config import load_edge_config, render_config
from models.errors import ExitCode


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline run``.

    Args:
        parser: The verb's parser.
    """
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration, TOML"
    )
    parser.add_argument(
        "--exit-at-end",
        action="store_true",
        help="end when all sources have ended and everything is delivered",
    )
    parser.add_argument(
        "--json", action="store_true", help="at the end, print the figures as one JSON"
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print what is understood of the configuration, and end",
    )


def run_run(args: argparse.Namespace) -> int:
    """Run the daemon.

    Args:
        args: From ``add_run_arguments``.

    Returns:
        Exit code: 0, or 130 after Ctrl-C.

    Raises:
        GraftlineError: See ``edge.app.run_daemon``.
    """
    settings = load_edge_config(args.config)
    if args.print_config:
        print(render_config(settings))
        return ExitCode.OK
    from edge.app import run_daemon  # noqa: PLC0415 (--help needs none of it)

    result = run_daemon(
        settings, config=args.config, exits_at_end=args.exit_at_end, tell=_tell
    )
    if args.json:
        print(json.dumps(result.summary))
    if result.error is not None:
        raise result.error
    interrupted = result.signal_number == signal.SIGINT
    return ExitCode.INTERRUPTED if interrupted else ExitCode.OK


def _tell(line: str) -> None:
    """Show a line to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)
