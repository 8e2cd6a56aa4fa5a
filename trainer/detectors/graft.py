"""Graftline's own detector: the structure of YOLOX, of operations that fuse in INT8.

It uses full 3 x 3 convolutions and ReLU instead of depthwise ones and SiLU. It has more
weights, but is faster in INT8 and in bf16, because every convolution fuses with the
following operation and no convolution is limited by memory bandwidth. Head, loss and
graph are YOLOX's, so that the code that uses a detector is the same.

Source:
    Measured: bench/results/architectures.json.
"""

from enum import StrEnum

from trainer.detectors.names import Activation, Architecture

GRAFT_ACTIVATION = Activation.RELU


class GraftSize(StrEnum):
    """The sizes of Graftline's own detector."""

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
        """The name in packages."""
        return Architecture(f"graft-{self.value}")
