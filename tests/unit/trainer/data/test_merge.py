"""An export merged into a dataset: nothing overwritten, no split changed."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.errors import DatasetError, TrainingError
from models.label_files import LabelledBox, LabelledPicture, coco_text, labels_of
from models.messages import ModelInForce
from models.photo_provenance import (
    AlertOrigin,
    PhotoOrigin,
    PhotoVerdict,
    Provenance,
    ProvenBox,
)
from tests.command import Answer, graftline
from trainer.data.dataset import open_dataset
from trainer.data.merge import Merge, plan_merge, write_merge
from trainer.data.splitting.split_record import read_split_record, write_split_record

WIDTH, HEIGHT = 96, 64
BOX = (16.0, 8.0, 40.0, 30.0)


def draw(path: Path, seed: int) -> str:
    """Write a picture that no other looks like; return the hash of its file."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 6, 3), np.uint8)
    pixels = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def boxed(name: str, label: str = "dent", **changes: Any) -> LabelledPicture:
    return LabelledPicture(name, WIDTH, HEIGHT, (LabelledBox(label, BOX, **changes),))


class Data:
    """A dataset with splits, and an export of the dashboard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dataset, self.export = folder / "data", folder / "export"
        for number, split in enumerate(("train", "val")):
            names = [f"images/{split}-{n}.png" for n in range(2)]
            for n, name in enumerate(names):
                draw(self.dataset / name, 10 * number + n)
            text = coco_text([boxed(name) for name in names], ["dent"])
            (self.dataset / f"{split}.json").write_text(text)
        for n in range(6):
            draw(self.dataset / "good" / f"{n}.png", 100 + n)
        self.origins: dict[str, PhotoOrigin] = {}
        self.pictures: list[LabelledPicture] = []

    def add(
        self,
        name: str,
        seed: int,
        verdict: PhotoVerdict,
        label: str = "dent",
        score: float | None = None,
    ) -> None:
        """Add a photo to the export."""
        sha256 = draw(self.export / name, seed)
        labelled: tuple[ProvenBox, ...] = ()
        if verdict is not PhotoVerdict.GOOD:
            self.pictures.append(boxed(name, label, score=score))
            labelled = (ProvenBox(label=label, score=0.6, box_px=BOX),)
        alert = AlertOrigin(
            id=f"press-1:{seed}",
            at=datetime(2026, 1, 1, tzinfo=UTC),
            site="plant",
            line="line-1",
            station="press-1",
            camera="top",
            frame_id=seed,
            model=ModelInForce(name="boards", build=1, sha256="ab" * 32),
            detections=labelled,
            judged_by="anna",
        )
        self.origins[sha256] = PhotoOrigin(
            photo=name,
            verdict=verdict,
            is_thumbnail=True,
            labelled=labelled,
            alerts=(alert,),
        )

    def finish(self) -> None:
        """Write labels and provenance of the export."""
        text = coco_text(self.pictures, labels_of(self.pictures))
        (self.export / "all.json").write_text(text)
        content = Provenance(
            exported_at=datetime(2026, 1, 2, tzinfo=UTC),
            exported_by="anna",
            photos=self.origins,
        )
        (self.export / "provenance.json").write_text(content.model_dump_json())

    def merge(self, out: str = "new", into: Path | None = None) -> Merge:
        merge = plan_merge(self.export, into or self.dataset)
        write_merge(merge, self.export, self.folder / out)
        return merge

    def state(self) -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in sorted(self.dataset.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def sides(folder: Path) -> dict[str, str]:
    """Return the subset of each photo that training sees, by its hash."""
    record = open_dataset(folder).split_assignment.record
    return {sha256: place.side for sha256, place in record.photos.items()}


def test_false_alarm_and_defect_are_added_to_train(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.add("images/b.png", 201, PhotoVerdict.DEFECT, "stain")
    data.finish()
    merge = data.merge()
    assert merge.added == {"train": 2}
    assert merge.good == 1
    merged = open_dataset(data.folder / "new")
    assert merged.labels == ("dent", "stain")
    assert not [each for each in merged.findings if each.level == "error"]
    [stain] = [p for p in merged.splits["train"] if 1 in p.labels]
    assert stain.boxes.tolist() == [list(BOX)]
    assert (data.folder / "new" / "good" / "a.png").is_file()


def test_every_photo_keeps_its_split_also_the_good_parts(data: Data) -> None:
    before = sides(data.dataset)
    for seed in range(200, 205):
        data.add(f"good/{seed}.png", seed, PhotoVerdict.GOOD)
    data.finish()
    data.merge()
    after = sides(data.folder / "new")
    assert {sha256: after[sha256] for sha256 in before} == before
    new = set(after) - set(before)
    assert len(new) == 5
    # As a flat good/ is divided: false alarms are measured on too.
    assert [after[each] for each in sorted(new)] == ["train", "val"] * 2 + ["train"]


def test_dataset_without_splits_keeps_those_of_a_run(data: Data) -> None:
    (data.dataset / "val.json").unlink()
    (data.dataset / "train.json").rename(data.dataset / "all.json")
    for name in ("images/val-0.png", "images/val-1.png"):
        (data.dataset / name).unlink()
    run = data.folder / "run"
    run.mkdir()
    opened = open_dataset(data.dataset)
    write_split_record(run, opened.split_assignment)
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.add("images/b.png", 201, PhotoVerdict.DEFECT)
    data.finish()
    assert data.merge().added == {"all": 2}
    record = read_split_record(run)
    answer = check(data.folder / "new", "--split-like", str(run))
    assert answer.code == 0, answer.errors
    known = {sha256: place.side for sha256, place in record.photos.items()}
    assert known.items() <= sides_like(data.folder / "new", run).items()


def sides_like(folder: Path, run: Path) -> dict[str, str]:
    from trainer.data.splitting.split_record import split_options_of

    opened = open_dataset(folder, split=split_options_of(run))
    places = opened.split_assignment.record.photos
    return {sha256: place.side for sha256, place in places.items()}


def test_photo_of_a_scene_that_is_measured_on_is_not_trained_on(data: Data) -> None:
    pixels = cv2.imread(str(data.dataset / "images" / "val-0.png"))
    assert pixels is not None
    noisy = pixels.astype(np.int16) + np.random.default_rng(3).integers(-1, 2, 1)
    data.add("images/b.png", 201, PhotoVerdict.DEFECT)
    path = data.export / "images" / "b.png"
    assert cv2.imwrite(str(path), noisy.clip(0, 255).astype(np.uint8))
    data.finish()
    assert data.merge().added == {"val": 1}


def test_twin_in_the_export_is_compared_by_the_labels_of_the_export(
    data: Data,
) -> None:
    data.add("images/a.png", 200, PhotoVerdict.DEFECT, "stain")
    data.add("images/b.png", 201, PhotoVerdict.DEFECT, "burr")
    data.add("images/c.png", 201, PhotoVerdict.DEFECT, "burr")
    data.finish()
    merge = plan_merge(data.export, data.dataset)
    assert (merge.added, merge.known, merge.disputed) == ({"train": 2}, 1, [])


def test_good_part_of_a_scene_that_is_trained_on_is_not_measured_on(
    data: Data,
) -> None:
    trained = [p for p in open_dataset(data.dataset).splits["train"] if p.is_good]
    for number in range(2):  # the second one by hash would be measured on
        pixels = cv2.imread(str(trained[number].path))
        assert pixels is not None
        name = f"good/{number}.png"
        data.add(name, 200 + number, PhotoVerdict.GOOD)
        close = (pixels.astype(np.int16) + 1).clip(0, 255).astype(np.uint8)
        assert cv2.imwrite(str(data.export / name), close)
    data.finish()
    assert plan_merge(data.export, data.dataset).added == {"train": 2}


def test_second_merge_of_an_export_adds_nothing(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.add("images/b.png", 201, PhotoVerdict.DEFECT)
    data.finish()
    data.merge()
    again = data.merge("newer", into=data.folder / "new")
    assert not again.added
    assert again.known == 2
    first, second = data.folder / "new", data.folder / "newer"
    assert (first / "train.json").read_text() == (second / "train.json").read_text()


def test_originals_are_never_changed(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.finish()
    before = data.state()
    data.merge()
    with pytest.raises(TrainingError, match="not empty"):
        data.merge()
    with pytest.raises(TrainingError, match="inside the data set"):
        data.merge("data/new")
    with pytest.raises(TrainingError, match="inside the data set"):
        data.merge("export/new")
    assert data.state() == before


def test_photo_with_other_labels_in_the_dataset_is_named_and_left_out(
    data: Data,
) -> None:
    data.add("images/b.png", 100, PhotoVerdict.DEFECT)  # good/0.png of the dataset
    data.finish()
    merge = data.merge()
    assert merge.disputed == ["images/b.png"]
    assert not merge.added


def test_prediction_that_no_person_confirmed_is_left_out(data: Data) -> None:
    data.add("images/a.png", 200, PhotoVerdict.NONE, score=0.6)
    data.add("images/b.png", 201, PhotoVerdict.NONE, score=0.6)
    # A person has corrected the second one in an annotation tool.
    data.pictures[1] = LabelledPicture(
        "images/b.png", WIDTH, HEIGHT, (LabelledBox("dent", (1, 1, 30, 30)),)
    )
    data.finish()
    merge = plan_merge(data.export, data.dataset)
    assert merge.unchecked == 1
    assert merge.added == {"train": 1}
    everything = plan_merge(data.export, data.dataset, takes_predictions=True)
    assert everything.added == {"train": 2}


def test_defect_that_nobody_has_named_is_left_out(data: Data) -> None:
    for number, label in enumerate(("unknown", "crack")):
        name = f"images/{label}.png"
        data.add(name, 200 + number, PhotoVerdict.DEFECT)
        data.pictures[number] = boxed(name, label)
    data.finish()
    merge = plan_merge(data.export, data.dataset)
    assert (merge.unnamed, merge.added) == (1, {"train": 1})
    assert merge.dataset.labels == ("dent", "crack")
    assert merge.as_json()["not_named"] == 1


def test_class_unknown_of_the_dataset_itself_stays(data: Data) -> None:
    text = (data.dataset / "train.json").read_text()
    (data.dataset / "train.json").write_text(text.replace('"dent"', '"unknown"'))
    text = (data.dataset / "val.json").read_text()
    (data.dataset / "val.json").write_text(text.replace('"dent"', '"unknown"'))
    data.add("images/a.png", 200, PhotoVerdict.DEFECT)
    data.pictures[0] = boxed("images/a.png", "unknown")
    data.finish()
    merge = plan_merge(data.export, data.dataset)
    assert (merge.unnamed, merge.added) == (0, {"train": 1})
    assert merge.dataset.labels == ("unknown",)


def test_names_of_the_export_replace_no_photo_of_the_dataset(data: Data) -> None:
    before = (data.dataset / "good" / "0.png").read_bytes()
    data.add("good/0.png", 200, PhotoVerdict.GOOD)
    data.add("images/train-0.png", 201, PhotoVerdict.DEFECT)
    data.finish()
    data.merge()
    new = data.folder / "new"
    assert (new / "good" / "0.png").read_bytes() == before
    assert (new / "good" / "0-2.png").is_file()
    assert (new / "images" / "train-0-2.png").is_file()


def test_provenance_goes_along_and_is_no_label_file(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.finish()
    data.merge()
    again = Data(data.folder / "second")
    again.add("images/b.png", 201, PhotoVerdict.DEFECT)
    again.finish()
    merge = plan_merge(again.export, data.folder / "new")
    write_merge(merge, again.export, data.folder / "newest")
    path = data.folder / "newest" / "provenance.json"
    found = Provenance.model_validate_json(path.read_text())
    assert set(found.photos) == data.origins.keys() | again.origins.keys()
    assert check(data.folder / "newest").code == 0


@pytest.mark.parametrize("content", ["{", '{"schema_version": 99, "exported_at":'])
def test_damaged_provenance_is_refused(data: Data, content: str) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.finish()
    (data.export / "provenance.json").write_text(content)
    with pytest.raises(DatasetError, match=r"provenance\.json"):
        plan_merge(data.export, data.dataset)


def test_newer_provenance_is_refused(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.finish()
    path = data.export / "provenance.json"
    document = json.loads(path.read_text()) | {"schema_version": 99}
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="newer"):
        plan_merge(data.export, data.dataset)


def test_verb_prints_what_it_adds_and_what_it_leaves_out(data: Data) -> None:
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.add("images/b.png", 201, PhotoVerdict.NONE, score=0.6)
    data.finish()
    dry = graftline("merge", data.export, data.dataset, "--dry-run", cwd=data.folder)
    assert dry.code == 0
    assert "1 photo would be added (1 to train), 1 of them of good parts" in dry.output
    assert "only the model drew" in dry.output
    assert graftline("merge", data.export, data.dataset, cwd=data.folder).code == 4
    done = graftline(
        *("merge", data.export, data.dataset, "--out", "new", "--json"), cwd=data.folder
    )
    assert done.code == 0, done.errors
    assert done.json["added"] == {"train": 1}
    assert done.json["check"] is not None


def check(folder: Path, *options: str) -> Answer:
    return graftline("check", folder, *options, cwd=folder.parent)


def test_photos_of_bad_parts_stay(data: Data) -> None:
    draw(data.dataset / "bad" / "b.png", 150)
    draw(data.dataset / "bad" / "named.png", 151)
    data.add("images/named.png", 151, PhotoVerdict.DEFECT)  # now with its box
    draw(data.export / "good" / "twin.png", 150)  # the same picture, said to be good
    data.add("good/a.png", 200, PhotoVerdict.GOOD)
    data.finish()
    merge = data.merge()
    merged = open_dataset(data.folder / "new")
    assert [photo.path.name for photo in merged.bad] == ["b.png"]
    assert merge.disputed == ["good/twin.png"]
    assert merge.added["train"] == 2
