"""The verb ``wheelhouse``: all that a line PC needs, to be carried there."""

import argparse
import platform
import sys
from pathlib import Path

from deploy.provision.platforms import parse_platform
from deploy.provision.wheelhouse import pack_wheelhouse
from models.errors import ExitCode
from models.shown_text import on_one_line

WHEELHOUSE = "graftline-wheelhouse"


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
        default=Path(WHEELHOUSE),
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
    print(f"fetching the packages for {target}", file=sys.stderr, flush=True)
    manifest = pack_wheelhouse(target, args.out, args.wheel)
    megabytes = sum(file.size_bytes for file in manifest.files.values()) / 1e6
    print(
        on_one_line(
            f"packed: {args.out}, {len(manifest.files)} files, {megabytes:.0f} MB, "
            f"Graftline {manifest.graftline} for {target}"
        )
    )
    print("next: graftline provision TARGET, or on the line PC: sudo sh install.sh")
    return ExitCode.OK
