"""Lists of labelled pictures as annotation tools open them: COCO, CVAT, Label Studio.

For corrections: a person opens the file in the tool the labels came from and accepts
or corrects each box. Label Studio gets the boxes as predictions, which it shows beside
those that people drew. The pictures themselves are not in these files.
Source: COCO data format; "CVAT for images 1.1"; Label Studio, import pre-annotations.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from models.shown_text import printable

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LABEL_STUDIO_URL = "/data/local-files/?d="  # pictures served from a local folder
WRITTEN_BY = "graftline"


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One box to show to a person."""

    label: str
    # pixels of the picture
    box_xyxy: tuple[float, float, float, float]
    score: float | None = None  # 0..1 where a detector drew it; None for a person's box
    note: str = ""  # what the person is to check; may be empty


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture and its boxes."""

    name: str  # path of the picture as the annotation tool knows it, with `/`
    width_px: int  # with the EXIF orientation applied, as is `height_px`
    height_px: int
    boxes: tuple[LabelledBox, ...] = ()  # empty for a good part


def coco_text(pictures: Sequence[LabelledPicture], labels: Sequence[str]) -> str:
    """Return pictures as COCO, in ASCII; boxes are read back to the last digit.

    Args:
        labels: Class names in the order of the file, also those without a box.
    """
    numbers = {name: number for number, name in enumerate(labels, 1)}
    annotations: list[dict[str, object]] = []
    for image, picture in enumerate(pictures, 1):
        for box in picture.boxes:
            x1, y1, x2, y2 = box.box_xyxy
            entry: dict[str, object] = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": numbers[box.label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            annotations.append(entry | _remarks(box))
    images = [
        {
            "id": number,
            "file_name": picture.name,
            "width": picture.width_px,
            "height": picture.height_px,
        }
        for number, picture in enumerate(pictures, 1)
    ]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    document = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(document, indent=1)


def cvat_text(pictures: Sequence[LabelledPicture]) -> str:
    """Return "CVAT for images 1.1"; score and note are attributes of each box."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>"]
    lines += ["<version>1.1</version>", "<meta><task><labels>"]
    fields = "".join(
        f"<attribute><name>{name}</name><mutable>False</mutable>"
        "<input_type>text</input_type><default_value></default_value>"
        "<values></values></attribute>"
        for name in ("score", "note")
    )
    lines += [
        f"<label><name>{_xml(name)}</name><attributes>{fields}</attributes></label>"
        for name in labels_of(pictures)
    ]
    lines += ["</labels></task></meta>"]
    for number, picture in enumerate(pictures):
        lines += [
            _cvat_image(number, picture),
            *(_cvat_box(box) for box in picture.boxes),
            "</image>",
        ]
    return printable("\n".join([*lines, "</annotations>", ""]))


def _cvat_image(number: int, picture: LabelledPicture) -> str:
    size = f'width="{picture.width_px}" height="{picture.height_px}"'
    return f'<image id="{number}" name="{_xml(picture.name)}" {size}>'


def _cvat_box(box: LabelledBox) -> str:
    x1, y1, x2, y2 = box.box_xyxy
    remarks = "".join(
        f'<attribute name="{name}">{_xml(str(value))}</attribute>'
        for name, value in _remarks(box).items()
    )
    source = "manual" if box.score is None else "auto"
    return (
        f'<box label="{_xml(box.label)}" source="{source}" occluded="0" '
        f'xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0">'
        f"{remarks}</box>"
    )


def label_studio_text(pictures: Sequence[LabelledPicture]) -> str:
    """Return Label Studio tasks whose boxes are predictions, in per cent."""
    tasks = [
        {
            "data": {"image": LABEL_STUDIO_URL + quote(picture.name, errors="replace")},
            "predictions": [
                {
                    "model_version": WRITTEN_BY,
                    "result": [
                        _region(picture, box, f"{number}-{place}")
                        for place, box in enumerate(picture.boxes)
                    ],
                }
            ],
        }
        for number, picture in enumerate(pictures, 1)
    ]
    return json.dumps(tasks, indent=1)


def _region(
    picture: LabelledPicture, box: LabelledBox, region: str
) -> dict[str, object]:
    x1, y1, x2, y2 = box.box_xyxy
    entry: dict[str, object] = {
        "id": region,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": picture.width_px,
        "original_height": picture.height_px,
        "image_rotation": 0,
        "value": {
            "x": 100 * x1 / picture.width_px,
            "y": 100 * y1 / picture.height_px,
            "width": 100 * (x2 - x1) / picture.width_px,
            "height": 100 * (y2 - y1) / picture.height_px,
            "rotation": 0,
            "rectanglelabels": [box.label],
        },
    }
    if box.score is not None:
        entry["score"] = box.score
    if box.note:
        entry["meta"] = {"text": [box.note]}
    return entry


def _remarks(box: LabelledBox) -> dict[str, object]:
    score = {} if box.score is None else {"score": round(box.score, 4)}
    return {**score, **({"note": box.note} if box.note else {})}


def labels_of(pictures: Iterable[LabelledPicture]) -> list[str]:
    """Return the class names in the order in which they appear."""
    return list(dict.fromkeys(box.label for p in pictures for box in p.boxes))


def _xml(text: str) -> str:
    """Return text for XML, without the characters that XML cannot hold."""
    return escape(NOT_IN_XML.sub("�", text))
