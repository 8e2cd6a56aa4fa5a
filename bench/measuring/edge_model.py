"""The model of the edge bench: a real graph, trained briefly and flashed here."""

import json
import subprocess
import sys
from pathlib import Path

from measuring.machine import REPOSITORY

SHARED = REPOSITORY.parent / "shared"
STEP_LIMIT_S = 1800.0


def bench_slot(out: Path, photos: Path, weights: Path) -> Path:
    """Return the slot folder of a YOLOX-nano at 640 px, made where it is missing.

    A short training is enough: speed does not depend on the accuracy, but the number of
    boxes before NMS is that of real photos and chosen thresholds.

    Args:
        photos: COCO dataset with splits train and val, and ``good/``.
    """
    slot = out / "line-pc"
    if not (slot / "current").exists():
        small = _small_dataset(photos.resolve(), out / "photos")
        run, package = out / "run", out / "package"
        arguments = ("--weights", weights, "--size", 640, "--epochs", 3)
        _graftline("train", small, "--out", run, *arguments)
        _graftline("pack", run, "--out", package)
        _graftline("flash", package, f"local:{slot}")
    return slot


def _small_dataset(photos: Path, folder: Path) -> Path:
    """Return a part of a dataset, made of links."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "good").mkdir(exist_ok=True)
    for split, count in (("train", 64), ("val", 24)):
        document = json.loads((photos / f"{split}.json").read_text("utf-8"))
        document["images"] = document["images"][:count]
        kept = {image["id"] for image in document["images"]}
        document["annotations"] = [
            row for row in document["annotations"] if row["image_id"] in kept
        ]
        (folder / f"{split}.json").write_text(json.dumps(document), "utf-8")
        for image in document["images"]:
            _link(folder / image["file_name"], photos / image["file_name"])
    for path in sorted((photos / "good").iterdir())[:16]:
        _link(folder / "good" / path.name, path)
    return folder


def link_photos(photos: Path, folder: Path, count: int) -> Path:
    """Return a folder of ``count`` pictures, which are links to real ones in turn.

    Args:
        folder: Folder to make; links that are there stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(photos.resolve().glob("*.jpg"))
    for number in range(count):
        _link(folder / f"part-{number:06}.jpg", files[number % len(files)])
    return folder


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)


def _graftline(*arguments: object) -> None:
    print("$ graftline", *arguments, flush=True)
    command = [sys.executable, "-m", "graftline", *map(str, arguments)]
    subprocess.run(
        command, check=True, stdout=sys.stderr, cwd=REPOSITORY, timeout=STEP_LIMIT_S
    )
