"""``train --budget-ms``: the input that a line PC like this machine has time for."""

from collections.abc import Callable
from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.detectors.zoo import build_detector
from trainer.fit.checkpoint import stored_input
from trainer.fit.distributed.process_group import ProcessGroup
from trainer.fit.input_choices import InputChoice, input_choices
from trainer.fit.latency_budget import fit_to_latency, with_input
from trainer.fit.options import TrainOptions, resolve
from trainer.ship.inference_time import inference_ms


def within_latency(
    options: TrainOptions,
    dataset: Dataset,
    budget_ms: float,
    group: ProcessGroup,
    report: Callable[[str], None],
) -> TrainOptions:
    """Return the options with the largest input that the leader is fast enough for.

    Args:
        budget_ms: Milliseconds for one photo.
        report: Called with what was measured and chosen.

    Raises:
        ConfigError: No input is fast enough.
    """
    photos, labels = dataset.for_training()[0], len(dataset.labels)
    side = ""
    if group.is_leader:
        model = build_detector(options.detector, labels, options.activation)
        fitting = fit_to_latency(
            options, photos, budget_ms, lambda *size: inference_ms(model, *size)
        )
        report(f"--budget-ms {budget_ms:g}: {fitting}")
        side = str(fitting.choice.size_px or "")
    side = group.leader_text("input within the budget", side)
    return with_input(options, int(side) if side else None)


def resumed_latency(
    options: TrainOptions, dataset: Dataset, checkpoint: Path
) -> TrainOptions:
    """Return the options with the input of an interrupted training.

    A second measurement might choose another one.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
    """
    photos, stored = dataset.for_training()[0], stored_input(checkpoint)

    def is_stored(choice: InputChoice) -> bool:
        return (choice.height_px, choice.width_px) == stored

    choices = input_choices(options, resolve(options, photos), photos)
    choice = next(filter(is_stored, choices), None)
    return with_input(options, choice.size_px if choice else None)
