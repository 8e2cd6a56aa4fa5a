"""The section of the report on the class unknown."""

import re
from pathlib import Path

from models.detections import Detections
from tests.simulators.records import make_record
from trainer.data.dataset import Dataset, Photo
from trainer.data.splitting.assign import assign_splits
from trainer.data.splitting.split_record import SplitOptions
from trainer.report.document import ReportFigures
from trainer.report.page import write_report
from trainer.report.unknown import unknown_section
from trainer.run_record import UnknownRecord, UnlikePhoto, VisibleSpots


def dataset_of(photos: list[Photo], labels: tuple[str, ...]) -> Dataset:
    root = Path("/data/boards")
    splits, division = assign_splits(root, {"val": photos}, [], SplitOptions())
    return Dataset(root, labels, splits, (), "a" * 64, division)


def unknown_record(photos: list[Photo], scores: list[float]) -> UnknownRecord:
    """Return a record whose highest photos have these scores."""
    return UnknownRecord(
        rows=8,
        inputs=4,
        good_photos=3,
        seconds=1,
        cell_px=16,
        scores=(0.1, 0.1, 0.6),
        held_out_scores=(0.9,),
        highest=tuple(
            UnlikePhoto(
                photo=photo.path.name,
                sha256=photo.sha256,
                score=score,
                box_px=(4, 6, 20, 30),
                held_out=score > 0.8,
            )
            for photo, score in zip(photos, scores, strict=False)
        ),
        visible=(
            VisibleSpots(contrast=16, photos=7, sides_px=(8, 16), seen=(0, 0.2)),
            VisibleSpots(contrast=128, photos=7, sides_px=(8, 16), seen=(0, 1)),
        ),
        sees=("The parts <lie> alike.",),
        notes=("look",),
    )


def test_photos_are_shown_with_the_place_of_their_score(photos: list[Photo]) -> None:
    record = unknown_record(photos, [0.9, 0.6, 0.0])
    html = unknown_section(dataset_of(photos, ("dot", "bar")), record, 0.7)
    assert html.count("<figure>") == 2  # a score of 0 is no place to look at
    assert html.count('class="box wrong" x="4.0" y="6.0" width="16.0"') == 2
    assert '<em class="bad">alarmed</em> score 0.90, held out' in html
    assert "score 0.60, in the memory" in html
    assert "label it, or move the photo out of good/" in html
    assert "suspects/" in html


def test_sentences_histogram_and_spots_are_shown(photos: list[Photo]) -> None:
    record = unknown_record(photos, [0.9])
    html = unknown_section(dataset_of(photos, ("dot", "bar")), record, 0.5)
    assert "<li>The parts &lt;lie&gt; alike.</li><li>look</li>" in html
    assert "4 photos of good parts" in html
    assert "2 at or right of the threshold" in html
    assert ">threshold 0.50</text>" in html
    counts = re.findall(r'class="bar (s\d)".*?<title>(\d+)</title>', html)
    assert counts == [("s0", "2"), ("s0", "1"), ("s1", "1")]
    assert "contrast 16 <span>none up to 16 px</span>" in html
    assert "contrast 128 <span>from 16 px</span>" in html


def test_report_of_a_run_with_unknown_has_the_section_and_its_figures(
    tmp_path: Path, photos: list[Photo], found: list[Detections]
) -> None:
    labels = ("dot", "unknown")
    plain = make_record(photos, found, labels)
    record = plain.model_copy(update={"unknown": unknown_record(photos, [0.9])})
    texts = []
    for each in (plain, record):
        write_report(
            tmp_path / "report.html",
            title="line",
            dataset=dataset_of(photos, labels),
            photos=photos,
            found=found,
            thresholds=each.thresholds,
            metrics=each.metrics,
            record=each,
        )
        texts.append((tmp_path / "report.html").read_text("utf-8"))
    assert "unknown can and cannot see" not in texts[0]
    assert texts[1].count("unknown can and cannot see") == 1
    written = (tmp_path / "report.json").read_text("utf-8")
    assert ReportFigures.model_validate_json(written).unknown == record.unknown
