"""The studies of ``train``: further trainings, and what their results show.

``--folds`` lists labels that look wrong, ``--learning-curve`` estimates how many more
photos are needed, ``--compare scratch`` measures what the pretrained weights gain.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from models.counted import counted
from models.files import write_atomically
from trainer.cli.progress import TerminalObserver, print_status
from trainer.data.dataset import Dataset
from trainer.evaluation.text import share_text
from trainer.evaluation.thresholds.parts import PhotoOrigins
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.label_errors.export import FOLDER_NAME as SUSPECTS
from trainer.label_errors.export import write_label_issues
from trainer.label_errors.issues import count_likely_wrong, find_label_issues
from trainer.learning_curve.extrapolation import extrapolate, extrapolation_text
from trainer.learning_curve.series import measured_series
from trainer.report.comparison import (
    comparison_document,
    comparison_text,
    scratch_section,
)
from trainer.report.document import Study
from trainer.report.label_issues import (
    CrossValidation,
    folds_section,
    label_issues_section,
)
from trainer.report.learning_curve import (
    learning_curve_document,
    learning_curve_section,
    unmeasured_text,
)
from trainer.run_record import unwritable
from trainer.study import folds
from trainer.study.fold_thresholds import choose_on_folds
from trainer.study.folds import divide_photos
from trainer.study.learning_curve import PARTS, nested_photos, train_curve
from trainer.study.pooled import pooled_metrics
from trainer.study.scratch import refuse_random_start, train_from_scratch
from trainer.study.trainings import ObserverFactory

RESULT_NAME = "result.json"


def prepare_studies(
    args: argparse.Namespace,
    dataset: Dataset,
    options: TrainOptions,
    report: Callable[[str], None],
) -> None:
    """Refuse studies that cannot be made, before any training; report the effort.

    Raises:
        DatasetError: Too few photos with a defect.
        ConfigError: There is nothing to compare.
    """
    more = []
    if args.folds:
        divide_photos(dataset, args.folds, options.seed)
        more.append((f"--folds {args.folds}", int(args.folds)))
    if args.learning_curve:
        nested_photos(dataset, options.seed)
        more.append(("--learning-curve", PARTS - 1))
    if args.compare:
        refuse_random_start(options)
        more.append(("--compare scratch", 1))
    if not more:
        return
    shares = ", ".join(f"{number} for {option}" for option, number in more)
    total = 1 + sum(number for _, number in more)
    minutes = ""
    if options.minutes is not None:
        minutes = (
            f"; --minutes {options.minutes:g} is for each of them, about "
            f"{options.minutes * total:g} in all"
        )
    report(
        f"{counted(total, 'training')} of about the same length: the run, {shares}"
        f"{minutes}"
    )


def run_studies(
    args: argparse.Namespace, dataset: Dataset, options: TrainOptions, outcome: Outcome
) -> Iterator[tuple[Study, Outcome]]:
    """Yield the result of each study when it is finished, and the run as it is then.

    Folds choose the threshold of the run again. The other studies compare it with
    trainings that have no folds, at the thresholds of its own held-out photos.

    Raises:
        TrainingError: Other trainings are there, or the folder cannot be written.
    """
    final = outcome
    if args.folds:
        study, final = _cross_training(dataset, options, outcome, args.folds)
        yield study, final
    if args.learning_curve:
        yield _learning_curve(dataset, options, outcome, args.goal_recall), final
    if args.compare:
        yield _from_scratch(dataset, options, outcome), final


def _learning_curve(
    dataset: Dataset, options: TrainOptions, outcome: Outcome, goal: float
) -> Study:
    sizes = [len(subset) for subset in nested_photos(dataset, options.seed)]
    names = [f"learning curve, {counted(size, 'photo')}" for size in sizes]
    observe = _timed_observers(names, outcome)
    measured = train_curve(dataset, options, outcome, observe)
    record = outcome.run.record
    series = measured_series(measured, outcome.photos, record.labels, record.seed)
    found = [extrapolate(one, goal, record.seed) for one in series]
    steps = record.schedule.steps if record.schedule else 0
    known = {one.label for one in series}
    unmeasured = [label for label in record.labels if label not in known]
    lines = [*map(extrapolation_text, found), *map(unmeasured_text, unmeasured)]
    return Study(
        "learning_curve",
        (learning_curve_section(found, steps, unmeasured),),
        learning_curve_document(found, steps, unmeasured),
        tuple(lines),
    )


def _from_scratch(dataset: Dataset, options: TrainOptions, outcome: Outcome) -> Study:
    observe = _timed_observers(["from random weights"], outcome)
    run = outcome.run.record
    scratch = train_from_scratch(dataset, options, outcome, observe).run.record
    return Study(
        "scratch",
        (scratch_section(run, scratch),),
        comparison_document(run, scratch),
        (comparison_text(run, scratch),),
    )


def _timed_observers(names: list[str], outcome: Outcome) -> ObserverFactory:
    """Return observers of trainings that each take about as long as the run."""
    each_s = outcome.run.record.seconds

    @contextmanager
    def observe(number: int) -> Iterator[TerminalObserver]:
        nonlocal each_s
        left_s = each_s * (len(names) - number)
        print_status(
            f"training {number + 1} of {len(names)}: {names[number]}; about "
            f"{left_s / 60:.1f} minutes left"
        )
        observer, started_s = TerminalObserver(), time.monotonic()
        try:
            yield observer
        finally:
            observer.close()
        each_s = max(each_s, time.monotonic() - started_s)

    return observe


@contextmanager
def _fold_observer(number: int, count: int) -> Iterator[TerminalObserver]:
    print_status(f"fold {number + 1} of {count}")
    observer = TerminalObserver()
    try:
        yield observer
    finally:
        observer.close()


def _cross_training(
    dataset: Dataset, options: TrainOptions, outcome: Outcome, count: int
) -> tuple[Study, Outcome]:
    """Train all folds, write the label issues and the result, and return the study.

    Returns:
        The study, and the run with the threshold of all folds.
    """
    out = outcome.run.folder
    observe = partial(_fold_observer, count=count)
    crossed = folds.cross_train(dataset, options, out, observe, count=count)
    result = CrossValidation(
        count,
        crossed.photos,
        crossed.found,
        pooled_metrics(
            crossed,
            dataset.labels,
            options.limit,
            PhotoOrigins.of(dataset.split_assignment, crossed.photos, ()),
        ),
        find_label_issues(crossed.photos, crossed.found, len(dataset.labels)),
    )
    write_label_issues(
        out / SUSPECTS, dataset, result.photos, result.found, result.issues
    )
    document = {
        "folds": result.folds,
        "metrics": result.metrics.model_dump(mode="json"),
        "suspects": len(result.issues),
        "more_likely_wrong": count_likely_wrong(result.issues),
    }
    path = out / folds.FOLDER_NAME / RESULT_NAME
    try:
        write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as exc:
        raise unwritable(path.parent, exc) from exc
    sections = (folds_section(result), label_issues_section(dataset, result))
    lines = tuple(_lines(result, out / SUSPECTS))
    final = choose_on_folds(crossed, dataset, options.limit, outcome)
    return Study("folds", sections, document, lines), final


def _lines(result: CrossValidation, folder: Path) -> Iterator[str]:
    metrics, total = result.metrics, len(result.issues)
    yield (
        f"over {counted(result.folds, 'fold')}, "
        f"{counted(metrics.images, 'photo')}: defects found "
        f"{share_text(metrics.recall, metrics.recall_interval)}"
    )
    yield (
        f"labels that look wrong: {count_likely_wrong(result.issues)} more likely than "
        f"not, {total} to review: {folder}"
    )
