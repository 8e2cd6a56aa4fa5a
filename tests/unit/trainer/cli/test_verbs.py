"""The verbs check, evaluate and pack print their result and return an exit code."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from models.errors import DatasetError, PackageError, TrainingError
from models.package import open_package
from tests.simulators import resealed
from tests.simulators.photos import write_good
from tests.simulators.resealed import make_earlier, reseal
from tests.simulators.runs import make_run, write_spots
from trainer.cli.check import add_check_arguments, run_check
from trainer.cli.evaluate import add_evaluate_arguments, run_evaluate
from trainer.cli.pack import add_pack_arguments, run_pack
from trainer.cli.train import add_train_arguments, run_train
from trainer.data.dataset import open_dataset
from trainer.run import Run
from trainer.ship.pack import pack_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "spots"
    write_spots(folder, train=4, val=6, good=4)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"), open_dataset(data))


@pytest.fixture(scope="module")
def package(data: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packages") / "spots"
    pack_run(run, open_dataset(data), out, on_progress=len, int8=False)
    return out


def parse(
    add: Callable[[argparse.ArgumentParser], None], *arguments: object
) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(list(map(str, arguments)))


def test_check_of_a_good_dataset_returns_0(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(parse(add_check_arguments, data)) == 0
    assert "0 errors" in capsys.readouterr().out


def test_check_with_an_error_returns_its_exit_code_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_spots(tmp_path / "d", train=2, val=2, good=2)
    next((tmp_path / "d" / "images").glob("train-0*")).write_bytes(b"no picture")
    args = parse(add_check_arguments, tmp_path / "d", "--json")
    assert run_check(args) == DatasetError.exit_code
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_check_with_a_run_evaluates_photos_without_a_label(
    data: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(parse(add_check_arguments, data, "--run", package, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["ok"]


def test_evaluate_prints_the_metrics_of_a_package(
    data: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = parse(add_evaluate_arguments, package, data, "--split", "val")
    assert run_evaluate(args) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("val: 8 photos, 2 good\nmAP@.33 ")
    assert "good parts alarmed" in printed
    assert run_evaluate(argparse.Namespace(**vars(args) | {"json": True})) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "val"


@pytest.mark.parametrize("option", ["--html", "--fix"])
def test_check_writes_nothing_into_the_dataset(option: str, data: Path) -> None:
    before = (data / "train.json").read_bytes()
    args = parse(add_check_arguments, data, option, data / "train.json")
    with pytest.raises(TrainingError, match=f"{option} .* lies inside the data set"):
        run_check(args)
    assert (data / "train.json").read_bytes() == before


def test_evaluate_writes_no_report_into_the_dataset(data: Path, package: Path) -> None:
    """The figures of ``train.html`` would replace the labels in ``train.json``."""
    before = (data / "train.json").read_bytes()
    args = parse(add_evaluate_arguments, package, data, "--report", data / "train.html")
    with pytest.raises(TrainingError, match=r"--report .* lies inside the data set"):
        run_evaluate(args)
    assert (data / "train.json").read_bytes() == before


@pytest.mark.parametrize("place", ["", "run", "good/run"])
def test_train_writes_no_run_into_the_dataset(place: str, data: Path) -> None:
    before = sorted(data.rglob("*"))
    args = parse(add_train_arguments, data, "--out", data / place)
    with pytest.raises(TrainingError, match=r"--out .* lies inside the data set"):
        run_train(args)
    assert sorted(data.rglob("*")) == before


def test_evaluate_refuses_thresholds_that_were_changed_and_sealed_again(
    data: Path, package: Path, tmp_path: Path
) -> None:
    whole = open_package(package)
    scores = dict.fromkeys(whole.manifest.labels, 0.9)
    thresholds = whole.manifest.thresholds.model_copy(update={"scores": scores})
    wrong = reseal(whole, tmp_path / "wrong", resealed.nothing, thresholds=thresholds)
    with pytest.raises(PackageError, match="do not fit the manifest"):
        run_evaluate(parse(add_evaluate_arguments, wrong.folder, data))


def test_evaluate_names_a_package_without_a_seal(
    data: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "earlier"
    shutil.copytree(package, folder)
    make_earlier(folder)
    assert run_evaluate(parse(add_evaluate_arguments, folder, data)) == 0
    assert (
        "has no seal, because an earlier version packed it" in capsys.readouterr().err
    )


def test_pack_writes_a_package_and_prints_its_variants(
    data: Path,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("trainer.cli.pack.read_record", lambda _: run.record)
    monkeypatch.setattr("trainer.cli.work.pack.open_run", lambda _: run)
    out = tmp_path / "package"
    args = parse(
        add_pack_arguments,
        run.folder,
        "--out",
        out,
        "--dataset",
        data,
        "--no-int8",
        "--json",
    )
    assert run_pack(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["package"] == str(out)
    assert set(printed["variants"]) == {"openvino-fp32", "onnx-fp32"}


def test_pack_of_a_moved_dataset_names_the_option(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run.record.model_copy(update={"dataset": str(tmp_path / "moved")})
    monkeypatch.setattr("trainer.cli.pack.read_record", lambda _: record)
    args = parse(add_pack_arguments, run.folder, "--out", tmp_path / "p")
    with pytest.raises(DatasetError, match="is not there") as caught:
        run_pack(args)
    assert f"graftline pack {run.folder}" in caught.value.fix
    assert "--dataset FOLDER" in caught.value.fix
    (tmp_path / "moved").mkdir()  # something else has its place
    with pytest.raises(DatasetError, match="no labels found") as caught:
        run_pack(args)
    assert "--dataset FOLDER" in caught.value.fix


def test_figures_are_printed_where_the_report_cannot_be_written(
    data: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "file/report.html"
    args = parse(add_evaluate_arguments, package, data, "--report", report)
    with pytest.raises(TrainingError, match="cannot be written"):
        run_evaluate(args)
    assert "mAP@.33" in capsys.readouterr().out


def test_train_on_good_parts_offers_what_is_unlike_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_good(tmp_path / "d", 30)
    spotted = cv2.imread(str(root / "good/007.png"))
    spotted[20:40, 20:40] = 250  # a defect without a label
    cv2.imwrite(str(root / "good/007.png"), spotted)
    out = tmp_path / "run"
    args = parse(add_train_arguments, root, "--out", out, "--size", 64)
    assert run_train(args) == 0
    printed = capsys.readouterr().out
    assert "unknown: learned from" in printed
    assert "1 photo of good parts is unlike the others (good/007.png)" in printed
    assert "Smallest spot that is reported on half of" in printed
    assert f"{out}/suspects" in printed
    rows = json.loads((out / "suspects/suspects.json").read_text())["suspects"]
    assert rows[0]["photo"] == "good/007.png"
    x1, y1, x2, y2 = rows[0]["seen"]["box_px"]
    assert max(x1, y1) < 40
    assert min(x2, y2) > 20
    assert "What unknown can and cannot see" in (out / "report.html").read_text()
    unknown = json.loads((out / "run.json").read_text())["unknown"]
    assert all(line in printed for line in unknown["sees"] + unknown["notes"])
    assert run_check(parse(add_check_arguments, root, "--run", out)) == 0
    printed = capsys.readouterr().out
    assert "unknown: 30 photos of good parts alone, enough" in printed
    assert "is unlike the others (good/007.png)" in printed
    assert unknown["sees"][0] not in printed
