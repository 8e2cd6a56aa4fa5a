"""YOLOX's convolution blocks, its backbone and its feature pyramid.

Attribute names are the official ones (``conv``, ``bn``, ``dark3``, ``C3_p4``):
they are the keys of the published checkpoints.

Source:
    YOLOX, arXiv:2107.08430; Megvii-BaseDetection/YOLOX 0.3.0 (Apache-2.0).
"""

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.detectors.names import Activation

BATCH_NORM_EPS = 1e-3  # Source: YOLOX exp/yolox_base.py
BATCH_NORM_MOMENTUM = 0.03  # Source: YOLOX exp/yolox_base.py
POOL_SIZES_PX = (5, 9, 13)  # Source: YOLOX SPPBottleneck


def activation_module(activation: Activation) -> nn.Module:
    """Return a new module without parameters that computes a non-linearity."""
    # Not in place: autograd needs batch norm's output and would copy it first
    # (7 % of a training step).
    match activation:
        case Activation.SILU:
            return nn.SiLU()
        case Activation.HARDSWISH:
            return nn.Hardswish()
        case Activation.RELU:
            return nn.ReLU()
        case _:
            assert_never(activation)


class BaseConv(nn.Module):
    """Convolution without bias, batch norm, activation.

    Args:
        kernel_px: Odd side of the kernel; padding keeps the size.
        stride: 1 or 2.
        groups: ``inputs`` for a depthwise convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_px: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel_px,
            stride,
            padding=(kernel_px - 1) // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(outputs, BATCH_NORM_EPS, BATCH_NORM_MOMENTUM)
        self.act = activation_module(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, outputs, H / stride, W / stride]``."""
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class DWConv(nn.Module):
    """A depthwise convolution followed by a pointwise one."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_px: int,
        stride: int = 1,
        *,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.dconv = BaseConv(
            inputs, inputs, kernel_px, stride, groups=inputs, activation=activation
        )
        self.pconv = BaseConv(inputs, outputs, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, outputs, H / stride, W / stride]``."""
        return self.pconv(self.dconv(x))  # type: ignore[no-any-return]


