"""Pretrained weights: their names and sources, and how they are found.

A name is searched in this order: the offline folder, the weights that are shipped with
the product, the cache, the network. In each case size and hash of the file are checked
before it is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

import models
from models.errors import TrainingError
from trainer.detectors import download
from trainer.detectors.base import TrainableDetector
from trainer.detectors.graft import GRAFT_ACTIVATION, GraftSize
from trainer.detectors.lite0 import Lite0
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.ssdlite import SSDLite
from trainer.detectors.weights import TransferReport, graft
from trainer.detectors.yolox import YOLOX, Size, YoloxSize

NO_WEIGHTS = "none"
CACHE_VARIABLE = "GRAFTLINE_CACHE"
OFFLINE_VARIABLE = "GRAFTLINE_WEIGHTS_DIR"
SHIPPED_FOLDER = Path(models.__file__).parent / "pretrained"
YOLOX_RELEASE = (
    "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
)


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One set of pretrained weights.

    Attributes:
        name: Value of ``--weights``.
        licence: SPDX identifier of the weights.
        url: Empty for shipped weights.
        file: Name of the file, in the cache and in an offline folder too.
        sha256: 64 hexadecimal digits, or the first ones that a publisher gives.
        size_bytes: None if unknown.
        activation: Non-linearity of the training; None if the network has no choice.
    """

    name: str
    detector: Architecture
    licence: str
    url: str
    file: str
    sha256: str
    size_bytes: int | None
    activation: Activation | None
    description: str

    @property
    def is_shipped(self) -> bool:
        """Whether the file is part of the product."""
        return not self.url

    @property
    def wanted(self) -> download.Download:
        """The file to download and to verify."""
        return download.Download(self.url, self.sha256, self.size_bytes)


class Sidecar(BaseModel):
    """The JSON file beside shipped weights, of the same name."""

    model_config = ConfigDict(frozen=True)

    detector: Architecture = Field(description="The network that the weights fit.")
    activation: Activation = Field(description="What they were trained with.")
    licence: str = Field(default="Apache-2.0", description="SPDX identifier.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the weights.")
    size_bytes: int = Field(gt=0, description="Of the weights.")
    description: str = Field(default="", description="One sentence.")


def _yolox(size: YoloxSize, sha256: str, size_bytes: int | None = None) -> ZooEntry:
    return ZooEntry(
        name=f"yolox_{size}",
        detector=Architecture(f"yolox-{size}"),
        licence="Apache-2.0",
        url=f"{YOLOX_RELEASE}yolox_{size}.pth",
        file=f"yolox_{size}.pth",
        sha256=sha256,
        size_bytes=size_bytes,
        activation=Activation.SILU,
        description="Megvii's YOLOX, trained on COCO (80 classes).",
    )


def _ssdlite() -> ZooEntry:
    weights = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1
    file = weights.url.rsplit("/", 1)[1]
    return ZooEntry(
        name="ssdlite320_coco",
        detector=Architecture.SSDLITE,
        licence="BSD-3-Clause",
        url=weights.url,
        file=file,
        # torchvision's own rule: the file's name ends with the hash's beginning
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
        size_bytes=None,
        activation=None,
        description="torchvision's SSDLite, trained on COCO (90 classes).",
    )


# Source: several public projects pin the same hashes of these releases.
PUBLISHED = (
    _yolox(
        YoloxSize.NANO,
        "cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b",
    ),
    _yolox(
        YoloxSize.TINY,
        "9de513de589ac98bb92d3bca53b5af7b9acfa9b0bacb831f7999d0f7afaee8f0",
    ),
    _yolox(
        YoloxSize.S,
        "f55ded7181e1b0c13285c56e7790b8f0e8f8db590fe4edb37f0b7f345c913a30",
        72_089_125,
    ),
    _ssdlite(),
)


def build_detector(
    architecture: Architecture,
    num_classes: int,
    activation: Activation = Activation.HARDSWISH,
) -> TrainableDetector:
    """Return a new, randomly initialized detector.

    Args:
        num_classes: C, without background.
        activation: Ignored for SSDLite and Lite0, which have their own.
    """
    match architecture:
        case Architecture.GRAFT_N | Architecture.GRAFT_S:
            size: Size = GraftSize(architecture.removeprefix("graft-"))
        case Architecture.YOLOX_NANO | Architecture.YOLOX_TINY | Architecture.YOLOX_S:
            size = YoloxSize(architecture.removeprefix("yolox-"))
        case Architecture.SSDLITE:
            return SSDLite(num_classes)
        case Architecture.LITE0:
            return Lite0(num_classes)
        case _:
            assert_never(architecture)
    return YOLOX(size, num_classes, activation)


def usual_activation(architecture: Architecture) -> Activation:
    """Return the default non-linearity of a network."""
    own = architecture in {
        Architecture.LITE0,  # ReLU6, which has no name of its own here
        *(size.architecture for size in GraftSize),
    }
    return GRAFT_ACTIVATION if own else Activation.HARDSWISH


def entries(shipped: Path = SHIPPED_FOLDER) -> dict[str, ZooEntry]:
    """Return all known weights by name, the shipped ones first.

    Args:
        shipped: Folder of ``NAME.safetensors`` with ``NAME.json`` beside it.

    Raises:
        TrainingError: A sidecar is damaged.
    """
    own = [_shipped_entry(path) for path in sorted(shipped.glob("*.json"))]
    return {entry.name: entry for entry in (*own, *PUBLISHED)}


