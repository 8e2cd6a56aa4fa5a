"""ONNX Runtime without its telemetry; the only module that imports it.

Without the variable, ONNX Runtime sends events to its maker a few seconds after the
import, and keeps a device id and a database of events below ``~/.cache``.
``disable_telemetry_events()`` does not stop that: the sender runs by then. Child
processes inherit the variable.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, while the library is loaded

import onnxruntime as ort

__all__ = ["ort"]
