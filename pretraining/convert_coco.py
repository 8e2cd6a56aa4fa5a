"""Converts YOLOX-nano's COCO weights into the checkpoint that is shipped.

``python -m pretraining.convert_coco yolox_nano_coco.pth`` writes
``yolox-nano-coco.safetensors`` and its JSON. The same input gives the same bytes:
nothing depends on the time, the machine or the versions of libraries.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from safetensors.torch import save_file

from models.errors import TrainingError
from models.files import sha256_of, write_atomically
from pretraining.half_precision import to_half
from pretraining.pretrain import PRETRAINED
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.weights import read_tensors

logger = logging.getLogger(__name__)

NAME = "yolox-nano-coco"
# The state dict of 80 classes with Megvii's convolutions; the card describes it.
SOURCE_SHA256 = "806ace1f2134826c54e383e11a1543272a1784c393d0ca35066b9073a3044ad4"
SOURCE = {
    "project": "Megvii-BaseDetection/YOLOX, release 0.1.1rc0",
    "copy": "Kazuhito00/YOLOX-ONNX-TFLite-Sample, commit "
    "3d4f1119d0694200671c08069ecb847aa0d8495a, model/yolox_nano.onnx",
    "batch_norms": "folded in that copy; rebuilt from 236 photos, outputs equal",
    "sha256": SOURCE_SHA256,
}


def convert(source: Path, folder: Path) -> Path:
    """Write weights as float16 safetensors with their card; return the weights.

    Args:
        source: The state dict that ``SOURCE_SHA256`` names.
        folder: Exists.

    Raises:
        TrainingError: The source is another file, or cannot be read.
    """
    tensors = read_tensors(source)
    sha256 = sha256_of(source)
    if sha256 != SOURCE_SHA256:
        raise TrainingError(
            f"{source} is not the file that {NAME} is made of.",
            why=f"expected sha256 {SOURCE_SHA256}, got {sha256}.",
            fix="give that file; for other weights use train --weights FILE.",
        )
    path = folder / f"{NAME}.safetensors"
    save_file(to_half(tensors), path)
    card = {
        "name": NAME,
        "detector": Architecture.YOLOX_NANO,
        "activation": Activation.SILU,
        "licence": "Apache-2.0",
        "description": "Megvii's YOLOX-nano, trained on COCO (80 classes), as float16.",
        "data": "COCO 2017 train: photos of everyday scenes",
        "source": SOURCE,
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
    }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="pretraining.convert_coco", description=__doc__
    )
    parser.add_argument("source", type=Path, help="yolox_nano_coco.pth")
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = convert(args.source, args.out)
    logger.info("converted file=%s bytes=%d", path, path.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
