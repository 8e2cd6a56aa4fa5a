"""Good parts that decide the threshold, for a person, the page and programs."""

from models.detections import Detections
from tests.unit.trainer.report.test_unknown import dataset_of
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.deciding import DecidingPhotos
from trainer.report.deciding import deciding_study


def test_photo_and_cost_are_in_the_line_the_page_and_the_document(
    photos: list[Photo], found: list[Detections]
) -> None:
    deciding = DecidingPhotos(
        photos=((photos[3], found[3]),),
        parts=1,
        threshold=0.75,
        threshold_without=0.3,
        recall=0.25,
        recall_without=0.8333,
    )
    study = deciding_study(dataset_of(photos, ("dot", "bar")), deciding)
    (line,), (section,) = study.lines, study.sections
    assert line.startswith("1 good part decides the threshold: ")
    assert "part-3&.png (bar, score 0.70). Without it 83% of the defects" in line
    assert "threshold of 0.30, not 25% at 0.75. Look at it: label a defect" in line
    assert section.count("<figure>") == 1
    assert ">bar 0.70</" in section
    assert "part-3&amp;.png (bar" in section
    assert study.document["recall_without"] == 0.8333
    assert study.document["photos"] == [
        {
            "photo": str(photos[3].path),
            "sha256": photos[3].sha256,
            "label": "bar",
            "score": 0.7,
        }
    ]
