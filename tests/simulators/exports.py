"""Datasets as annotation tools export them, small: one module for all formats.

Every dataset shows the same two photos of 64 x 48 pixels, ``a.png`` with one ``dot`` at
``BOX`` and ``b.png`` without a defect.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 64, 48
BOX = (8.0, 12.0, 24.0, 36.0)  # xyxy, pixels
PERCENT = {"x": 12.5, "y": 25.0, "width": 25.0, "height": 50.0, "rotation": 0}


def write_picture(path: Path, seed: int = 0) -> None:
    """Write one photo, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 120, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def write_text(path: Path, text: str) -> Path:
    """Write one file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def voc_xml(filename: str, objects: str) -> str:
    """Return the XML of one photo."""
    size = f"<width>{WIDTH_PX}</width><height>{HEIGHT_PX}</height><depth>3</depth>"
    return (
        f"<annotation>\n<filename>{filename}</filename>\n<size>{size}</size>\n"
        f"{objects}\n</annotation>\n"
    )


def voc_object(box: tuple[float, ...] = BOX, name: str = "dot") -> str:
    """Return one object of VOC."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inside = "".join(f"<{tag}>{value:g}</{tag}>" for tag, value in corners)
    return f"<object>\n<name>{name}</name>\n<bndbox>{inside}</bndbox>\n</object>"


def write_voc(root: Path) -> Path:
    """Write Pascal VOC in the folders of the challenge."""
    for seed, name in enumerate("ab"):
        write_picture(root / "JPEGImages" / f"{name}.png", seed)
        objects = voc_object() if name == "a" else ""
        write_text(
            root / "Annotations" / f"{name}.xml", voc_xml(f"{name}.png", objects)
        )
    return root


CVAT_BOX = '<box label="dot" source="manual" occluded="0" xtl="8.00" ytl="12.00" \
xbr="24.00" ybr="36.00" z_order="0">\n</box>'


def cvat_xml(shapes: str = CVAT_BOX, *, subset: str = "", image: str = "") -> str:
    """Return a task of two photos, the shapes on the first."""
    size = f'width="{WIDTH_PX}" height="{HEIGHT_PX}"'
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n'
        "<version>1.1</version>\n"
        f"<meta><task><id>1</id><subset>{subset}</subset><labels>\n"
        "<label><name>dot</name></label><label><name>bar</name></label>\n"
        "</labels></task></meta>\n"
        f'<image id="0" name="a.png" {image} {size}>\n{shapes}\n</image>\n'
        f'<image id="1" name="b.png" {size}>\n</image>\n</annotations>\n'
    )


def write_cvat(root: Path, xml: str | None = None) -> Path:
    """Write CVAT for images 1.1, the pictures beside the XML."""
    write_picture(root / "a.png", 0)
    write_picture(root / "b.png", 1)
    write_text(root / "annotations.xml", cvat_xml() if xml is None else xml)
    return root


def write_cvat_yolo(root: Path, listed: bool = True) -> Path:
    """Write CVAT's YOLO 1.1."""
    write_picture(root / "obj_train_data" / "a.png", 0)
    write_picture(root / "obj_train_data" / "b.png", 1)
    write_text(root / "obj_train_data" / "a.txt", "0 0.25 0.5 0.25 0.5\n")
    write_text(root / "obj_train_data" / "b.txt", "")
    write_text(root / "obj.names", "dot\n")
    write_text(
        root / "obj.data",
        "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n"
        "backup = backup/\n",
    )
    if listed:
        lines = "data/obj_train_data/a.png\ndata/obj_train_data/b.png\n"
        write_text(root / "train.txt", lines)
    return root


def region(
    value: dict[str, object] | None = None, **changes: object
) -> dict[str, object]:
    """Return one region of Label Studio: the box, unless changed."""
    return {
        "id": "r1",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": WIDTH_PX,
        "original_height": HEIGHT_PX,
        "image_rotation": 0,
        "value": {**PERCENT, "rectanglelabels": ["dot"], **(value or {})},
        **changes,
    }


def drawn(
    *regions: dict[str, object], number: int = 1, **fields: object
) -> dict[str, object]:
    """Return one annotation of Label Studio."""
    return {
        "id": number,
        "completed_by": number,
        "result": list(regions),
        "was_cancelled": False,
        "ground_truth": False,
        "updated_at": f"2026-01-0{number}T10:00:00Z",
        **fields,
    }


def task(number: int, image: str, *annotations: dict[str, object]) -> dict[str, object]:
    """Return one task of Label Studio."""
    data = {"image": image}
    return {"id": number, "annotations": list(annotations), "data": data}


def studio_tasks() -> list[dict[str, object]]:
    """Return the two photos as tasks."""
    return [
        task(1, "/data/upload/3/0123abcd-a.png", drawn(region())),
        task(2, "/data/local-files/?d=lot%201/b.png", drawn()),
    ]


def studio_entries() -> list[dict[str, object]]:
    """Return the two photos as JSON-MIN."""
    box = {
        **PERCENT,
        "rectanglelabels": ["dot"],
        "original_width": WIDTH_PX,
        "original_height": HEIGHT_PX,
    }
    about = {"annotator": 1, "updated_at": "2026-01-01T10:00:00Z", "lead_time": 8.6}
    return [
        {"image": "/data/upload/3/a.png", "id": 1, "label": [box], "annotation_id": 5}
        | about,
        {"image": "/data/upload/3/b.png", "id": 2, "annotation_id": 6} | about,
    ]


def write_studio(root: Path, content: object = None) -> Path:
    """Write Label Studio's JSON, the pictures in a folder beside it."""
    write_picture(root / "images" / "a.png", 0)
    write_picture(root / "images" / "b.png", 1)
    document = studio_tasks() if content is None else content
    write_text(root / "project-1-at-2026-01-01.json", json.dumps(document))
    return root


def write_studio_min(root: Path) -> Path:
    """Write Label Studio's JSON-MIN."""
    return write_studio(root, studio_entries())


def write_coco_export(root: Path) -> Path:
    """Write COCO as CVAT exports it."""
    write_picture(root / "images" / "default" / "a.png", 0)
    write_picture(root / "images" / "default" / "b.png", 1)
    x1, y1, x2, y2 = BOX
    document = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
        ],
        "categories": [{"id": 1, "name": "dot"}],
    }
    write_text(root / "annotations" / "instances_default.json", json.dumps(document))
    return root


def write_yolo_export(root: Path) -> Path:
    """Write YOLO in bare folders."""
    write_picture(root / "images" / "a.png", 0)
    write_picture(root / "images" / "b.png", 1)
    write_text(root / "labels" / "a.txt", "0 0.25 0.5 0.25 0.5\n")
    write_text(root / "labels" / "b.txt", "")
    write_text(root / "classes.txt", "dot\n")
    return root


EXPORTS: dict[str, Callable[[Path], Path]] = {
    "COCO": write_coco_export,
    "YOLO": write_yolo_export,
    "YOLO 1.1": write_cvat_yolo,
    "Pascal VOC": write_voc,
    "CVAT": write_cvat,
    "Label Studio": write_studio,
    "Label Studio JSON-MIN": write_studio_min,
}
