"""The speed of convolutions and activations of small detectors on this CPU.

``python bench/architectures.py``: networks of YOLOX's shape with random weights. Each
is exported and quantized as ``pack`` does (decoding in float), and timed at 640 px in
OpenVINO: all variants of all networks in turns, several rounds, so that other load on
the machine affects all alike. One training step at 320 px is timed as well, in float32
and in bfloat16. Result: ``bench/results/architectures.json``; read the ratios to the
best of YOLOX-nano.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from measuring.machine import RESULTS, describe_machine, write_result

from models.openvino_runtime import ov
from pretraining.stream import draw_sample
from trainer.data.sample import BoxTarget
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.yolox import YOLOX
from trainer.fit.engine import make_optimizer
from trainer.ship.export import convert_openvino, export_onnx
from trainer.ship.nncf_adapter import Ranges, quantize
from trainer.ship.quantize import openvino_decoding

SIZE_PX, TRAINED_PX, BATCH, LABELS = 640, 320, 8, 6
CALIBRATED_ON = 8
TIMED_S = 0.4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to measure; see ``trainer.detectors.yolox.Size``."""

    width: float  # channels as a multiple of YOLOX-l's
    convolutions: Literal["full", "depthwise"]  # kind of 3 x 3 convolutions
    activation: Activation
    note: str = ""

    @property
    def architecture(self) -> Architecture:
        """Required by the protocol; not read here."""
        return Architecture.YOLOX_NANO

    @property
    def name(self) -> str:
        """Name in the result."""
        return f"{self.activation} {self.convolutions} {self.width:g}"

    @property
    def depthwise(self) -> bool:
        """Whether 3 x 3 convolutions are depthwise."""
        return self.convolutions == "depthwise"

    def build(self) -> YOLOX:
        """Return the network with the same random weights each time."""
        torch.manual_seed(0)
        return YOLOX(self, LABELS, self.activation)


CANDIDATES = (
    Candidate(0.25, "depthwise", Activation.SILU, "YOLOX-nano as published"),
    Candidate(0.25, "depthwise", Activation.HARDSWISH, "YOLOX-nano as trained here"),
    Candidate(0.25, "depthwise", Activation.RELU),
    Candidate(0.25, "full", Activation.SILU),
    Candidate(0.25, "full", Activation.HARDSWISH),
    Candidate(0.25, "full", Activation.RELU, "graft-n"),
    Candidate(0.3125, "full", Activation.RELU, "graft-s"),
    Candidate(0.375, "full", Activation.RELU),
)


def pictures() -> list[np.ndarray]:
    """Return drawn pictures ``[1, 3, S, S]`` float32 to calibrate on."""
    generators = [np.random.default_rng(seed) for seed in range(CALIBRATED_ON)]
    drawn = [draw_sample(rng, SIZE_PX)[0] for rng in generators]
    return [frame.transpose(2, 0, 1)[None].astype(np.float32) for frame in drawn]


def variants(network: YOLOX, folder: Path) -> dict[str, ov.CompiledModel]:
    """Return the compiled variants of a network."""
    onnx, xml = folder / "model.onnx", folder / "model.xml"
    export_onnx(network, onnx, input_height_px=SIZE_PX, input_width_px=SIZE_PX, info={})
    convert_openvino(onnx, xml, {})
    core = ov.Core()
    plain = core.read_model(str(xml))
    ignored = openvino_decoding(plain)
    small = quantize(plain.clone(), pictures(), lambda x: x, ignored, Ranges.TYPICAL)
    modes = ((plain, "f32"), (plain, "bf16"), (small, "f32"), (small, "bf16"))
    names = ("f32", "bf16", "int8", "int8+bf16")
    return {
        name: core.compile_model(
            model,
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision},
        )
        for name, (model, precision) in zip(names, modes, strict=True)
    }


def inference_ms(compiled: ov.CompiledModel) -> float:
    """Return the median of some inferences."""
    request = compiled.create_infer_request()
    request.infer()
    took, started_s = [], time.perf_counter()
    while time.perf_counter() - started_s < TIMED_S:
        before = time.perf_counter()
        request.infer()
        took.append(1e3 * (time.perf_counter() - before))
    return statistics.median(took)


def training_step(network: YOLOX, *, half: bool) -> Callable[[], float]:
    """Return a function that trains one step and returns its milliseconds."""
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = make_optimizer(network, 1e-3, 0.05)
    drawn = [draw_sample(np.random.default_rng(i), TRAINED_PX) for i in range(BATCH)]
    stack = np.stack([frame for frame, _, _ in drawn]).transpose(0, 3, 1, 2)
    images = (
        torch.from_numpy(stack).float().contiguous(memory_format=torch.channels_last)
    )
    targets = [
        BoxTarget(torch.from_numpy(boxes), torch.from_numpy(labels) % LABELS)
        for _, boxes, labels in drawn
    ]

    def step() -> float:
        started_s = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            raw = network(images)
        optimizer.zero_grad()
        network.loss_of_raw(raw, targets).total.backward()
        optimizer.step()
        return 1e3 * (time.perf_counter() - started_s)

    return step


def measure(rounds: int) -> list[dict[str, Any]]:
    """Return one row a candidate."""
    timed: dict[tuple[str, str], Callable[[], float]] = {}
    for candidate in CANDIDATES:
        with tempfile.TemporaryDirectory() as folder:
            for name, compiled in variants(candidate.build(), Path(folder)).items():
                timed[candidate.name, name] = lambda c=compiled: inference_ms(c)  # type: ignore[misc]
        for name, half in (("training f32", False), ("training bf16", True)):
            timed[candidate.name, name] = training_step(candidate.build(), half=half)
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for key, once in timed.items():
            took[key].append(once())
    rows = []
    for candidate in CANDIDATES:
        parameters = sum(p.numel() for p in candidate.build().parameters())
        row: dict[str, Any] = {"network": candidate.name, "note": candidate.note}
        row["million_parameters"] = round(parameters / 1e6, 2)
        for (network, name), values in took.items():
            if network == candidate.name:
                row[f"{name} ms"] = round(statistics.median(values), 2)
        best = min(row[f"{name} ms"] for name in ("f32", "bf16", "int8", "int8+bf16"))
        rows.append(row | {"best ms": best})
    published, ours = rows[0]["best ms"], rows[1]["best ms"]
    return [
        row
        | {
            "to_yolox_nano_as_published": round(row["best ms"] / published, 2),
            "to_yolox_nano_with_hardswish": round(row["best ms"] / ours, 2),
        }
        for row in rows
    ]


def main(arguments: list[str]) -> int:
    """Measure every candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args(arguments)
    machine, rows = describe_machine(), measure(args.rounds)
    for row in rows:
        print(row)
    document = {"machine": machine, "size_px": SIZE_PX, "networks": rows}
    write_result(RESULTS / "architectures.json", document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
