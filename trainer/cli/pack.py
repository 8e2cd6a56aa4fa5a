"""The verb ``pack``: a run in, a sealed package out."""

import argparse
import sys
from pathlib import Path

from trainer.cli.output import print_json
from trainer.cli.progress import say, unpack_visibly
from trainer.data.dataset import open_dataset
from trainer.data.splitting.split_record import split_options_of
from trainer.run import open_run
from trainer.ship.pack import pack_run


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``graftline pack``."""
    parser.add_argument("run", type=Path, help="from graftline train")
    parser.add_argument("--out", type=Path, required=True, help="package to write")
    parser.add_argument("--dataset", type=Path, help="where the photos are now")
    parser.add_argument("--name", help="of the model (default: the run's)")
    parser.add_argument("--no-int8", action="store_true", help="leave INT8 out")
    parser.add_argument(
        "--calibration", type=Path, help="folder of training photos for INT8's ranges"
    )
    parser.add_argument("--json", action="store_true", help="outcome as JSON")


def run_pack(args: argparse.Namespace) -> int:
    """Export, quantize and seal a package."""
    run = open_run(args.run)
    place = args.dataset or Path(run.record.dataset)
    unpack_visibly(place)
    dataset = open_dataset(place, split=split_options_of(run.folder))
    report = pack_run(
        run,
        dataset,
        args.out,
        on_progress=say,
        int8=not args.no_int8,
        name=args.name,
        calibration_folder=args.calibration,
    )
    if args.json:
        print_json(report.as_json())
    else:
        sys.stdout.write(f"{report}\n")
    return 0
