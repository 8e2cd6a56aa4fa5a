"""The interface of every trainable detector.

Three views of one network:

* ``forward`` gives the raw maps, for training only;
* ``loss`` compares them with the ground truth;
* ``detections`` is the exported graph, the same tensor for every detector.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainer.data.sample import BoxTarget
from trainer.detectors.names import Architecture

Count = Callable[[int], int]
"""Sums a number of this process's share over the whole batch."""


def own_count(number: int) -> int:
    """Return the number unchanged: one process has the whole batch."""
    return number


@dataclass(frozen=True, slots=True)
class LossParts:
    """One training loss and its weighted parts; all scalars, float32.

    Attributes:
        total: The sum of the others; only this one has a gradient.
        objectness: 0 where a detector has none.
    """

    total: Tensor
    box: Tensor
    objectness: Tensor
    classification: Tensor


class TrainableDetector(nn.Module, ABC):
    """A network that detects boxes of ``num_classes`` classes.

    Images are always ``[N, 3, H, W]`` float32, BGR, 0..255, with H and W
    multiples of ``size_multiple_px``. A detector that needs another colour order, mean
    or scale converts inside its graph.

    Attributes:
        num_classes: C, without background.
        size_multiple_px: H and W must be multiples of this.
        published_prefix: Put before the tensor names of published checkpoints.
        class_parts: Prefixes of the names of tensors whose shape depends on the number
            of classes.
    """

    size_multiple_px: ClassVar[int] = 32
    published_prefix: ClassVar[str] = ""
    class_parts: ClassVar[tuple[str, ...]] = ()
    num_classes: int

    @property
    def gains_from_bf16(self) -> bool:
        """Whether a CPU with bfloat16 trains it faster in bfloat16."""
        return False

    @property
    @abstractmethod
    def architecture(self) -> Architecture:
        """Which network this is."""

    @property
    @abstractmethod
    def feature_extractor(self) -> nn.Module:
        """The backbone without neck and head, which ``--freeze trunk`` freezes."""

    @abstractmethod
    def forward(self, images: Tensor) -> Any:  # noqa: ANN401 - each detector's own maps
        """Return the raw maps, as ``loss_of_raw`` expects them.

        Args:
            images: ``[N, 3, H, W]`` float32, BGR, 0..255.
        """

    @abstractmethod
    def loss_of_raw(
        self,
        raw: Any,  # noqa: ANN401
        targets: Sequence[BoxTarget],
        count: Count = own_count,
    ) -> LossParts:
        """Return the loss of raw maps, always computed in float32.

        Every process calls ``count`` as often as the others, in the same order.

        Args:
            raw: From ``forward``.
            targets: One per image, on the same device.
            count: Sums the divisor of the loss over all processes, so that their
                losses add up to that of the whole batch.
        """

    @abstractmethod
    def detections(self, images: Tensor) -> Tensor:
        """Return the exported tensor, before suppression of duplicates.

        Args:
            images: ``[N, 3, H, W]`` float32, BGR, 0..255.

        Returns:
            ``[N, 4 + C, A]`` float32: cx, cy, w, h in input pixels, then C
            scores in 0..1.
        """

    def loss(self, images: Tensor, targets: Sequence[BoxTarget]) -> LossParts:
        """Return the training loss of one batch.

        Args:
            images: ``[N, 3, H, W]`` float32, BGR, 0..255.
            targets: N targets, on the same device.
        """
        return self.loss_of_raw(self(images), targets)


@contextmanager
def traced_constants() -> Iterator[None]:
    """Silence the tracer while shapes and anchor points become constants.

    The exported graph has one fixed shape; that is the contract, not a mistake.
    """
    if not torch.onnx.is_in_onnx_export():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def static_size(feature: Tensor) -> tuple[int, int]:
    """Return h and w of ``[N, C, h, w]`` as plain numbers, also in a traced graph."""
    if not torch.onnx.is_in_onnx_export():
        return feature.shape[2], feature.shape[3]
    with traced_constants():
        return int(feature.shape[2]), int(feature.shape[3])


class DetectionGraph(nn.Module):
    """A detector whose ``forward`` is ``detections``: the graph that is exported.

    Args:
        detector: Any detector; put into evaluation mode.
    """

    def __init__(self, detector: TrainableDetector) -> None:
        super().__init__()
        self.detector = detector
        self.eval()  # this module too: exporters restore the previous mode

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, 4 + C, A]`` of ``[N, 3, H, W]``; see ``TrainableDetector``."""
        return self.detector.detections(images)
