"""The verb ``pack``: makes a package of a run."""

import argparse
from dataclasses import replace
from pathlib import Path

from models.errors import DatasetError
from trainer.cli.arguments import positive_float, positive_int
from trainer.cli.progress import unpack_visibly
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.splitting.split_record import split_options_of
from trainer.run_record import read_record


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
    dataset = _dataset_of_run(args)
    from trainer.cli.work.pack import pack  # noqa: PLC0415 - imports torch

    return pack(args, dataset)


def _dataset_of_run(args: argparse.Namespace) -> Dataset:
    """Return the photos that the run was trained with.

    Raises:
        TrainingError: Not a finished run.
        DatasetError: They are not there, or cannot be read.
    """
    record = read_record(args.run)
    path = args.dataset or Path(record.dataset)
    if not path.exists():
        raise _missing(path, args)
    unpack_visibly(path)
    options = split_options_of(args.run)
    if record.bit_depth:  # also where the record of the split was deleted
        options = replace(options, bit_depth=record.bit_depth)
    try:
        return open_dataset(path, split=options)
    except DatasetError as exc:
        if args.dataset:
            raise
        fix = f"{exc.fix} Where the dataset of the run has moved: --dataset FOLDER"
        raise DatasetError(exc.what, why=exc.why, fix=fix.strip()) from exc


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
