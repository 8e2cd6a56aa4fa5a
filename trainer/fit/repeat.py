"""``--schedule RUN``: repeats a training.

Recipe, seed and schedule are those of the run, to the step, including the number of
steps for a budget of minutes, the moves of its end, and the steps of its validations.
With the same photos, machine and versions the metrics are the same to the last digit.
"""

from dataclasses import dataclass
from pathlib import Path

from models.errors import TrainingError
from trainer.data.dataset import Dataset
from trainer.fit.provenance import library_versions, this_machine
from trainer.run import open_run
from trainer.run_record import RunRecord, ScheduleRecord


@dataclass(frozen=True, slots=True)
class Repeat:
    """A run to repeat.

    Attributes:
        name: Name of its folder, for the record.
    """

    name: str
    record: RunRecord
    schedule: ScheduleRecord


def open_repeat(folder: Path) -> Repeat:
    """Return a run to repeat.

    Args:
        folder: From ``graftline train --out``.

    Raises:
        TrainingError: Not a finished run, or one without its schedule.
    """
    record = open_run(folder).record
    if record.schedule is None:
        raise TrainingError(
            f"{folder}: cannot be repeated.",
            why="It was trained by a version that did not record the schedule.",
            fix="Train it again, then repeat that run.",
        )
    return Repeat(record.name, record, record.schedule)


def differences(repeat: Repeat, dataset: Dataset) -> list[str]:
    """Return the changes since the run; with any of them the figures may differ."""
    record = repeat.record
    changes = []
    if record.dataset_sha256 != dataset.sha256:
        changes.append("the photos or labels are others")
    for name, now in library_versions().items():
        then = record.versions.get(name)
        if then != now:
            changes.append(f"{name} is {now}, it was {then or 'not recorded'}")
    machine = this_machine()
    if record.machine != machine:
        then = str(record.machine) if record.machine else "not recorded"
        changes.append(f"the machine is {machine}, it was {then}")
    return changes
