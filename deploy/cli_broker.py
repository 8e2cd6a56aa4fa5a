"""The verb ``broker-config``."""

import argparse
from pathlib import Path

from deploy.broker_files import (
    BrokerPlan,
    TlsFiles,
    render_broker_files,
    write_broker_files,
)
from deploy.cli_shared import print_line
from models.errors import ExitCode

PLAIN_PORT, TLS_PORT = 1883, 8883


def add_broker_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline broker-config``."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the files"
    )
    parser.add_argument(
        "--tls",
        metavar=("CA", "CERT", "KEY"),
        nargs=3,
        type=Path,
        help="PEM files: the authority of the stations' certificates (common name "
        "SITE/LINE/STATION), the broker's certificate and its key",
    )
    parser.add_argument(
        "--crl", metavar="FILE", type=Path, help="revoked certificates, PEM"
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen on; other than this machine only with --tls "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, help=f"TCP port (default: {TLS_PORT}, {PLAIN_PORT} plain)"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=Path("/var/lib/mosquitto"),
        help="folder of the broker's state (default: %(default)s)",
    )
    parser.add_argument(
        "--collector",
        metavar="NAME",
        default="collector",
        help="common name of the dashboard's certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files with another content"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the files and write nothing"
    )


def run_broker_config(args: argparse.Namespace) -> int:
    """Write the files of a mosquitto that serves a plant."""
    tls = TlsFiles(*args.tls) if args.tls else None
    plan = BrokerPlan(
        folder=args.out,
        port=args.port or (TLS_PORT if tls else PLAIN_PORT),
        listen=args.listen,
        data=args.data,
        collector=args.collector,
        tls=tls,
        crl=args.crl,
    )
    texts = render_broker_files(plan)
    outcomes = write_broker_files(texts, is_forced=args.force, is_dry_run=args.dry_run)
    for path, outcome in outcomes.items():
        print_line(f"{outcome}: {path}")
        if args.dry_run:
            print(texts[path])
    return ExitCode.OK
