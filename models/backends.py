"""Opens a package's variant with the runtime that it names.

A runtime is imported when a variant needs it: a line PC that runs OpenVINO never loads
ONNX Runtime.
"""

from pathlib import Path

from models.detector import Detector
from models.errors import PackageError
from models.manifest import PrecisionHint, VariantName
from models.package import Package
from models.tiled_detector import tiled


def open_detector(
    package: Package,
    variant: VariantName,
    precision_hint: PrecisionHint = PrecisionHint.F32,
    threads: int = 0,
    streams: int = 1,
) -> Detector:
    """Return a graph that is ready to run, tile by tile if the manifest has tiles.

    Args:
        variant: Name of one of its variants.
        precision_hint: Arithmetic of layers that are not quantized (OpenVINO only).
        threads: Number of inference threads, 0 = all cores.
        streams: Pictures that are inferred at the same time (OpenVINO only).

    Raises:
        PackageError: The package lacks the variant, the run mode is not allowed, or
            the runtime cannot load it.
    """
    entry = package.variant(variant)
    if precision_hint not in entry.tolerances:
        allowed = ", ".join(entry.tolerances)
        raise PackageError(
            f"{variant}: precision hint {precision_hint} was not tested.",
            why=f"The package allows {allowed}.",
            fix=f"Use {allowed}.",
        )
    path, tiles = package.model_path(variant), package.manifest.tiling()
    if entry.runtime == "openvino":
        return tiled(_open_openvino(path, precision_hint, threads, streams), tiles)
    return tiled(_open_onnx(path, threads), tiles)


def _open_openvino(
    path: Path, hint: PrecisionHint, threads: int, streams: int
) -> Detector:
    from models.openvino_detector import OpenVinoDetector  # noqa: PLC0415 (lazy)

    return OpenVinoDetector(path, hint.value, threads, streams)


def _open_onnx(path: Path, threads: int) -> Detector:
    from models.onnx_detector import OnnxDetector  # noqa: PLC0415 (lazy)

    return OnnxDetector(path, threads)
