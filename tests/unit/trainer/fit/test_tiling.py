"""Large photos with small defects are cut, trained on, packed and found as tiles."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import ConfigError
from models.golden import read_golden, run_golden
from models.manifest import SCHEMA_VERSION, VariantName
from models.tiles import Tiles
from trainer.data.dataset import Photo, open_dataset
from trainer.data.sampling.tiles import TrainingTiles, cut_photo
from trainer.detectors.weights import TransferReport
from trainer.evaluation.evaluate import evaluate, open_model
from trainer.evaluation.metrics import predict_photos
from trainer.fit.engine import StepReport
from trainer.fit.options import Recipe, TrainOptions, resolve
from trainer.fit.recipe import train
from trainer.fit.tiling import TileMode, choose_tiles
from trainer.ship.calibration import choose_calibration
from trainer.ship.pack import pack_run

PLAN = Tiles(160, 240, 128, 128, 32)


class Silent:
    """An observer that does nothing."""

    def begin(
        self, recipe: Recipe, transfer: TransferReport | None, steps: int
    ) -> None:
        """Do nothing."""

    def step(self, epoch: int, report: StepReport) -> None:
        """Do nothing."""

    def reduced(self, text: str) -> None:
        """Ignore the text."""

    def measuring(self, photos: int) -> Callable[[], None]:
        """Do nothing."""
        assert photos
        return lambda: None


def photo(*boxes: tuple[float, float, float, float], side: int = 2400) -> Photo:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64)
    return Photo(Path("p.png"), "0" * 64, side, side * 3 // 4, rows, labels)


def write_small_defects(folder: Path, train_count: int = 8, val: int = 4) -> Path:
    """Write 240 x 160 photos with bright defects of 12 px, and good ones."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "good").mkdir()
    for split, count in (("train", train_count), ("val", val)):
        images, annotations = [], []
        for number in range(count):
            picture = rng.integers(90, 120, (160, 240, 3)).astype(np.uint8)
            x, y = int(rng.integers(4, 220)), int(rng.integers(4, 140))
            picture[y : y + 12, x : x + 12] = 240
            name = f"{split}{number}.png"
            assert cv2.imwrite(str(folder / "images" / name), picture)
            images.append({"id": number, "file_name": name})
            annotations.append(
                {"image_id": number, "category_id": 1, "bbox": [x, y, 12, 12]}
            )
        document = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "spot"}],
        }
        (folder / f"{split}.json").write_text(json.dumps(document))
    for number in range(4):
        picture = rng.integers(90, 120, (160, 240, 3)).astype(np.uint8)
        assert cv2.imwrite(str(folder / "good" / f"g{number}.png"), picture)
    return folder


def test_defects_lost_at_the_largest_input_need_tiles() -> None:
    tiles = choose_tiles([photo((100, 100, 112, 114))], None, TileMode.AUTO)
    assert tiles is not None
    assert (tiles.tile_height_px, tiles.tile_width_px) == (640, 640)
    assert 10 <= 12 * tiles.picture_width_px / 2400 <= 12
    assert tiles.overlap_px >= 14 * tiles.picture_width_px / 2400


@pytest.mark.parametrize(
    ("photos", "size_px", "option"),
    [
        ([photo((100, 100, 130, 130))], None, TileMode.AUTO),  # 12 px at 1024
        ([photo((0, 0, 5, 5), side=800)], None, TileMode.AUTO),  # nothing to gain
        ([photo((100, 100, 112, 114))], 1280, TileMode.AUTO),  # a size was asked for
        ([photo((100, 100, 112, 114))], None, TileMode.OFF),
        ([photo()], None, TileMode.AUTO),
    ],
)
def test_other_photos_stay_whole(
    photos: list[Photo], size_px: int | None, option: TileMode
) -> None:
    assert choose_tiles(photos, size_px, option) is None


@pytest.mark.parametrize("option", [(100, 128), (32, 32), (2432, 2432)])
def test_tiles_that_cannot_be_an_input_or_cut_nothing_are_refused(
    option: tuple[int, int],
) -> None:
    with pytest.raises(ConfigError, match="--tiles"):
        choose_tiles([photo((0, 0, 9, 9))], None, option)


def test_tile_with_a_cut_box_is_neither_good_nor_defective() -> None:
    # 6 of its 20 px are in the left tiles, all of it is in the others
    wide = replace(photo((122, 40, 142, 60)), width_px=240, height_px=160)
    cut = cut_photo(wide, PLAN)
    assert PLAN.corners()[:4] == [(0, 0), (56, 0), (112, 0), (0, 32)]
    assert [tile.corner for tile in cut] == [(56, 0), (112, 0), (56, 32), (112, 32)]
    np.testing.assert_allclose(cut[0].as_photo.boxes, [[66, 40, 86, 60]])


def test_training_tiles_have_the_scale_of_the_detector(
    tmp_path: Path,
) -> None:
    photos = open_dataset(write_small_defects(tmp_path / "d")).splits["train"]
    data = TrainingTiles(photos, PLAN)
    assert any(one.is_good for one in data.photos)
    for index, seen in enumerate(data.photos):
        pixels, boxes = data._read_with_boxes(index)  # noqa: SLF001 (before chance)
        assert pixels.shape == (128, 128, 3)
        for x1, y1, x2, y2 in boxes.astype(int):
            assert (pixels[y1:y2, x1:x2] == 240).all()
        assert (pixels == 240).any() == (not seen.is_good)


def test_tiles_are_trained_packed_and_evaluated_alike(tmp_path: Path) -> None:
    dataset = open_dataset(write_small_defects(tmp_path / "d", 4, 2))
    options = TrainOptions(weights="none", epochs=1, batch=4, tiles=(128, 128))
    recipe = resolve(options, dataset.splits["train"])
    assert recipe.tiles == PLAN
    (tmp_path / "run").mkdir()
    outcome = train(dataset, options, tmp_path / "run", Silent(), resume=False)
    assert outcome.run.record.tiles == PLAN
    report = pack_run(
        outcome.run, dataset, tmp_path / "p", on_progress=lambda _: None, int8=False
    )
    manifest = report.package.manifest
    assert manifest.schema_version == SCHEMA_VERSION
    assert manifest.tiling() == PLAN
    assert report.as_json()["inferences_per_frame"] == 6
    assert "each frame takes 6 inferences" in str(report)
    for variant in (VariantName.OPENVINO_FP32, VariantName.ONNX_FP32):
        subject = open_model(tmp_path / "p", variant)
        result = run_golden(
            subject.detector,
            read_golden(report.package),
            manifest,
            manifest.variants[variant].tolerances["f32"],
        )
        assert result.passed
        found = evaluate(subject, dataset, "val").found
        for mine, theirs in zip(outcome.found, found, strict=True):
            assert len(mine) == len(theirs)
            np.testing.assert_allclose(mine.scores, theirs.scores, atol=0.01)
    again = open_model(tmp_path / "run", None)
    same = predict_photos(again.detector, outcome.photos, 1)
    assert [len(each) for each in same] == [len(each) for each in outcome.found]


def test_int8_is_calibrated_with_tiles_that_show_the_defect(tmp_path: Path) -> None:
    photos = open_dataset(write_small_defects(tmp_path / "d")).splits["train"]
    plan = choose_calibration(
        photos, seed=0, input_height_px=128, input_width_px=128, tiles=PLAN
    )
    for one in plan.photos:
        image = plan.read(one)
        assert image.shape == (1, 3, 128, 128)
        assert (image == 240).any() == (not one.is_good)
