"""Day one: good parts only, and a package that reports what no good part shows."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftline import main

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
