"""``synth`` writes a whole folder or nothing, and replaces only its own."""

import argparse
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from models.errors import ConfigError, DatasetError
from trainer.cli.synth import add_synth_arguments, run_synth
from trainer.data.checks.check import check_dataset
from trainer.data.findings import FindingKind
from trainer.data.synthetic.line_defects import LineDefect
from trainer.data.synthetic.line_folder import MARKER, whole_or_nothing
from trainer.data.synthetic.line_writer import LineSettings, write_line

SMALL = LineSettings(seed=3, photos=8, good=3, parts=4, size_px=256, fps=20)


def silent(what: str, done: int, total: int) -> None:
    assert 0 < done <= total, what


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "line"
    write_line(out, SMALL, silent)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in folder.rglob("*")
        if path.suffix in {".jpg", ".json"} and path.name != MARKER
    }


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_synth_arguments(parser)
    return run_synth(parser.parse_args(arguments))


def test_folder_has_splits_good_parts_video_and_truth(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    expected = {"train.json", "val.json", "truth.json", "line.mp4", "images", "good"}
    assert names == {*expected, MARKER}
    assert len(list((written / "good").glob("*.jpg"))) == 3


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("val", 2)])
def test_split_is_coco_with_boxes_inside_its_photos(
    written: Path, split: str, count: int
) -> None:
    coco = json.loads((written / f"{split}.json").read_text("utf-8"))
    names = [category["name"] for category in coco["categories"]]
    assert names == [label.value for label in LineDefect]
    assert len(coco["images"]) == count
    for image in coco["images"]:
        frame = cv2.imread(str(written / image["file_name"]))
        assert frame is not None
        assert frame.shape == (image["height"], image["width"], 3)
    assert {a["image_id"] for a in coco["annotations"]} == set(range(1, count + 1))
    assert len({a["id"] for a in coco["annotations"]}) == len(coco["annotations"])
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert min(x, y) >= 0
        assert max(x + width, y + height) <= 256
        assert 1 <= annotation["category_id"] <= len(names)


def test_check_reports_none_of_its_own_files(written: Path) -> None:
    kinds = {finding.kind for finding in check_dataset(written).findings}
    assert FindingKind.ANNOTATION not in kinds


def test_truth_matches_the_video(written: Path) -> None:
    truth = json.loads((written / "truth.json").read_text("utf-8"))
    video = cv2.VideoCapture(str(written / "line.mp4"))
    frames = 0
    while video.read()[0]:
        frames += 1
    assert frames == truth["frame_count"]
    assert video.get(cv2.CAP_PROP_FPS) == truth["fps"] == 20
    video.release()
    parts = truth["parts"]
    assert [part["id"] for part in parts] == [0, 1, 2, 3]
    assert parts[-1]["last_frame"] < frames
    assert all(a["last_frame"] < b["first_frame"] for a, b in pairwise(parts))
    assert sum(not part["defects"] for part in parts) == 2
    for defect in (defect for part in parts for defect in part["defects"]):
        assert defect["first_frame"] == min(map(int, defect["boxes"]))
        assert defect["last_frame"] == max(map(int, defect["boxes"]))


def test_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_line(tmp_path / "again", SMALL, silent)
    assert digests(written) == digests(tmp_path / "again")


def test_same_dataset_is_not_written_twice(written: Path) -> None:
    before = (written / "train.json").stat().st_mtime_ns
    assert write_line(written, SMALL, silent).already_there
    assert (written / "train.json").stat().st_mtime_ns == before


def test_other_settings_replace_an_own_folder(tmp_path: Path) -> None:
    out = tmp_path / "line"
    tiny = LineSettings(seed=1, photos=4, good=0, parts=2, size_px=256)
    write_line(out, tiny, silent)
    other = LineSettings(seed=2, photos=4, good=1, parts=2, size_px=256)
    assert not write_line(out, other, silent).already_there
    assert len(list((out / "good").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["line"]


def test_lost_photo_is_written_again(tmp_path: Path) -> None:
    out = tmp_path / "line"
    tiny = LineSettings(seed=1, photos=4, good=0, parts=2, size_px=256)
    write_line(out, tiny, silent)
    (out / "images" / "train-00000.jpg").unlink()
    assert not write_line(out, tiny, silent).already_there
    assert (out / "images" / "train-00000.jpg").exists()


def test_folder_not_written_by_synth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="not written by synth") as caught:
        write_line(tmp_path, SMALL, silent)
    assert "--out" in caught.value.fix
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_own_folder_with_changed_files_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "line"
    tiny = LineSettings(seed=1, photos=4, good=0, parts=2, size_px=256)
    write_line(out, tiny, silent)
    (out / "train.json").write_text('{"images": []}', "utf-8")
    with pytest.raises(DatasetError, match=r"train\.json"):
        write_line(out, LineSettings(photos=4, parts=2, size_px=256), silent)
    assert (out / "train.json").read_text("utf-8") == '{"images": []}'


def test_file_as_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "line").write_text("a file", "utf-8")
    with pytest.raises(DatasetError, match="is a file"):
        write_line(tmp_path / "line", SMALL, silent)


def test_unwritable_folder_is_a_dataset_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", "utf-8")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_line(tmp_path / "file" / "line", SMALL, silent)


def test_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "val photos":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_line(tmp_path / "line", SMALL, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_earlier_folder(tmp_path: Path) -> None:
    out = tmp_path / "line"
    with whole_or_nothing(out, {"seed": 1}) as folder:
        (folder / "a").write_text("first", "utf-8")

    def fail() -> None:
        with whole_or_nothing(out, {"seed": 2}) as folder:
            (folder / "a").write_text("second", "utf-8")
            raise OSError(28, "No space left on device")

    with pytest.raises(DatasetError, match="cannot be written") as caught:
        fail()
    assert "No space left" in caught.value.why
    assert (out / "a").read_text("utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["line"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (LineSettings(seed=-1), "--seed -1"),
        (LineSettings(photos=0), "--photos 0"),
        (LineSettings(size_px=100), "--size 100"),
        (LineSettings(size_px=301), "--size 301"),
        (LineSettings(parts=0, fps=0), "--fps 0"),
    ],
)
def test_numbers_out_of_range_are_named(
    settings: LineSettings, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        write_line(tmp_path / "line", settings, silent)
    assert caught.value.fix
    assert not (tmp_path / "line").exists()


def test_json_summary_is_one_object_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--photos",
        "4",
        "--good",
        "1",
        "--parts",
        "2",
        "--size",
        "256",
        "--json",
    ]
    assert run("--out", str(tmp_path / "line"), *options) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert summary["train_photos"] + summary["val_photos"] == 4
    assert Path(summary["truth"]).is_file()
    assert "val photos: 1" in captured.err


def test_check_warns_neither_of_splits_nor_of_small_boxes(tmp_path: Path) -> None:
    write_line(tmp_path / "line", LineSettings(photos=120, good=60, parts=2), silent)
    kinds = check_dataset(tmp_path / "line").by_kind
    assert not {FindingKind.NEAR_IN_TWO_SPLITS, FindingKind.SMALL_BOX} & set(kinds)
