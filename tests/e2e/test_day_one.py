"""Day one: good parts only, and a package that reports what no good part shows."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftline import main
from models.errors import DatasetError
from trainer.data.dataset import open_dataset
from trainer.run import open_run

GOOD, BAD = 32, 4


def part(rng: np.random.Generator, *, is_bad: bool) -> np.ndarray:
    """Return a plate in another place and light each time; a bad one has a crack."""
    left, top = rng.integers(12, 24, 2).tolist()
    picture = np.full((128, 128, 3), 60, np.uint8)
    cv2.rectangle(picture, (left, top), (left + 80, top + 80), (150, 150, 150), -1)
    if is_bad:
        start, end = (left + 20, top + 20), (left + 60, top + 50)
        cv2.line(picture, start, end, (240, 240, 255), 4)
    light = rng.normal(0, 4, picture.shape) + rng.integers(-20, 20)
    lit: np.ndarray = (picture + light).clip(0, 255).astype(np.uint8)
    return lit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set of good parts, a few bad ones, and no label."""
    root, rng = tmp_path_factory.mktemp("day-one"), np.random.default_rng(0)
    for name, count in (("good", GOOD), ("bad", BAD)):
        (root / name).mkdir()
        for number in range(count):
            picture = part(rng, is_bad=name == "bad")
            cv2.imwrite(str(root / name / f"{number}.png"), picture)
    return root


def test_package_of_good_parts_alone_reports_what_they_do_not_show(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, package = tmp_path / "run", tmp_path / "package"
    assert main(["train", str(folder), "--out", str(run)]) == 0
    printed = capsys.readouterr()
    assert "learns the class unknown from 32 photos of good parts" in printed.err
    assert "unknown: learned from" in printed.out
    assert main(["pack", str(run), "--out", str(package), "--no-int8"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(package), str(folder), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["labels"], figures["bad_images"]) == (["unknown"], BAD)
    assert (figures["escapes"], figures["auroc"]) == (0, 1)
    assert main(["selftest", str(package)]) == 0
    golden = json.loads((package / "golden" / "expected.json").read_bytes())
    assert any(frame["detections"] for frame in golden["frames"] if not frame["good"])


def other_part(rng: np.random.Generator) -> np.ndarray:
    """Return a round part, in another place and light each time."""
    picture = np.full((128, 128, 3), 60, np.uint8)
    middle = rng.integers(50, 78, 2).tolist()
    cv2.circle(picture, middle, 40, (90, 140, 90), -1)
    cv2.circle(picture, middle, 14, (40, 40, 40), -1)
    light = rng.normal(0, 4, picture.shape) + rng.integers(-20, 20)
    lit: np.ndarray = (picture + light).clip(0, 255).astype(np.uint8)
    return lit


def write_good(root: Path, count: int, *, others: int = 0) -> Path:
    """Write photos of good plates, and of another part."""
    rng = np.random.default_rng(1)
    (root / "good").mkdir(parents=True)
    for number in range(count + others):
        is_plate = number < count
        name = f"{'plate' if is_plate else 'disc'}-{number:02}.png"
        picture = part(rng, is_bad=False) if is_plate else other_part(rng)
        cv2.imwrite(str(root / "good" / name), picture)
    return root


def test_five_good_photos_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_good(tmp_path / "data", 5)
    assert main(["check", str(data)]) == DatasetError.exit_code
    reason = "5 photos of good parts, and no labelled defect"
    assert reason in capsys.readouterr().out
    run = tmp_path / "run"
    assert main(["train", str(data), "--out", str(run)]) == DatasetError.exit_code
    refused = capsys.readouterr().err
    assert reason in refused
    assert "Put 25 more photos" in refused


def test_good_photos_of_two_parts_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write_good(tmp_path / "data", 24, others=16), tmp_path / "run"
    assert main(["train", str(data), "--out", str(run)]) == 0
    said = "The photos of good parts are of two kinds"
    assert said in capsys.readouterr().out
    notes = open_run(run).record.unknown.notes  # type: ignore[union-attr]
    [note] = [each for each in notes if said in each]
    assert "plate-" in note
    assert "disc-" in note
    assert said in (run / "report.html").read_text()
    assert main(["check", str(data), "--run", str(run)]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("subset", ["memory", "held-out"])
def test_defect_among_the_good_parts_is_named(
    subset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write_good(tmp_path / "data", 39), tmp_path / "run"
    defective, rng = data / "good" / "cracked.png", np.random.default_rng(2)
    for _ in range(40):  # the content of a photo decides where it is
        cv2.imwrite(str(defective), part(rng, is_bad=True))
        memory, held_out = open_dataset(data).for_training()
        photos = memory if subset == "memory" else held_out
        if any(photo.path.name == "cracked.png" for photo in photos):
            break
    else:
        pytest.fail(f"no picture of the part is in {subset}")
    assert main(["train", str(data), "--out", str(run)]) == 0
    said = "1 photo of good parts is unlike the others (good/cracked.png)"
    assert said in capsys.readouterr().out
    assert said in open_run(run).record.unknown.notes[0]  # type: ignore[union-attr]
    assert said in (run / "report.html").read_text()
    assert main(["check", str(data), "--run", str(run)]) == 0
    assert said in capsys.readouterr().out
    write_good(tmp_path / "more", 1)
    (tmp_path / "more" / "good" / "plate-00.png").rename(data / "good" / "new.png")
    assert main(["check", str(data), "--run", str(run)]) == 0
    assert said not in capsys.readouterr().out, "of other photos"
