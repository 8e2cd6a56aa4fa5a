"""Head first: neck and head learn alone before the whole network does."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from trainer.data.sample import BoxTarget, Features
from trainer.fit import engine
from trainer.fit.engine import Training


@contextmanager
def head_first(share: float) -> Iterator[None]:
    """Hold the trunk's weights still in the first steps of every training.

    Args:
        share: Of the steps, 0..1.

    Source:
        Gradual unfreezing, arXiv:1801.06146, in two stages.
    """
    usual = engine.train_step

    def step(
        training: Training, images: Tensor | Features, targets: list[BoxTarget]
    ) -> float:
        learns = training.step >= share * training.schedule.steps
        training.model.trunk.requires_grad_(learns)
        return usual(training, images, targets)

    engine.train_step = step
    try:
        yield
    finally:
        engine.train_step = usual
