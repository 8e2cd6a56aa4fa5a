"""Pretraining resumes exactly, and exports weights that the zoo loads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import models
from pretraining import pretrain
from pretraining.batches import StreamConfig, draw_batch
from pretraining.pretrain import LongSchedule, PretrainRecipe
from trainer.detectors import zoo
from trainer.detectors.names import Architecture

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = PretrainRecipe(sizes_px=(64,), batch=2, steps=4, agnostic_steps=2)


def test_learning_rate_stays_on_a_plateau_then_falls() -> None:
    schedule = LongSchedule(2.0, steps=1000, warmup_steps=10)
    rates = [schedule.at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.2)
    assert set(rates[10:750]) == {2.0}
    assert rates[749] > rates[800] > rates[900] > rates[998] > 0
    longer = LongSchedule(2.0, steps=2000, warmup_steps=10)
    assert [longer.at(step) for step in range(750)] == rates[:750]


def test_defects_are_one_class_first_then_several() -> None:
    samples = draw_batch(StreamConfig((96,), batch=8, seed=0), 0)
    _, agnostic = pretrain.collate(samples, agnostic=True)
    images, named = pretrain.collate(samples, agnostic=False)
    assert images.shape == (8, 3, 96, 96)
    assert {int(label) for target in agnostic for label in target.labels} == {0}
    assert len({int(label) for target in named for label in target.labels}) > 1
    for one, other in zip(agnostic, named, strict=True):
        assert torch.equal(one.boxes, other.boxes)


def test_interrupted_training_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = pretrain.pretrain(RECIPE, tmp_path / "whole.pt", workers=1)
    first = pretrain.start_training(RECIPE)
    for number in range(2):
        pretrain.train_batch(first, draw_batch(StreamConfig((64,), 2, 0), number))
    pretrain.save_state(first, tmp_path / "parts.pt")
    parts = pretrain.pretrain(RECIPE, tmp_path / "parts.pt", workers=1)
    assert parts.training.step == whole.training.step == RECIPE.steps
    assert parts.loss == whole.loss
    expected = whole.training.average.model.state_dict()
    for name, value in parts.training.average.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_shipped_weights_are_found_by_name_and_fit(tmp_path: Path) -> None:
    pretraining = pretrain.start_training(RECIPE)
    pretrain.train_batch(pretraining, draw_batch(StreamConfig((64,), 2, 0), 0))
    pretrain.log_progress(pretraining, 10.0)
    path = pretrain.export_checkpoint(pretraining, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card["images"] == 2
    assert card["log"][0]["step"] == 1
    assert {value.dtype for value in load_file(path).values()} <= {
        torch.float16,
        torch.int64,
    }
    entry = zoo.entries(tmp_path)["graft-n-synthetic"]
    assert entry.activation is zoo.usual_activation(Architecture.GRAFT_N)
    model = zoo.build_detector(Architecture.GRAFT_N, 2, entry.activation)
    transfer = zoo.load_weights(model, "graft-n-synthetic", shipped=tmp_path)
    assert transfer is not None
    trained = pretraining.training.average.model.state_dict()
    name = "backbone.backbone.stem.conv.conv.weight"
    torch.testing.assert_close(
        model.state_dict()[name], trained[name], atol=1e-3, rtol=1e-3
    )


def test_second_round_continues_from_the_first(tmp_path: Path) -> None:
    first = pretrain.start_training(RECIPE)
    pretrain.train_batch(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    path = pretrain.export_checkpoint(first, tmp_path)
    second = pretrain.start_training(replace(RECIPE, seed=1, start=str(path)))
    expected = first.training.average.model.state_dict()
    for name, value in second.training.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3)


def test_backbone_that_learned_from_photos_can_keep_its_weights(tmp_path: Path) -> None:
    first = pretrain.start_training(replace(RECIPE, backbone_share=0.0))
    before = {name: p.clone() for name, p in first.training.model.named_parameters()}
    pretrain.train_batch(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    changed = {
        name
        for name, value in first.training.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert changed
    assert not any(name.startswith("backbone.backbone.") for name in changed)
    path = pretrain.export_checkpoint(first, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card["recipe"]["backbone_share"] == 0.0


def test_card_of_a_second_round_counts_and_names_the_first(tmp_path: Path) -> None:
    """The same holds where the second replaces the first and is exported again."""
    first = pretrain.start_training(RECIPE)
    pretrain.train_batch(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    path = pretrain.export_checkpoint(first, tmp_path)
    sha256 = json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"]
    recipe = replace(RECIPE, seed=1, start=str(path))
    second = pretrain.start_training(recipe)
    for number in (0, 1):
        pretrain.train_batch(second, draw_batch(StreamConfig((64,), 2, 1), number))
    pretrain.save_state(second, tmp_path / "state.pt")
    pretrain.export_checkpoint(second, tmp_path)
    again = pretrain.start_training(recipe)
    pretrain.load_state(again, tmp_path / "state.pt")
    pretrain.export_checkpoint(again, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card["images"] == 2 + 4
    assert "trained on 6 drawn pictures" in card["description"]
    assert card["earlier"]["sha256"] == sha256
    assert card["earlier"]["images"] == 2
    assert card["earlier"]["recipe"]["seed"] == RECIPE.seed


def test_value_too_large_for_float16_stays_float32(tmp_path: Path) -> None:
    pretraining = pretrain.start_training(RECIPE)
    pretrain.train_batch(pretraining, draw_batch(StreamConfig((64,), 2, 0), 0))
    name = "backbone.backbone.stem.conv.bn.running_var"
    pretraining.training.average.model.state_dict()[name].fill_(1e5)
    path = pretrain.export_checkpoint(pretraining, tmp_path)
    model = zoo.build_detector(Architecture.GRAFT_N, 2)
    assert zoo.load_weights(model, str(path))
    assert (model.state_dict()[name] == 1e5).all()


def test_command_trains_and_exports(tmp_path: Path) -> None:
    options = ("--steps", "1", "--sizes", "64", "--batch", "2", "--workers", "1")
    paths = ("--out", str(tmp_path), "--state", str(tmp_path / "state" / "s.pt"))
    assert pretrain.main([*options, *paths]) == 0
    assert (tmp_path / "graft-n-synthetic.safetensors").exists()
    assert (tmp_path / "state" / "s.pt").exists()


def test_default_output_is_the_folder_of_shipped_weights() -> None:
    assert pretrain.PRETRAINED.samefile(Path(models.__file__).parent / "pretrained")