class Convolutions:
    """Makes the spatial convolutions of one network: plain or depthwise.

    Args:
        depthwise: True for YOLOX-nano.
    """

    def __init__(self, activation: Activation, *, depthwise: bool) -> None:
        self.activation = activation
        self.depthwise = depthwise

    def point(self, inputs: int, outputs: int) -> BaseConv:
        """Return a 1 x 1 convolution."""
        return BaseConv(inputs, outputs, 1, activation=self.activation)

    def spatial(self, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        """Return a 3 x 3 convolution, depthwise if the network is."""
        block = DWConv if self.depthwise else BaseConv
        return block(inputs, outputs, 3, stride, activation=self.activation)


class Bottleneck(nn.Module):
    """1 x 1, then 3 x 3, with an optional shortcut."""

    def __init__(self, channels: int, *, shortcut: bool, make: Convolutions) -> None:
        super().__init__()
        self.conv1 = make.point(channels, channels)
        self.conv2 = make.spatial(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        y: Tensor = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class CSPLayer(nn.Module):
    """Cross-stage partial layer: half of the channels go through bottlenecks."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        depth: int,
        *,
        shortcut: bool,
        make: Convolutions,
    ) -> None:
        super().__init__()
        hidden = outputs // 2
        self.conv1 = make.point(inputs, hidden)
        self.conv2 = make.point(inputs, hidden)
        self.conv3 = make.point(2 * hidden, outputs)
        self.m = nn.Sequential(
            *(Bottleneck(hidden, shortcut=shortcut, make=make) for _ in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, outputs, H, W]``."""
        deep, shallow = self.m(self.conv1(x)), self.conv2(x)
        return self.conv3(torch.cat((deep, shallow), dim=1))  # type: ignore[no-any-return]


class Focus(nn.Module):
    """Folds 2 x 2 pixels into channels, then one 3 x 3 convolution.

    The weights are stored as published, and applied as what they are equal to: a 6 x 6
    convolution of stride 2 on the picture, which copies no pixels.
    """

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.conv = BaseConv(inputs * 4, outputs, 3, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, outputs, H / 2, W / 2]``."""
        weight, norm = self._unfolded(), self.conv.bn
        if self.training:
            y = functional.conv2d(x, weight, stride=2, padding=2)
            return self.conv.act(norm(y))  # type: ignore[no-any-return]
        # An exporter joins only convolutions of stored weights with their batch norm.
        learned = dict(norm.named_buffers())
        scale = norm.weight / (learned["running_var"] + norm.eps).sqrt()
        bias = norm.bias - learned["running_mean"] * scale
        weight = weight * scale[:, None, None, None]
        y = functional.conv2d(x, weight, bias, stride=2, padding=2)
        return self.conv.act(y)  # type: ignore[no-any-return]

    def _unfolded(self) -> Tensor:
        """Return ``[outputs, inputs, 6, 6]``, in the weights' own order of pixels."""
        weight = self.conv.conv.weight  # [outputs, 4 * inputs, 3, 3]
        outputs, folded = weight.shape[:2]
        pixels = weight.reshape(outputs, 2, 2, folded // 4, 3, 3)
        # from [.., x % 2, y % 2, colour, y // 2, x // 2]
        in_order = pixels.permute(0, 3, 4, 2, 5, 1)
        return in_order.reshape(outputs, folded // 4, 6, 6)


class SPPBottleneck(nn.Module):
    """Spatial pyramid pooling: the same map, pooled with three window sizes."""

    def __init__(self, channels: int, make: Convolutions) -> None:
        super().__init__()
        hidden = channels // 2
        self.conv1 = make.point(channels, hidden)
        self.m = nn.ModuleList(
            nn.MaxPool2d(size, stride=1, padding=size // 2) for size in POOL_SIZES_PX
        )
        self.conv2 = make.point(hidden * (len(POOL_SIZES_PX) + 1), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], dim=1))  # type: ignore[no-any-return]


class CSPDarknet(nn.Module):
    """The backbone: maps at strides 8, 16 and 32.

    Args:
        base: Channels of the stem.
        depth: Bottlenecks in the first stage.
    """

    def __init__(self, base: int, depth: int, make: Convolutions) -> None:
        super().__init__()
        self.stem = Focus(3, base, make.activation)
        self.dark2 = nn.Sequential(
            make.spatial(base, base * 2, 2),
            CSPLayer(base * 2, base * 2, depth, shortcut=True, make=make),
        )
        self.dark3 = nn.Sequential(
            make.spatial(base * 2, base * 4, 2),
            CSPLayer(base * 4, base * 4, depth * 3, shortcut=True, make=make),
        )
        self.dark4 = nn.Sequential(
            make.spatial(base * 4, base * 8, 2),
            CSPLayer(base * 8, base * 8, depth * 3, shortcut=True, make=make),
        )
        self.dark5 = nn.Sequential(
            make.spatial(base * 8, base * 16, 2),
            SPPBottleneck(base * 16, make),
            CSPLayer(base * 16, base * 16, depth, shortcut=False, make=make),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps of 4, 8 and 16 times ``base`` channels."""
        stride_8 = self.dark3(self.dark2(self.stem(images)))
        stride_16 = self.dark4(stride_8)
        return stride_8, stride_16, self.dark5(stride_16)


class PAFPN(nn.Module):
    """Path-aggregation pyramid on top of the backbone.

    Args:
        base: Channels of the backbone's stem.
        depth: Bottlenecks in each layer.
    """

    def __init__(self, base: int, depth: int, make: Convolutions) -> None:
        super().__init__()
        c3, c4, c5 = base * 4, base * 8, base * 16
        self.backbone = CSPDarknet(base, depth, make)
        self.lateral_conv0 = make.point(c5, c4)
        self.C3_p4 = CSPLayer(2 * c4, c4, depth, shortcut=False, make=make)
        self.reduce_conv1 = make.point(c4, c3)
        self.C3_p3 = CSPLayer(2 * c3, c3, depth, shortcut=False, make=make)
        self.bu_conv2 = make.spatial(c3, c3, 2)
        self.C3_n3 = CSPLayer(2 * c3, c4, depth, shortcut=False, make=make)
        self.bu_conv1 = make.spatial(c4, c4, 2)
        self.C3_n4 = CSPLayer(2 * c4, c5, depth, shortcut=False, make=make)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps at strides 8, 16 and 32."""
        return self.join(*self.backbone(images))

    def join(self, c3: Tensor, c4: Tensor, c5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pyramid's maps of those of the backbone."""
        down_5 = self.lateral_conv0(c5)
        mid_4 = self.C3_p4(torch.cat((self.upsample(down_5), c4), dim=1))
        down_4 = self.reduce_conv1(mid_4)
        out_3 = self.C3_p3(torch.cat((self.upsample(down_4), c3), dim=1))
        out_4 = self.C3_n3(torch.cat((self.bu_conv2(out_3), down_4), dim=1))
        out_5 = self.C3_n4(torch.cat((self.bu_conv1(out_4), down_5), dim=1))
        return out_3, out_4, out_5
