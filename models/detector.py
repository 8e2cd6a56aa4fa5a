"""The interface of a model's runtime, and the detections in its output."""

from typing import Protocol, runtime_checkable

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from models.postprocess import IOU_THRESHOLD, decode
from models.preprocess import Frame, letterbox_image
from models.tile_merge import decode_tiles
from models.tiles import Tiles


class Detector(Protocol):
    """A graph that is ready to run, by OpenVINO, ONNX Runtime or torch."""

    @property
    def input_size_px(self) -> tuple[int, int]:
        """Height and width of the graph's input."""

    def infer(self, image: Frame) -> FloatArray:
        """Run the graph once.

        Args:
            image: ``[H, W, 3]`` uint8, BGR, of the input's size; the detector
                converts it to the graph's ``[1, 3, H, W]`` float32.

        Returns:
            ``[4 + C, A]`` float32: centre x, centre y, width, height in input
            pixels, then ``C`` scores in 0..1; those of the class unknown also below 0,
            see ``models.heat_map``. The caller owns the array.
        """


@runtime_checkable
class Tiling(Protocol):
    """A detector that may run on a picture tile by tile."""

    @property
    def tiles(self) -> Tiles | None:
        """How a picture is cut into tiles; None = it is not cut."""


def decode_output(
    detector: Detector,
    output: FloatArray,
    score_thresholds: FloatArray,
    *,
    iou_threshold: float = IOU_THRESHOLD,
) -> Detections:
    """Return the detections in an output, those of tiles merged.

    Args:
        detector: The detector that returned the output.
        output: From ``infer``, or from one of its requests.
        score_thresholds: ``[C]`` float32 in 0..1, one for each label.
        iou_threshold: Overlap in 0..1 above which the weaker box is dropped.

    Returns:
        Detections in pixels of the input.

    Raises:
        PackageError: A number is not finite.
    """
    tiles = detector.tiles if isinstance(detector, Tiling) else None
    if tiles is None:
        return decode(output, score_thresholds, iou_threshold=iou_threshold)
    return decode_tiles(output, score_thresholds, tiles, iou_threshold=iou_threshold)


def detect(
    detector: Detector,
    frame: Frame,
    score_thresholds: FloatArray,
    *,
    iou_threshold: float = IOU_THRESHOLD,
) -> Detections:
    """Return the detections in one frame.

    Args:
        frame: ``[H, W, 3]`` uint8, BGR, any size.
        score_thresholds: ``[C]`` float32 in 0..1, one for each label.
        iou_threshold: Overlap in 0..1 above which the weaker box is dropped.

    Returns:
        Detections in pixels of the frame, cut at its edges.
    """
    image, box = letterbox_image(frame, *detector.input_size_px)
    found = decode_output(
        detector, detector.infer(image), score_thresholds, iou_threshold=iou_threshold
    )
    return Detections(box.boxes_to_frame(found.boxes), found.scores, found.labels)


def equal_thresholds(score_threshold: float, label_count: int) -> FloatArray:
    """Return the same threshold for every label, ``[label_count]`` float32."""
    return np.full(label_count, score_threshold, np.float32)
