"""From a camera frame to the input of the graph, by the one letterbox function.

The frame is scaled by one factor so that it fits, placed at the top left corner, and
padded right and below with grey 114. Training, evaluation, the self-test and the daemon
all call this function: a model detects the same on the workstation and on the line.

Source:
    YOLOX's inference preprocessing (arXiv:2107.08430, ``preproc``), which the
    official checkpoints were trained for.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.boxes import Boxes, FloatArray, clip
from models.value_types import PAD_VALUE

Frame = npt.NDArray[np.uint8]  # [H, W, 3] BGR


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How one frame size maps into one size of the graph's input."""

    frame_height_px: int
    frame_width_px: int
    input_height_px: int
    input_width_px: int

    @property
    def scale(self) -> float:
        """Input pixels for one frame pixel."""
        return min(
            self.input_height_px / self.frame_height_px,
            self.input_width_px / self.frame_width_px,
        )

    @property
    def content_size_px(self) -> tuple[int, int]:
        """Height and width that the scaled frame covers, at least one pixel."""
        return (
            max(1, round(self.frame_height_px * self.scale)),
            max(1, round(self.frame_width_px * self.scale)),
        )

    def boxes_to_frame(self, boxes_input: Boxes) -> Boxes:
        """Return boxes of the input as boxes of the frame, cut at its edges.

        Args:
            boxes_input: ``[N, 4]`` float32, xyxy, pixels of the graph's input.

        Returns:
            ``[N, 4]`` float32, xyxy, pixels of the frame.
        """
        scaled = (boxes_input / np.float32(self.scale)).astype(np.float32)
        return clip(scaled, self.frame_width_px, self.frame_height_px)

    def boxes_to_input(self, boxes_frame: Boxes) -> Boxes:
        """Return boxes of the frame as boxes of the graph's input.

        Args:
            boxes_frame: ``[N, 4]`` float32, xyxy, pixels of the frame.

        Returns:
            ``[N, 4]`` float32, xyxy, pixels of the graph's input.
        """
        result: Boxes = (boxes_frame * np.float32(self.scale)).astype(np.float32)
        return result


def letterbox_image(
    frame: Frame, input_height_px: int, input_width_px: int
) -> tuple[Frame, Letterbox]:
    """Return the frame scaled and padded to the input size, still 8 bit.

    Args:
        frame: ``[H, W, 3]`` uint8, BGR.
        input_height_px: Height of the graph's input.
        input_width_px: Width of the graph's input.

    Returns:
        ``[input_height_px, input_width_px, 3]`` uint8, BGR, and the mapping.
    """
    box = Letterbox(frame.shape[0], frame.shape[1], input_height_px, input_width_px)
    height, width = box.content_size_px
    if (height, width) != frame.shape[:2]:
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        frame = np.asarray(resized, np.uint8)
    if (height, width) == (input_height_px, input_width_px):
        return frame, box
    canvas = np.full((input_height_px, input_width_px, 3), PAD_VALUE, np.uint8)
    canvas[:height, :width] = frame
    return canvas, box


def letterbox_into(image: Frame, frame: Frame) -> Letterbox:
    """Write the image of ``letterbox_image`` into a buffer, and return the mapping.

    Args:
        image: ``[input_height_px, input_width_px, 3]`` uint8; overwritten.
        frame: ``[H, W, 3]`` uint8, BGR.
    """
    box = Letterbox(frame.shape[0], frame.shape[1], image.shape[0], image.shape[1])
    height, width = box.content_size_px
    content = image[:height, :width]
    if content.shape == frame.shape:
        np.copyto(content, frame)
    else:
        size = (width, height)
        cv2.resize(frame, size, dst=content, interpolation=cv2.INTER_LINEAR)
    image[height:] = PAD_VALUE
    image[:height, width:] = PAD_VALUE
    return box


def planar(image: Frame) -> FloatArray:
    """Return a picture of the input's size as the input tensor of the graph contract.

    Args:
        image: ``[H, W, 3]`` uint8, BGR.

    Returns:
        ``[1, 3, H, W]`` float32, BGR, 0..255.
    """
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def letterbox(
    frame: Frame, input_height_px: int, input_width_px: int
) -> tuple[FloatArray, Letterbox]:
    """Return the graph's input for one frame.

    Args:
        frame: ``[H, W, 3]`` uint8, BGR.
        input_height_px: Height of the graph's input.
        input_width_px: Width of the graph's input.

    Returns:
        ``[1, 3, input_height_px, input_width_px]`` float32, BGR, 0..255, and the
        mapping back to the frame.
    """
    image, box = letterbox_image(frame, input_height_px, input_width_px)
    return planar(image), box
