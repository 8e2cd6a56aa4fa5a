"""The result of packing, as text and as JSON."""

from dataclasses import dataclass

from models.counted import counted
from models.golden import GoldenResult
from models.manifest import Metrics, Variant, VariantName
from models.package import Package
from trainer.evaluation.text import NOT_MEASURED, precision_text
from trainer.ship.variants import Dropped

FLOAT_SIBLINGS = {
    VariantName.OPENVINO_INT8: VariantName.OPENVINO_FP32,
    VariantName.ONNX_INT8: VariantName.ONNX_FP32,
}


@dataclass(frozen=True, slots=True)
class PackReport:
    """What the package holds, and what was left out."""

    package: Package  # the finished package; its manifest holds each variant's metrics
    dropped: tuple[Dropped, ...]
    # by run mode, for example `openvino-int8 (bf16)`, how it reproduces the golden
    # frames; only those that this machine can run
    parity: dict[str, GoldenResult]
    # median time of one picture on this machine, all its tiles included, in float32
    # where it is not quantized
    latency_ms: dict[VariantName, float]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the report for a person; names in it may hold line breaks."""
        manifest = self.package.manifest
        head = [f"{self.package.folder}: {manifest.name}, build {manifest.build}"]
        if tiles := manifest.tiling():
            head.append(
                f"  each frame takes {counted(tiles.count, 'inference')}: {tiles}"
            )
        rows = [
            f"{_row(name, entry)}{self._speed(name)}"
            for name, entry in manifest.variants.items()
        ]
        left_out = [f"  {dropped}" for dropped in self.dropped]
        return [*head, *rows, *left_out, *_unmeasured(manifest.metrics)]

    def _speed(self, name: VariantName) -> str:
        """Return how long a variant takes, and whether it is faster than float32."""
        latency_ms = self.latency_ms[name]
        sibling = FLOAT_SIBLINGS.get(name)
        text = f"  {latency_ms:.1f} ms here"
        if sibling and latency_ms >= self.latency_ms[sibling]:
            text += f", not faster than {sibling}; the line PC measures and chooses"
        return text

    def as_json(self) -> dict[str, object]:
        """Return the same as plain values."""
        manifest, tiles = self.package.manifest, self.package.manifest.tiling()
        return {
            "package": str(self.package.folder),
            "sha256": self.package.sha256,
            "name": manifest.name,
            "build": manifest.build,
            "inferences_per_frame": tiles.count if tiles else 1,
            "variants": {
                name: entry.model_dump(mode="json", exclude_none=True)
                for name, entry in manifest.variants.items()
            },
            "dropped": [
                {"what": dropped.what, "reason": dropped.reason}
                for dropped in self.dropped
            ],
            "latency_ms": self.latency_ms,
            "parity": {
                mode: {
                    "frames": result.frames,
                    "matched": result.matched,
                    "worst_score_difference": result.worst_score_difference,
                    "worst_iou": result.worst_iou,
                }
                for mode, result in self.parity.items()
            },
        }


def _unmeasured(metrics: Metrics) -> list[str]:
    """Return a line on the figures that this package has no measurement of."""
    figures = {
        "mAP": metrics.map_50,
        "defects found": metrics.recall,
        "defective parts escaped": metrics.escapes,
        "good parts alarmed": metrics.overkill,
    }
    names = [name for name, value in figures.items() if value is None]
    if not names:
        return []
    reason = f". {metrics.not_measured}" if metrics.not_measured else ""
    return [f"  {NOT_MEASURED}: {', '.join(names)}{reason}"]


def _row(name: str, variant: Variant) -> str:
    modes = " and ".join(variant.tolerances)
    figures = "same as torch on the golden frames"
    if variant.metrics:
        figures = (
            f"mAP@.5 {precision_text(variant.metrics.map_50)} "
            f"({0 - variant.map_50_drop:+.4f})  "
            f"@.75 {precision_text(variant.metrics.map_75)} "
            f"({0 - variant.map_75_drop:+.4f})"
        )
    if variant.layers_in_float:
        figures += f"  {counted(len(variant.layers_in_float), 'layer')} in float"
    if variant.lost_photos:
        figures += f"  nothing left on {', '.join(variant.lost_photos)}"
    return f"  {name:14} {variant.size_bytes / 1e6:5.1f} MB  {figures}  in {modes}"
