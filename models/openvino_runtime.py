"""OpenVINO without its telemetry; the only module that imports it.

``import openvino`` looks up and contacts an analytics host, and keeps a device id in
the home folder. It does so by the package ``openvino_telemetry``, and works without
where that cannot be imported. The package stays blocked for the whole process, because
parts of OpenVINO and NNCF import it later. Child processes import this module too.

Source: ``openvino/tools/ovc/telemetry_utils.py`` in OpenVINO 2026.4.
"""

import sys

# What import raises for a module that is None. Source: importlib's documentation.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402 (after its telemetry is blocked)
from openvino import opset13, passes, preprocess  # noqa: E402

__all__ = ["opset13", "ov", "passes", "preprocess"]
