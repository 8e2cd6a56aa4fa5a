"""Pretraining: a stream by number, a training that goes on, weights that fit."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pretraining import pretrain
from pretraining.pretrain import (
    LongSchedule,
    PretrainRecipe,
    StreamConfig,
    draw_batch,
    numbered_batches,
)
from trainer.detectors import zoo
from trainer.detectors.base import Architecture

LESSON = StreamConfig((64, 96), batch=2, seed=3)
RECIPE = PretrainRecipe(sizes_px=(64,), batch=2, steps=4, agnostic_steps=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors on a busy machine: threads would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(one: list[pretrain.Sample], other: list[pretrain.Sample]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(
        np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True)
    )


def test_a_batch_is_its_number() -> None:
    assert same(draw_batch(LESSON, 5), draw_batch(LESSON, 5))
    assert not same(
        draw_batch(replace(LESSON, sizes_px=(64,)), 5), draw_batch(LESSON, 6)
    )
    assert not same(
        draw_batch(replace(LESSON, sizes_px=(64,)), 5),
        draw_batch(StreamConfig((64,), batch=2, seed=4), 5),
    )


def test_batches_have_one_size_each_and_all_sizes() -> None:
    batches = [draw_batch(LESSON, number) for number in range(12)]
    sides = [{row[0].shape for row in rows} for rows in batches]
    assert all(len(shapes) == 1 for shapes in sides)
    assert {next(iter(shapes))[0] for shapes in sides} == {64, 96}


def test_boxes_of_enlarged_pictures_stay_on_their_defects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def square(
        rng: np.random.Generator, size_px: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y = rng.integers(8, size_px - 24, 2)
        image = np.zeros((size_px, size_px, 3), np.uint8)
        image[y : y + 16, x : x + 16] = 255
        box = np.array([[x, y, x + 16, y + 16]], np.float32)
        return image, box, np.array([1])

    monkeypatch.setattr(pretrain, "sample", square)
    sides = []
    for seed in range(20):
        image, boxes, _ = pretrain.draw_row(np.random.default_rng(seed), 192)
        assert image.shape == (192, 192, 3)
        rows, columns = np.nonzero(image[:, :, 0] > 127)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(boxes[0], seen, atol=1.5)
        sides.append(boxes[0, 2] - boxes[0, 0])
    assert min(sides) == 16
    assert max(sides) > 24  # some are enlarged


@pytest.mark.parametrize("ahead", [False, True])
def test_workers_deliver_batches_in_order(*, ahead: bool) -> None:
    numbers = range(7, 7 + pretrain.CHUNK + 2)
    drawn = list(numbered_batches(LESSON, numbers, 2, ahead=ahead))
    assert len(drawn) == len(numbers)
    for number, rows in zip(numbers, drawn, strict=True):
        assert same(rows, draw_batch(LESSON, number))


def test_rate_stays_on_a_plateau_then_falls() -> None:
    schedule = LongSchedule(2.0, steps=1000, warmup_steps=10)
    rates = [schedule.at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.2)
    assert set(rates[10:750]) == {2.0}
    assert rates[749] > rates[800] > rates[900] > rates[998] > 0
    longer = LongSchedule(2.0, steps=2000, warmup_steps=10)
    assert [longer.at(step) for step in range(750)] == rates[:750]


def test_defects_are_one_class_first_then_their_kinds() -> None:
    rows = draw_batch(StreamConfig((96,), batch=8, seed=0), 0)
    _, agnostic = pretrain.collate(rows, agnostic=True)
    images, named = pretrain.collate(rows, agnostic=False)
    assert images.shape == (8, 3, 96, 96)
    assert {int(label) for target in agnostic for label in target.labels} == {0}
    assert len({int(label) for target in named for label in target.labels}) > 1
    for one, other in zip(agnostic, named, strict=True):
        assert torch.equal(one.boxes, other.boxes)


def test_an_interrupted_training_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    whole = pretrain.pretrain(RECIPE, tmp_path / "whole.pt", workers=1)
    first = pretrain.begin(RECIPE)
    for number in range(2):
        pretrain.learn(first, draw_batch(StreamConfig((64,), 2, 0), number))
    pretrain.save_state(first, tmp_path / "parts.pt")
    parts = pretrain.pretrain(RECIPE, tmp_path / "parts.pt", workers=1)
    assert parts.training.step == whole.training.step == RECIPE.steps
    assert parts.loss == whole.loss
    expected = whole.training.average.model.state_dict()
    for name, value in parts.training.average.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_shipped_weights_are_found_by_name_and_fit(tmp_path: Path) -> None:
    pretraining = pretrain.begin(RECIPE)
    pretrain.learn(pretraining, draw_batch(StreamConfig((64,), 2, 0), 0))
    pretrain.report(pretraining, 10.0)
    path = pretrain.ship(pretraining, tmp_path)
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


def test_a_second_round_goes_on_from_the_first(tmp_path: Path) -> None:
    first = pretrain.begin(RECIPE)
    pretrain.learn(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    path = pretrain.ship(first, tmp_path)
    second = pretrain.begin(replace(RECIPE, seed=1, start=str(path)))
    expected = first.training.average.model.state_dict()
    for name, value in second.training.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3)


def test_the_card_of_a_second_round_counts_and_names_the_first(tmp_path: Path) -> None:
    """Also when the second takes the place of the first, and is shipped again."""
    first = pretrain.begin(RECIPE)
    pretrain.learn(first, draw_batch(StreamConfig((64,), 2, 0), 0))
    path = pretrain.ship(first, tmp_path)
    sha256 = json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"]
    recipe = replace(RECIPE, seed=1, start=str(path))
    second = pretrain.begin(recipe)
    for number in (0, 1):
        pretrain.learn(second, draw_batch(StreamConfig((64,), 2, 1), number))
    pretrain.save_state(second, tmp_path / "state.pt")
    pretrain.ship(second, tmp_path)
    again = pretrain.begin(recipe)
    pretrain.load_state(again, tmp_path / "state.pt")
    pretrain.ship(again, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card["images"] == 2 + 4
    assert "trained on 6 drawn pictures" in card["description"]
    assert card["earlier"]["sha256"] == sha256
    assert card["earlier"]["images"] == 2
    assert card["earlier"]["recipe"]["seed"] == RECIPE.seed


def test_a_value_too_large_for_float16_is_shipped_as_it_is(tmp_path: Path) -> None:
    pretraining = pretrain.begin(RECIPE)
    pretrain.learn(pretraining, draw_batch(StreamConfig((64,), 2, 0), 0))
    name = "backbone.backbone.stem.conv.bn.running_var"
    pretraining.training.average.model.state_dict()[name].fill_(1e5)
    path = pretrain.ship(pretraining, tmp_path)
    model = zoo.build_detector(Architecture.GRAFT_N, 2)
    assert zoo.load_weights(model, str(path))
    assert (model.state_dict()[name] == 1e5).all()


def test_the_command_trains_and_ships(tmp_path: Path) -> None:
    words = ("--steps", "1", "--sizes", "64", "--batch", "2", "--workers", "1")
    places = ("--out", str(tmp_path), "--state", str(tmp_path / "state" / "s.pt"))
    assert pretrain.main([*words, *places]) == 0
    assert (tmp_path / "graft-n-synthetic.safetensors").exists()
    assert (tmp_path / "state" / "s.pt").exists()
