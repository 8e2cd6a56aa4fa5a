"""``--freeze trunk``: the backbone keeps its weights; neck and head are trained."""

from models.errors import TrainingError
from trainer.detectors.base import TrainableDetector
from trainer.detectors.names import Activation
from trainer.detectors.zoo import NO_WEIGHTS, entries


def freeze_backbone(
    model: TrainableDetector, weights: str, activation: Activation
) -> None:
    """Freeze the backbone, so that only neck and head are trained.

    Args:
        model: Changed in place.
        weights: Source of the backbone's weights.

    Raises:
        TrainingError: The backbone is random, or was trained with another
            non-linearity.
    """
    if weights == NO_WEIGHTS:
        raise TrainingError(
            "--freeze trunk with --weights none: the backbone would stay random.",
            why="Only neck and head are trained.",
            fix="Start from weights, or train everything.",
        )
    entry = entries().get(weights)
    if entry and entry.activation and entry.activation is not activation:
        raise TrainingError(
            f"--freeze trunk: {weights} was trained with {entry.activation}, not "
            f"{activation}.",
            why="A backbone that does not learn cannot adapt to another activation.",
            fix=f"Add --activation {entry.activation}, or train everything.",
        )
    model.feature_extractor.requires_grad_(False)  # noqa: FBT003 (torch names it mode)
