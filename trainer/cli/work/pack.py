"""The work of ``pack``: exports and quantizes a run whose photos were found."""

import argparse

from models.manifest import LinePcBudget
from trainer.cli.output import print_json, print_text
from trainer.cli.progress import print_status
from trainer.data.dataset import Dataset
from trainer.run import open_run
from trainer.ship.pack import pack_run


def pack(args: argparse.Namespace, dataset: Dataset) -> int:
    """Write the package of a run, print what is in it, and return the exit code."""
    report = pack_run(
        open_run(args.run),
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
