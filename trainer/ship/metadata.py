"""Standard metadata inside the model files.

OpenVINO's Model API, DL Streamer and others configure themselves from
``rt_info/model_info`` of an IR and from ``metadata_props`` of an ONNX file. With
these keys our files load there as a ``YOLOv8``: same output layout, NMS outside.

Source:
    Model API, guides "Model configuration" and "ONNX adapter";
    ``fit_to_window`` anchors the picture top left and pads right and below, which
    is our letterbox (``fit_to_window_letterbox`` would centre it).
"""

from collections.abc import Mapping

import onnx

from models.manifest import Thresholds
from models.openvino_runtime import ov
from models.value_types import PAD_VALUE

SECTION = "model_info"


def model_info(labels: tuple[str, ...], thresholds: Thresholds) -> dict[str, str]:
    """Return the keys and values for one detector."""
    return {
        "model_type": "YOLOv8",
        "task_type": "detection",
        "labels": " ".join("_".join(label.split()) for label in labels),
        "label_ids": " ".join(str(index) for index in range(len(labels))),
        # Model API has one threshold for all labels: the lowest one loses nothing
        "confidence_threshold": str(min(thresholds.scores.values())),
        "iou_threshold": str(thresholds.iou_threshold),
        "agnostic_nms": "False",
        "resize_type": "fit_to_window",
        "pad_value": str(PAD_VALUE),
        "reverse_input_channels": "False",  # cv2 reads BGR, and the graph expects it
        "mean_values": "0.0 0.0 0.0",
        "scale_values": "1.0 1.0 1.0",
    }


def describe_openvino(model: ov.Model, info: Mapping[str, str]) -> None:
    """Write the keys into an OpenVINO model, in place, before it is saved."""
    for key, value in info.items():
        model.set_rt_info(value, [SECTION, key])


def describe_onnx(model: onnx.ModelProto, info: Mapping[str, str]) -> None:
    """Write the keys into an ONNX model, in place, before it is saved."""
    onnx.helper.set_model_props(
        model, {f"{SECTION} {key}": value for key, value in info.items()}
    )