def find_weights(
    source: str,
    *,
    offline: Path | None = None,
    cache: Path | None = None,
    shipped: Path = SHIPPED_FOLDER,
    show_progress: bool = True,
) -> Path:
    """Return the local, verified file of a name; or the path that was given.

    Args:
        source: A name of ``entries``, or the path of a file.
        offline: Folder searched first; default ``GRAFTLINE_WEIGHTS_DIR``.
        cache: Where downloads are kept; default ``GRAFTLINE_CACHE``, else
            ``~/.cache/graftline/weights``.
        shipped: Folder of the weights that come with the product.

    Raises:
        TrainingError: Unknown, damaged, or not available; names the file to provide.
    """
    known = entries(shipped)
    if source not in known:
        return _own_file(source, known)
    entry = known[source]
    offline = offline or _folder_of(OFFLINE_VARIABLE)
    cache = (
        cache or _folder_of(CACHE_VARIABLE) or Path.home() / ".cache/graftline/weights"
    )
    for folder in (offline, shipped):
        if folder and (folder / entry.file).is_file():
            return _verified(entry, folder / entry.file)
    if entry.is_shipped:
        raise _unavailable(entry, shipped, "The file is not in this installation.")
    return _from_cache_or_network(entry, cache, offline, show_progress=show_progress)


def load_weights(
    detector: TrainableDetector,
    source: str | Path,
    *,
    offline: Path | None = None,
    cache: Path | None = None,
    shipped: Path = SHIPPED_FOLDER,
) -> TransferReport | None:
    """Find weights and graft them onto a detector.

    Args:
        detector: Changed in place.
        source: A name of ``entries``, a file, or ``none``.
        offline: As for ``find_weights``, like ``cache`` and ``shipped``.

    Returns:
        The grafted weights; None for ``none``.

    Raises:
        TrainingError: Not available, damaged, or for another network.
    """
    if str(source) == NO_WEIGHTS:
        return None
    entry = entries(shipped).get(str(source))
    if entry and entry.detector is not detector.architecture:
        known = entries(shipped).values()
        fitting = [e.name for e in known if e.detector is detector.architecture]
        raise TrainingError(
            f"Weights {entry.name} do not fit the detector {detector.architecture}.",
            why=f"They fit {entry.detector}.",
            fix=f"train {entry.detector}, or give --weights "
            f"{' or '.join([*fitting, NO_WEIGHTS])}.",
        )
    path = find_weights(str(source), offline=offline, cache=cache, shipped=shipped)
    return graft(detector, path)


def _shipped_entry(sidecar: Path) -> ZooEntry:
    try:
        facts = Sidecar.model_validate_json(sidecar.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(
            f"The description {sidecar} of shipped weights is damaged.",
            why=str(error),
            fix="install Graftline again, or run the pretraining again.",
        ) from error
    return ZooEntry(
        name=sidecar.stem,
        detector=facts.detector,
        licence=facts.licence,
        url="",
        file=f"{sidecar.stem}.safetensors",
        sha256=facts.sha256,
        size_bytes=facts.size_bytes,
        activation=facts.activation,
        description=facts.description,
    )


def _own_file(source: str, known: dict[str, ZooEntry]) -> Path:
    path = Path(source).expanduser()
    if path.is_file():
        return path
    close = get_close_matches(source, known, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    raise TrainingError(
        f"Weights {source} do not exist.",
        why="It is neither a file nor a known name.",
        fix=f"{guess}Give a file, {NO_WEIGHTS}, or one of {', '.join(known)}.",
    )


def _folder_of(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None


def _verified(entry: ZooEntry, path: Path) -> Path:
    try:
        fault = download.fault_of(path, entry.wanted)
    except OSError as error:
        fault = str(error)
    if fault:
        raise _unavailable(entry, path.parent, f"{path}: {fault}.")
    return path


def _from_cache_or_network(
    entry: ZooEntry, cache: Path, offline: Path | None, *, show_progress: bool
) -> Path:
    path = cache / entry.file
    try:
        if path.is_file() and download.fault_of(path, entry.wanted) is None:
            return path
        with _bar(entry, visible=show_progress) as progress:
            download.fetch(entry.wanted, path, progress=progress)
    except download.DownloadError as error:
        reason = f"Download from {entry.url} failed: {error}."
        raise _unavailable(entry, offline or cache, reason) from error
    except OSError as error:
        reason = f"The cache folder {cache} cannot be written: {error.strerror}."
        raise _unavailable(entry, offline, reason) from error
    return path


@contextmanager
def _bar(entry: ZooEntry, *, visible: bool) -> Iterator[download.DownloadProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not visible) as bar:
        task = bar.add_task(entry.name, total=entry.size_bytes)
        yield lambda here, total: bar.update(task, completed=here, total=total)


def _unavailable(entry: ZooEntry, folder: Path | None, reason: str) -> TrainingError:
    place = f"{folder}" if folder else f"a folder named by {OFFLINE_VARIABLE}"
    return TrainingError(
        f"Weights {entry.name} cannot be used.",
        why=reason,
        fix=f"put {entry.file} with sha256 {entry.sha256} into {place}"
        f"{f' (from {entry.url})' if entry.url else ''}, set {OFFLINE_VARIABLE} to a "
        f"folder that has it, or give --weights FILE or --weights {NO_WEIGHTS}.",
    )
