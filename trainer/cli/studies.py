"""What ``train`` trains besides the run itself, and what that tells.

``train --folds``: more trainings, and what they say of the labels.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.files import write_atomically
from trainer.cli.arguments import fold_int, share
from trainer.cli.progress import TerminalObserver, say
from trainer.data.dataset import Dataset
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
)
from trainer.run import unwritable
from trainer.study import folds
from trainer.study.folds import divide_photos
from trainer.study.learning_curve import PARTS, learn_again, nested_photos
from trainer.study.pooled import pooled_metrics
from trainer.study.scratch import refuse_random_start, train_from_scratch
from trainer.study.trainings import ObserverFactory

GOAL = 0.95


def add_studies(parser: argparse.ArgumentParser) -> None:
    """Describe what is trained besides the run itself.

    Args:
        parser: Of ``train``.
    """
    parser.add_argument(
        "--folds",
        type=fold_int,
        help="also train so many detectors, each on all photos but a fold, and list "
        "the labels that look wrong (that many times longer)",
    )
    parser.add_argument(
        "--learning-curve",
        action="store_true",
        help="also train on 25, 50 and 75%% of the photos, and say how many more are "
        "needed (four times as long)",
    )
    parser.add_argument(
        "--goal-recall",
        type=share,
        default=GOAL,
        metavar="SHARE",
        help="recall that --learning-curve counts the missing photos for (default: "
        "95%%)",
    )
    parser.add_argument(
        "--compare",
        choices=["scratch"],
        help="also train from random weights with the same schedule, and show both "
        "(twice as long)",
    )


def prepare_studies(
    args: argparse.Namespace,
    dataset: Dataset,
    wishes: TrainOptions,
    tell: Callable[[str], None],
) -> None:
    """Stop before any training where a study cannot be made; say what it takes.

    Args:
        args: Options of ``train``.
        dataset: Checked.
        wishes: Of the run.
        tell: Told what it takes.

    Raises:
        DatasetError: Too few photos with a defect.
        ConfigError: There is nothing to compare.
    """
    more = []
    if args.folds:
        divide_photos(dataset, args.folds, wishes.seed)
        more.append((f"--folds {args.folds}", int(args.folds)))
    if args.learning_curve:
        nested_photos(dataset, wishes.seed)
        more.append(("--learning-curve", PARTS - 1))
    if args.compare:
        refuse_random_start(wishes)
        more.append(("--compare scratch", 1))
    if not more:
        return
    shares = ", ".join(f"{number} for {option}" for option, number in more)
    total = 1 + sum(number for _, number in more)
    took = ""
    if wishes.minutes is not None:
        took = (
            f"; --minutes {wishes.minutes:g} is for each of them, about "
            f"{wishes.minutes * total:g} in all"
        )
    tell(f"{total} trainings of about the same length: the run, {shares}{took}")


def run_studies(
    args: argparse.Namespace, dataset: Dataset, wishes: TrainOptions, outcome: Outcome
) -> Iterator[Study]:
    """Yield what each study told, once it is made.

    Args:
        args: Options of ``train``.
        dataset: That the run was trained on.
        wishes: Of the run.
        outcome: The run.

    Raises:
        TrainingError: Other trainings are there, or the folder cannot be written.
    """
    if args.folds:
        yield run_folds(dataset, wishes, args.out, args.folds)
    if args.learning_curve:
        yield _learning_curve(dataset, wishes, outcome, args.goal_recall)
    if args.compare:
        yield _from_scratch(dataset, wishes, outcome)


def _learning_curve(
    dataset: Dataset, wishes: TrainOptions, outcome: Outcome, goal: float
) -> Study:
    """Train on parts of the photos, and say how many more are needed."""
    sizes = [len(subset) for subset in nested_photos(dataset, wishes.seed)]
    names = [f"learning curve, {size} photos" for size in sizes]
    watch = _watching(names, outcome)
    measured = learn_again(dataset, wishes, outcome, watch)
    record = outcome.run.record
    series = measured_series(measured, outcome.photos, record.labels, record.seed)
    told = [extrapolate(one, goal, record.seed) for one in series]
    steps = record.schedule.steps if record.schedule else 0
    return Study(
        "learning_curve",
        (learning_curve_section(told, steps),),
        learning_curve_document(told, steps),
        tuple(extrapolation_text(one) for one in told),
    )


def _from_scratch(dataset: Dataset, wishes: TrainOptions, outcome: Outcome) -> Study:
    """Train from random weights, and compare."""
    watch = _watching(["from random weights"], outcome)
    run = outcome.run.record
    scratch = train_from_scratch(dataset, wishes, outcome, watch).run.record
    return Study(
        "scratch",
        (scratch_section(run, scratch),),
        comparison_document(run, scratch),
        (comparison_text(run, scratch),),
    )


def _watching(names: list[str], outcome: Outcome) -> ObserverFactory:
    """Return who watches trainings that each take as long as the run did."""
    each_s = outcome.run.record.seconds

    @contextmanager
    def watch(number: int) -> Iterator[TerminalObserver]:
        nonlocal each_s
        left_s = each_s * (len(names) - number)
        say(
            f"training {number + 1} of {len(names)}: {names[number]}; about "
            f"{left_s / 60:.1f} minutes for what is left"
        )
        observer, begun = TerminalObserver(), time.monotonic()
        try:
            yield observer
        finally:
            observer.close()
        each_s = max(each_s, time.monotonic() - begun)

    return watch


RESULT_NAME = "result.json"


def run_folds(dataset: Dataset, wishes: TrainOptions, out: Path, count: int) -> Study:
    """Train all folds, write the suspects, and return what to show.

    Args:
        dataset: Checked.
        wishes: Of each of the trainings.
        out: Folder of the run; finished folds there are not trained again.
        count: Folds.

    Raises:
        DatasetError: Too few photos with a defect.
        TrainingError: Other folds are there, or the folder cannot be written.
    """

    @contextmanager
    def watch(number: int) -> Iterator[TerminalObserver]:
        say(f"fold {number + 1} of {count}")
        observer = TerminalObserver()
        try:
            yield observer
        finally:
            observer.close()

    crossed = folds.cross_train(dataset, wishes, out, watch, count=count)
    judged = CrossValidation(
        count,
        crossed.photos,
        crossed.found,
        pooled_metrics(crossed, dataset.labels),
        find_label_issues(crossed.photos, crossed.found, len(dataset.labels)),
    )
    write_label_issues(
        out / SUSPECTS, dataset, judged.photos, judged.found, judged.issues
    )
    document = _document(judged)
    path = out / folds.FOLDER_NAME / RESULT_NAME
    try:
        write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as exc:
        raise unwritable(path.parent, exc) from exc
    sections = (folds_section(judged), label_issues_section(dataset, judged))
    return Study("folds", sections, document, tuple(_lines(judged, out / SUSPECTS)))


def _document(judged: CrossValidation) -> dict[str, object]:
    """Return the figures for programs."""
    return {
        "folds": judged.folds,
        "metrics": judged.metrics.model_dump(mode="json"),
        "suspects": len(judged.issues),
        "more_likely_wrong": count_likely_wrong(judged.issues),
    }


def _lines(judged: CrossValidation, folder: Path) -> Iterator[str]:
    """Yield the figures for people."""
    metrics, total = judged.metrics, len(judged.issues)
    low, high = metrics.recall_interval
    yield (
        f"over {judged.folds} folds, {metrics.images} photos: defects found "
        f"{metrics.recall:.1%} ({low:.1%} to {high:.1%})"
    )
    yield (
        f"labels that look wrong: {count_likely_wrong(judged.issues)} more likely than "
        f"not, {total} to look at: {folder}"
    )
