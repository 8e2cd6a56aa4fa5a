"""What the report, the terminal and programs get of good parts that decide alone."""

from html import escape

from models.detections import Detections
from models.shown_text import printable
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.thresholds.deciding import DecidingPhotos
from trainer.report.document import Study
from trainer.report.photos import box_shape, photo_figure, text_shape

NAME = "deciding_good_parts"


def deciding_study(dataset: Dataset, deciding: DecidingPhotos) -> Study:
    """Return the section with the photos, the figures, and a line.

    Args:
        dataset: Its labels are those of the model.
    """
    sentence = deciding.sentence(dataset)
    figures = "".join(_figure(dataset, *row) for row in deciding.photos)
    section = (
        "<h2>Good parts that decide the threshold</h2>"
        f'<p>{escape(sentence)}</p><div class="gallery">{figures}</div>'
    )
    return Study(NAME, (section,), _document(dataset, deciding), (sentence,))


def _figure(dataset: Dataset, photo: Photo, found: Detections) -> str:
    """Return a photo with its best detection, which stands first."""
    box, score = found.boxes[0], float(found.scores[0])
    text = f"{dataset.labels[int(found.labels[0])]} {score:.2f}"
    shapes = [box_shape(box, "wrong", text), text_shape(box, "wrong", text, photo)]
    return photo_figure(photo, shapes, f"score {score:.2f}")


def _document(dataset: Dataset, deciding: DecidingPhotos) -> dict[str, object]:
    return {
        "photos": [
            {
                "photo": printable(dataset.relative(photo.path)),
                "sha256": photo.sha256,
                "label": dataset.labels[int(found.labels[0])],
                "score": round(float(found.scores[0]), 4),
            }
            for photo, found in deciding.photos
        ],
        "parts": deciding.parts,
        "threshold": deciding.threshold,
        "threshold_without": deciding.threshold_without,
        "recall": round(deciding.recall, 4),
        "recall_without": round(deciding.recall_without, 4),
    }
