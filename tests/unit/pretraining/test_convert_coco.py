"""The shipped COCO weights are exactly what the conversion writes."""

from pathlib import Path

import pytest
import torch

from models.errors import TrainingError
from pretraining import convert_coco
from pretraining.pretrain import PRETRAINED
from trainer.detectors import zoo
from trainer.detectors.names import Activation, Architecture

FILES = (f"{convert_coco.NAME}.safetensors", f"{convert_coco.NAME}.json")


def test_conversion_writes_the_shipped_files_bit_by_bit(
    shared: Path, tmp_path: Path
) -> None:
    source = shared / "weights" / "yolox_nano_coco.pth"
    assert convert_coco.main([str(source), "--out", str(tmp_path)]) == 0
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (PRETRAINED / name).read_bytes(), name


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(TrainingError, match="is not the file that yolox-nano-coco"):
        convert_coco.convert(tmp_path / "other.pth", tmp_path)
    assert not (tmp_path / FILES[0]).exists()


def test_card_describes_weights_of_yolox_nano_with_silu() -> None:
    entry = zoo.entries()[convert_coco.NAME]
    assert (entry.detector, entry.activation) == (
        Architecture.YOLOX_NANO,
        Activation.SILU,
    )
    assert entry.licence == "Apache-2.0"
    assert entry.url == ""  # no network
