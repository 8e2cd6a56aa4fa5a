"""Graftline's own detector: YOLOX's shape, made of what INT8 fuses.

Full 3 x 3 convolutions and ReLU instead of depthwise ones and SiLU: more weights, but
faster in INT8 and in bf16, because every convolution fuses with what follows it and
none is bound by memory. Head, loss and graph are YOLOX's, so that all that uses a
detector is the same.

Source:
    Measured: bench/results/architectures.json.
"""

from enum import StrEnum

from trainer.detectors.base import Architecture
from trainer.detectors.yolox_blocks import Activation

GRAFT_ACTIVATION = Activation.RELU


class GraftSize(StrEnum):
    """The sizes of our own detector."""

    N = "n"
    S = "s"

    @property
    def width(self) -> float:
        """Channels as a multiple of YOLOX-l's."""
        return {"n": 0.25, "s": 0.3125}[self.value]

    @property
    def depthwise(self) -> bool:
        """False: a depthwise convolution gains nothing from INT8."""
        return False

    @property
    def architecture(self) -> Architecture:
        """The name that packages carry."""
        return Architecture(f"graft-{self.value}")
