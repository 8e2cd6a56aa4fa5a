"""``train --folds``: more trainings, and what they say of the labels."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.files import write_atomically
from trainer.cli_progress import TerminalObserver, say
from trainer.data.dataset import Dataset
from trainer.fit.wishes import Wishes
from trainer.judge.report_json import Study
from trainer.judge.report_suspects import CrossJudged, over_all_folds, wrong_labels
from trainer.judge.suspect_files import FOLDER_NAME as SUSPECTS
from trainer.judge.suspect_files import write_suspects
from trainer.judge.suspects import find_suspects, likely_wrong
from trainer.run import unwritable
from trainer.study import folds
from trainer.study.pooled import pooled_metrics

RESULT_NAME = "result.json"


def run_folds(dataset: Dataset, wishes: Wishes, out: Path, count: int) -> Study:
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
    judged = CrossJudged(
        count,
        crossed.photos,
        crossed.found,
        pooled_metrics(crossed, dataset.labels),
        find_suspects(crossed.photos, crossed.found, len(dataset.labels)),
    )
    write_suspects(
        out / SUSPECTS, dataset, judged.photos, judged.found, judged.suspects
    )
    document = _document(judged)
    path = out / folds.FOLDER_NAME / RESULT_NAME
    try:
        write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as exc:
        raise unwritable(path.parent, exc) from exc
    sections = (over_all_folds(judged), wrong_labels(dataset, judged))
    return Study("folds", sections, document, tuple(_lines(judged, out / SUSPECTS)))


def _document(judged: CrossJudged) -> dict[str, object]:
    """Return the figures for programs."""
    return {
        "folds": judged.folds,
        "metrics": judged.metrics.model_dump(mode="json"),
        "suspects": len(judged.suspects),
        "more_likely_wrong": likely_wrong(judged.suspects),
    }


def _lines(judged: CrossJudged, folder: Path) -> Iterator[str]:
    """Yield the figures for people."""
    metrics, total = judged.metrics, len(judged.suspects)
    low, high = metrics.recall_interval
    yield (
        f"over {judged.folds} folds, {metrics.images} photos: defects found "
        f"{metrics.recall:.1%} ({low:.1%} to {high:.1%})"
    )
    yield (
        f"labels that look wrong: {likely_wrong(judged.suspects)} more likely than "
        f"not, {total} to look at: {folder}"
    )
