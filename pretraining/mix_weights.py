"""Averages the weights of a network before and after training on drawn defects.

``python -m pretraining.mix_weights DRAWN.safetensors`` writes
``yolox-nano-coco-drawn.safetensors`` and its JSON. Drawn pictures teach the network
what defects look like, and cost what it knows of photos. A mean of both, each tensor
for itself, keeps most of the one and gains most of the other; the share of the drawn
one was chosen on all products of ``bench/products.py``.

Source:
    WiSE-FT, arXiv:2109.01903: the mean of weights before and after fine-tuning, which
    lie close enough for it; batch-norm statistics are averaged as well.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from models.errors import TrainingError
from models.files import sha256_of, write_atomically
from pretraining import convert_coco
from pretraining.half_precision import to_half
from pretraining.pretrain import PRETRAINED

logger = logging.getLogger(__name__)

NAME = "yolox-nano-coco-drawn"
DRAWN_SHARE = 0.3


def mix(photos: Path, drawn: Path, folder: Path, share: float = DRAWN_SHARE) -> Path:
    """Write the mean of two checkpoints with its card; return the weights.

    Args:
        photos: Weights that have seen photos, with their JSON beside them.
        drawn: The same network, trained on drawn pictures from there on, with its JSON.
        folder: Exists.
        share: Weight of the drawn one, 0 to 1.

    Raises:
        TrainingError: They are not of one network.
    """
    one, other = load_file(photos), load_file(drawn)
    if one.keys() != other.keys():
        raise TrainingError(
            f"{drawn} is not of the network of {photos}.",
            why="Their tensors have other names.",
            fix="Give weights that `make pretrain` trained from them.",
        )
    mean = {
        # The classes of the head are those of the drawn defects.
        name: value.float() * share + one[name].float() * (1 - share)
        if value.is_floating_point() and value.shape == one[name].shape
        else value
        for name, value in other.items()
    }
    path = folder / f"{NAME}.safetensors"
    save_file(to_half(mean), path)
    first, second = _card(photos), _card(drawn)
    card = {
        "name": NAME,
        "detector": second["detector"],
        "activation": second["activation"],
        "licence": "Apache-2.0",
        "description": f"{first['name']}, {1 - share:.0%}, averaged with itself after "
        f"{second['images']:,} drawn pictures of {len(second['labels'])} kinds of "
        f"defects, {share:.0%}.",
        "data": f"{first['data']}; then drawn pictures: pretraining.stream",
        "source": first["source"],
        "photos_sha256": first["sha256"],
        "drawn_share": share,
        "drawn": {key: second[key] for key in ("sha256", "images", "recipe", "log")},
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
    }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def _card(path: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return card


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="pretraining.mix_weights", description=__doc__
    )
    parser.add_argument("drawn", type=Path, help="from pretraining.pretrain")
    shipped = PRETRAINED / f"{convert_coco.NAME}.safetensors"
    parser.add_argument("--photos", type=Path, default=shipped)
    parser.add_argument("--share", type=float, default=DRAWN_SHARE)
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = mix(args.photos, args.drawn, args.out, args.share)
    logger.info("mixed file=%s bytes=%d", path, path.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
