"""The verb ``pack``: makes a package of a run."""

import argparse
from dataclasses import replace
from pathlib import Path

from models.errors import DatasetError
from models.manifest import LinePcBudget
from trainer.cli.arguments import positive_float, positive_int
from trainer.cli.output import print_json, print_text
from trainer.cli.progress import print_status, unpack_visibly
from trainer.data.dataset import open_dataset
from trainer.data.splitting.split_record import split_options_of
from trainer.run import open_run
from trainer.ship.pack import pack_run


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``graftline pack``."""
    parser.add_argument("run", type=Path, help="folder of a run of graftline train")
    parser.add_argument("--out", type=Path, required=True, help="package to write")
    parser.add_argument(
        "--dataset", type=Path, help="dataset of the run, where it has moved"
    )
    parser.add_argument("--name", help="name of the model (default: that of the run)")
    parser.add_argument(
        "--no-int8", action="store_true", help="leave the INT8 variants out"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        help="folder of training photos to calibrate INT8 with (default: a sample)",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=positive_float,
        metavar="MS",
        help="latency p99 of a frame above which a line PC refuses a variant",
    )
    parser.add_argument(
        "--max-memory-mib",
        type=positive_int,
        metavar="MIB",
        help="memory above which a line PC refuses a variant",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_pack(args: argparse.Namespace) -> int:
    """Export and quantize a run, and write the package."""
    run = open_run(args.run)
    path = args.dataset or Path(run.record.dataset)
    if not path.exists():
        raise _missing(path, args)
    unpack_visibly(path)
    options = split_options_of(run.folder)
    if run.record.bit_depth:  # also where the record of the split was deleted
        options = replace(options, bit_depth=run.record.bit_depth)
    try:
        dataset = open_dataset(path, split=options)
    except DatasetError as exc:
        if args.dataset:
            raise
        fix = f"{exc.fix} Where the dataset of the run has moved: --dataset FOLDER"
        raise DatasetError(exc.what, why=exc.why, fix=fix.strip()) from exc
    report = pack_run(
        run,
        dataset,
        args.out,
        on_progress=print_status,
        int8=not args.no_int8,
        name=args.name,
        calibration_folder=args.calibration,
        budget=_budget(args),
    )
    if args.json:
        print_json(report.as_json())
    else:
        for line in report.lines():
            print_text(line)
    return 0


def _budget(args: argparse.Namespace) -> LinePcBudget | None:
    if args.max_latency_ms is None and args.max_memory_mib is None:
        return None
    memory = args.max_memory_mib
    return LinePcBudget(
        latency_ms_p99=args.max_latency_ms,
        memory_bytes=None if memory is None else memory << 20,
    )


def _missing(path: Path, args: argparse.Namespace) -> DatasetError:
    """Return the error for a dataset that is not where it was trained from."""
    if args.dataset:
        return DatasetError(
            f"--dataset {path}: there is nothing.",
            why="No folder and no zip of this name exists.",
            fix="Give the folder or zip that the run was trained with.",
        )
    return DatasetError(
        f"{path}: the dataset of this run is not there.",
        why="It was moved, renamed or removed after the training, or its disk is not "
        "mounted. A package is measured on its photos.",
        fix=f"Give its place: graftline pack {args.run} --out {args.out} --dataset "
        "FOLDER",
    )
