"""The shipped default weights: a mean of COCO's and of drawn pictures'."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import TrainingError
from models.files import sha256_of
from pretraining import convert_coco, mix_weights, pretrain
from pretraining.batches import StreamConfig, draw_batch
from pretraining.pretrain import PRETRAINED, PretrainRecipe
from trainer.detectors import zoo
from trainer.detectors.names import Activation, Architecture
from trainer.fit.choices import DEFAULT_WEIGHTS

pytestmark = pytest.mark.usefixtures("one_thread")

COCO = PRETRAINED / f"{convert_coco.NAME}.safetensors"


def drawn(folder: Path) -> Path:
    """Train one step from the COCO weights, and return the checkpoint."""
    recipe = PretrainRecipe(
        Architecture.YOLOX_NANO, (64,), 2, 4, 0, start=convert_coco.NAME
    )
    first = pretrain.start_training(replace(recipe, learning_rate=0.1))
    pretrain.train_batch(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    pretrain.log_progress(first, 10.0)
    return pretrain.export_checkpoint(first, folder)


def test_each_tensor_is_the_mean_of_both_by_its_share(tmp_path: Path) -> None:
    other = drawn(tmp_path / "drawn")
    out = tmp_path / "out"
    out.mkdir()
    assert mix_weights.main([str(other), "--share", "0.25", "--out", str(out)]) == 0
    mixed = load_file(out / f"{mix_weights.NAME}.safetensors")
    before, after = load_file(COCO), load_file(other)
    name = "backbone.backbone.stem.conv.conv.weight"
    expected = 0.75 * before[name].float() + 0.25 * after[name].float()
    torch.testing.assert_close(mixed[name].float(), expected, atol=1e-3, rtol=1e-3)
    classes = "head.cls_preds.0.weight"  # of the drawn defects: COCO has others
    assert torch.equal(mixed[classes], after[classes])
    card = json.loads((out / f"{mix_weights.NAME}.json").read_text("utf-8"))
    assert card["drawn_share"] == 0.25
    assert card["drawn"]["images"] == 2
    assert card["photos_sha256"] == sha256_of(COCO)
    model = zoo.build_detector(Architecture.YOLOX_NANO, 2)
    report = zoo.load_weights(model, mix_weights.NAME, shipped=out)
    assert report is not None
    assert report.transferred == 636  # all but the classes


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(TrainingError, match="not of the network"):
        mix_weights.mix(COCO, tmp_path / "a.safetensors", tmp_path)


def test_shipped_weights_are_the_default_and_lie_between_their_sources() -> None:
    assert DEFAULT_WEIGHTS == mix_weights.NAME
    entry = zoo.entries()[DEFAULT_WEIGHTS]
    assert (entry.detector, entry.activation, entry.licence, entry.url) == (
        *(Architecture.YOLOX_NANO, Activation.HARDSWISH),
        *("Apache-2.0", ""),
    )
    card = json.loads((PRETRAINED / f"{DEFAULT_WEIGHTS}.json").read_text("utf-8"))
    assert card["photos_sha256"] == sha256_of(COCO)
    assert card["drawn"]["images"] == 128_000
    assert card["drawn"]["recipe"]["start"] == convert_coco.NAME
    mixed, coco = (
        load_file(PRETRAINED / f"{DEFAULT_WEIGHTS}.safetensors"),
        load_file(COCO),
    )
    near = [
        torch.nn.functional.cosine_similarity(
            mixed[name].float().flatten(), value.float().flatten(), dim=0
        )
        for name, value in coco.items()
        if name.endswith("conv.weight") and mixed[name].shape == value.shape
    ]
    assert len(near) > 50
    assert 0.9 < torch.stack(near).mean() < 0.99999
