"""Good photos that are the least like the others are offered for labelling."""

import json
from pathlib import Path

from models.detections import no_detections
from tests.simulators.photos import write_good
from tests.simulators.records import make_record
from trainer.data.dataset import open_dataset
from trainer.label_errors.unlike_good import write_unlike_good
from trainer.run_record import UnknownRecord, UnlikePhoto


def test_place_of_each_photo_is_written_as_a_box_to_check(tmp_path: Path) -> None:
    dataset = open_dataset(write_good(tmp_path / "d", 3))
    photos = dataset.photos
    highest = [
        UnlikePhoto(
            photo=dataset.relative(photo.path),
            sha256=sha256,
            score=score,
            box_px=(1, 2, 11, 22),
            held_out=False,
        )
        for photo, sha256, score in zip(
            photos,
            # the second photo is gone, the third one is like the others
            (photos[0].sha256, "f" * 64, photos[2].sha256),
            (0.8, 0.7, 0.0),
            strict=True,
        )
    ]
    record = make_record(photos, [no_detections()] * 3, ("dot", "unknown"))
    unknown = UnknownRecord(
        rows=1, inputs=1, good_photos=3, seconds=1, cell_px=16, highest=tuple(highest)
    )
    record = record.model_copy(update={"unknown": unknown})
    assert write_unlike_good(tmp_path / "suspects", dataset, record) == 1
    [row] = json.loads((tmp_path / "suspects/suspects.json").read_text())["suspects"]
    assert row["photo"] == dataset.relative(photos[0].path)
    assert row["seen"] == {"label": "unknown", "box_px": [1, 2, 11, 22], "score": 0.8}
    coco = json.loads((tmp_path / "suspects/coco.json").read_text())
    [box] = coco["annotations"]
    assert box["bbox"] == [1, 2, 10, 20]
    [name] = [c["name"] for c in coco["categories"] if c["id"] == box["category_id"]]
    assert name == "unknown"
