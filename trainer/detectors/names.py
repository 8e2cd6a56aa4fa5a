"""The names of networks and of their non-linearities.

Loads no training library: the command line and run records need the names alone.
"""

from enum import StrEnum


class Architecture(StrEnum):
    """Every network that can be trained; the value is its name in packages."""

    GRAFT_N = "graft-n"
    GRAFT_S = "graft-s"
    YOLOX_NANO = "yolox-nano"
    YOLOX_TINY = "yolox-tiny"
    YOLOX_S = "yolox-s"
    SSDLITE = "ssdlite320-mobilenet-v3-large"
    LITE0 = "efficientnet-lite0"  # of good parts alone: it has no named classes


class ScoreRule(StrEnum):
    """How YOLOX and graft make the score of a class from their outputs.

    The class outputs are trained on the overlap of the boxes: their product with the
    objectness ranks boxes by how well they fit. Divided by their sum they say which
    class it is, and the objectness alone says whether there is a defect. In the mean
    over products mAP@.33 is 0.7 points higher (docs/benchmarks.md).
    """

    PRODUCT = "product"  # of YOLOX, arXiv:2107.08430, and of runs without the field
    CLASS_SHARE = "class-share"


class Activation(StrEnum):
    """The non-linearity after each convolution.

    Official checkpoints were trained with SiLU. Hardswish is nearly the same function
    and fuses with INT8 convolutions; ReLU is the fastest.
    """

    SILU = "silu"
    HARDSWISH = "hardswish"
    RELU = "relu"
