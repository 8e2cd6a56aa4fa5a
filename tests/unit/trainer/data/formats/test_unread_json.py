"""JSON files that no reader takes are named, with the reason."""

import json
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import EXPORTS, write_coco_export, write_text
from trainer.data.findings import Finding, Level
from trainer.data.formats.json_file import JsonFile
from trainer.data.formats.recognize import read_annotations
from trainer.data.formats.unread_json import is_searched, unread_documents

COCO = json.dumps({"images": [], "annotations": [], "categories": []})


def findings_beside(root: Path, name: str, text: str) -> list[Finding]:
    """Return the findings of a COCO dataset with one more file."""
    write_text(write_coco_export(root) / name, text)
    return read_annotations(root).findings


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("train.json", True),
        ("annotations/lot 1.JSON", True),
        ("Annotations/train.json", True),
        ("valid/_annotations.coco.json", True),
        ("valid/train.json", False),
        ("annotations/old/train.json", False),
        ("._train.json", False),
        ("train.txt", False),
    ],
)
def test_json_files_are_searched_in_two_folders(name: str, is_one: bool) -> None:
    assert is_searched(Path("d"), Path("d") / name) == is_one


@pytest.mark.parametrize("name", ["lot.json", "annotations/lot.JSON"])
def test_damaged_file_is_an_error(tmp_path: Path, name: str) -> None:
    [finding] = findings_beside(tmp_path, name, '{"a": ')
    assert (finding.level, finding.file) == (Level.ERROR, tmp_path / name)
    assert "It is not JSON" in finding.why


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"version": 1}, "no labels in a known format"),
        ([1, 2], "no labels in a known format"),
        ([{"image_id": 1, "bbox": [], "score": 0.5}], "detections of a model, with"),
        ({"annotations": [{"caption": "x"}]}, "COCO captions, without boxes"),
        ({"annotations": [{"segments_info": []}]}, "COCO panoptic segmentation"),
        ({"shapes": [], "imagePath": "a.png"}, "LabelMe is not read"),
    ],
    ids=["settings", "list", "detections", "captions", "panoptic", "LabelMe"],
)
def test_file_of_another_format_is_a_warning_with_its_kind(
    tmp_path: Path, content: object, reason: str
) -> None:
    [finding] = findings_beside(tmp_path, "other.json", json.dumps(content))
    assert (finding.level, finding.file) == (Level.WARNING, tmp_path / "other.json")
    assert finding.why.startswith(f"1 JSON file not read: {reason}")


def test_files_of_one_kind_are_one_finding() -> None:
    files = [JsonFile(Path(f"{number}.json"), {}) for number in range(5)]
    noted = [JsonFile(Path(f"{number}.json"), {"x": 1}) for number in range(5)]
    [finding] = unread_documents([*files, *noted])
    assert finding.why.startswith("5 JSON files not read")
    assert finding.place == "0.json; 1.json; 2.json; …"


def test_notes_of_label_studio_need_no_finding(tmp_path: Path) -> None:
    text = json.dumps({"categories": [{"id": 0, "name": "dot"}], "info": {}})
    assert findings_beside(tmp_path, "notes.json", text) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("annotations/instances/val.json", COCO),
        ("valid/labels.json", COCO),
        ("images/default/a.json", '{"shapes": [], "imagePath": "a.png"}'),
        ("old/project.json", '[{"data": {"image": "a.png"}, "annotations": []}]'),
        ("old/val.json", '{"images": ['),
    ],
    ids=["COCO", "another name", "LabelMe", "Label Studio", "damaged"],
)
def test_labels_in_a_folder_that_is_not_searched_are_named(
    tmp_path: Path, name: str, text: str
) -> None:
    [finding] = findings_beside(tmp_path, name, text)
    assert (finding.level, finding.file) == (Level.WARNING, tmp_path / name)
    assert "1 JSON file with labels not read: this folder is not searched" in (
        finding.why
    )


def test_json_lines_are_named(tmp_path: Path) -> None:
    [finding] = findings_beside(tmp_path, "images/metadata.jsonl", "{}")
    assert finding.place == "images/metadata.jsonl"
    assert finding.why == "1 file of JSON lines not read."


def test_other_files_in_other_folders_need_no_finding(tmp_path: Path) -> None:
    assert findings_beside(tmp_path, "run/report.json", '{"images": 5}') == []


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_leave_nothing_unread(tmp_path: Path, name: str) -> None:
    findings = read_annotations(EXPORTS[name](tmp_path)).findings
    assert not [f for f in findings if "JSON" in f.why]


def test_dataset_without_labels_names_the_files_that_are_not_read(
    tmp_path: Path,
) -> None:
    write_text(tmp_path / "results.json", '[{"image_id": 1, "score": 0.5}]')
    write_text(tmp_path / "a" / "train.json", COCO)
    with pytest.raises(DatasetError, match="no labels found") as caught:
        read_annotations(tmp_path)
    assert "results.json: 1 JSON file not read: detections" in caught.value.why
    assert "a/train.json: 1 JSON file with labels not read" in caught.value.why
