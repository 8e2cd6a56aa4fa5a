"""EfficientNet-Lite0 up to stride 16, a backbone without a head."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.errors import ConfigError
from trainer.detectors.lite0 import Lite0
from trainer.detectors.names import Architecture
from trainer.detectors.patch_memory import PatchMemory
from trainer.detectors.unknown import UnknownDetector, require_named
from trainer.detectors.zoo import SHIPPED_FOLDER, load_weights

NAME = "efficientnet-lite0-imagenet"
SOURCE = (
    Path(os.environ.get("GRAFTLINE_SHARED", "../shared"))
    / "weights/efficientnet_lite0_imagenet.safetensors"
)


@pytest.fixture(scope="module")
def network() -> Lite0:
    """Return the backbone with the shipped weights."""
    detector = Lite0(1)
    load_weights(detector, NAME)
    return detector.eval()


def test_shipped_tensors_are_those_of_the_publisher() -> None:
    source = load_file(SOURCE)
    shipped = load_file(SHIPPED_FOLDER / f"{NAME}.safetensors")
    assert set(shipped) == set(Lite0(1).state_dict())
    assert all(torch.equal(shipped[name], source[name]) for name in shipped)


def test_maps_have_strides_8_and_16(network: Lite0) -> None:
    with torch.inference_mode():
        fine, coarse = network(torch.full((1, 3, 64, 96), 90.0))
    assert fine.shape == (1, 40, 8, 12)
    assert coarse.shape == (1, 112, 4, 6)


def test_even_grey_gives_an_even_map_inside(network: Lite0) -> None:
    with torch.inference_mode():
        _, coarse = network(torch.full((1, 3, 512, 512), 127.0))
    middle = coarse[0, :, 14:18, 14:18]
    assert torch.allclose(middle, middle[:, :1, :1].expand_as(middle), atol=1e-3)


def test_memory_of_it_has_one_class(network: Lite0) -> None:
    model = UnknownDetector(network, PatchMemory(3, 152), 0)
    assert model.detections(torch.zeros(1, 3, 64, 64)).shape == (1, 5, 16)
    assert model.architecture is Architecture.LITE0


def test_named_classes_are_refused(network: Lite0) -> None:
    with pytest.raises(ConfigError, match="only for photos of good parts alone"):
        require_named(network)
    with pytest.raises(ConfigError, match="no head"):
        network.detections(torch.zeros(1, 3, 64, 64))
