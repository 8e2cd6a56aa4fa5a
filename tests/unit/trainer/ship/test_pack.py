import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.backends import open_detector
from models.errors import ConfigError, DatasetError, PackageError, TrainingError
from models.golden import WIDEST, read_golden, read_golden_set, run_golden
from models.manifest import (
    COUNTED_SHARES,
    MEAN_PRECISIONS,
    LinePcBudget,
    PrecisionHint,
    Variant,
    VariantName,
)
from models.package import Package, open_package
from tests.simulators.runs import LABELS, make_run, write_spots
from trainer.data.dataset import Dataset, open_dataset, read_photo
from trainer.data.splitting.split_record import (
    read_split_record,
    write_split_record,
)
from trainer.run import Run
from trainer.run_record import Ancestor
from trainer.ship.manifest_draft import draft_manifest, model_name
from trainer.ship.other_dataset import other_dataset
from trainer.ship.output_folder import whole_folder
from trainer.ship.pack import pack_run
from trainer.ship.pack_report import PackReport
from trainer.ship.parity import STRICT, measure_tolerance, require_parity
from trainer.ship.reference import Reference, brightness_and_sharpness


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("spots")
    write_spots(folder)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"), dataset)


@pytest.fixture(scope="module")
def packed(
    dataset: Dataset, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PackReport, list[str]]:
    progress: list[str] = []
    out = tmp_path_factory.mktemp("packages") / "spots"
    return pack_run(run, dataset, out, on_progress=progress.append), progress


@pytest.fixture
def package(packed: tuple[PackReport, list[str]]) -> Package:
    return packed[0].package


def silent(_: str) -> None:
    """Ignore the progress."""


def test_package_holds_what_the_architecture_names(package: Package) -> None:
    held = set(package.manifest.files)
    assert {
        "model.onnx",
        "int8.onnx",
        "openvino/fp32.xml",
        "openvino/fp32.bin",
        "openvino/int8.xml",
        "openvino/int8.bin",
        "golden/expected.json",
        "reference.json",
        "sbom.cdx.json",
        "LICENSES",
    } <= held
    on_disk = {
        path.relative_to(package.folder).as_posix()
        for path in package.folder.rglob("*")
        if path.is_file()
    }
    assert on_disk == held | {"manifest.json", "manifest.sha256"}


def test_golden_set_of_a_package_holds_the_decisions_at_its_thresholds(
    package: Package,
) -> None:
    golden = read_golden_set(package)
    assert golden.thresholds is not None
    assert golden.thresholds.scores == package.manifest.thresholds.scores
    alarms = {frame.file for frame in golden.frames if frame.alarms}
    assert alarms == {frame.file for frame in golden.frames if frame.defects}
    assert 0 < len(alarms) < len(golden.frames)


def test_manifest_holds_lineage_and_accuracy(package: Package, run: Run) -> None:
    manifest = open_package(package.folder).manifest
    assert manifest.name == "spots-1"
    assert manifest.metrics == run.record.metrics
    assert manifest.output.anchors == 24
    assert set(manifest.variants) == set(VariantName)
    lineage = manifest.lineage.model_dump()
    assert len(lineage["calibration"]["photos_sha256"]) == 18
    assert lineage["calibration"]["good_images"] == 6
    assert {"openvino", "onnx", "nncf", "torch"} <= set(lineage["versions"])
    int8 = manifest.variants[VariantName.OPENVINO_INT8]
    assert int8.metrics
    assert int8.metrics.map_50 > 0.99
    assert set(int8.tolerances) == set(PrecisionHint)


def test_manifest_holds_the_labelled_boxes(package: Package, dataset: Dataset) -> None:
    measured = package.manifest.labelled_boxes
    assert tuple(measured) == LABELS
    boxes = sum(len(photo.boxes) for photo in dataset.photos)
    assert sum(each.count for each in measured.values()) == boxes
    for each in measured.values():
        assert 0 < each.smallest_px <= each.median_px <= each.largest_px
        assert each.highest_score is not None
        assert each.highest_score >= package.manifest.thresholds.scores[LABELS[0]] / 2


def test_manifest_names_the_earlier_runs(run: Run) -> None:
    earlier = Ancestor(
        name="last-year",
        folder="/home/ann/runs/last-year",
        sha256="a" * 64,
        dataset_sha256="b" * 64,
        pretrained="none",
        kept_labels=run.record.labels,
        fresh_labels=(),
    )
    record = run.record.model_copy(update={"ancestors": (earlier,)})
    variant = Variant(
        model="a.xml", runtime="openvino", precision="fp32", size_bytes=1, tolerances={}
    )
    manifest = draft_manifest(
        record,
        name="spots",
        now=datetime.now(UTC),
        anchors=1,
        calibration=None,
        variants={VariantName.OPENVINO_FP32: variant},
    )
    (ancestor,) = manifest.lineage.ancestors
    assert ancestor.name == "last-year"
    assert ancestor.weights_sha256 == "a" * 64
    assert ancestor.dataset_sha256 == "b" * 64
    assert "ann" not in manifest.model_dump_json()  # a package leaves the company


@pytest.mark.parametrize("name", list(VariantName))
def test_every_run_mode_reproduces_the_golden_frames(
    package: Package, name: VariantName
) -> None:
    pairs = read_golden(package)
    for hint, tolerance in package.variant(name).tolerances.items():
        detector = open_detector(package, name, hint)
        result = run_golden(detector, pairs, package.manifest, tolerance)
        assert result.passed, result.faults
        assert result.matched > 10


def test_golden_frames_are_lossless_and_four_are_good(
    package: Package, dataset: Dataset
) -> None:
    pairs = read_golden(package)
    assert len(pairs) == 16
    assert sum(frame.good for frame, _ in pairs) == 4
    photos = [read_photo(photo) for photo in dataset.splits["val"]]
    for frame, picture in pairs:
        assert any(np.array_equal(picture, photo) for photo in photos)
        assert frame.good or len(frame.detections) > 0


def test_progress_and_report_name_every_variant(
    packed: tuple[PackReport, list[str]],
) -> None:
    report, progress = packed
    assert "quantizing openvino-int8 with 18 photos" in "\n".join(progress)
    assert all(name in str(report) for name in VariantName)
    document = json.loads(json.dumps(report.as_json()))
    assert document["parity"]["onnx-fp32 (f32)"]["matched"] > 10
    assert report.dropped == ()


def test_second_kind_of_ranges_is_tried_when_the_first_fails_the_gate(
    packed: tuple[PackReport, list[str]],
) -> None:
    report, progress = packed
    steps = [step for step in progress if "openvino-int8" in step]
    assert len(steps) == 3  # the mean clips the few bright cells
    assert "mean-of-extremes" in steps[0]
    assert steps[1].startswith("openvino-int8 left out: ")
    assert "(extremes; attempt 2" in steps[2]
    variant = report.package.manifest.variants[VariantName.OPENVINO_INT8]
    assert variant.model_dump()["activation_ranges"] == "extremes"


def test_bill_of_materials_names_model_and_libraries(package: Package) -> None:
    bill = json.loads((package.folder / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    model = bill["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    expected = package.manifest.files["model.onnx"].sha256
    assert model["hashes"] == [{"alg": "SHA-256", "content": expected}]
    libraries = {c["name"]: c for c in bill["components"]}
    assert libraries["torch"]["version"] == torch.__version__
    assert libraries["openvino"]["purl"].startswith("pkg:pypi/openvino@")


def test_reference_describes_the_validation_photos(package: Package) -> None:
    text = (package.folder / "reference.json").read_text()
    reference = Reference.model_validate_json(text)
    assert reference.photos == 24
    assert 110 < reference.brightness.p50 < 130  # noisy grey 100..140
    assert set(reference.labels) == set(LABELS)
    scores = reference.labels["bright spot"]
    assert scores.scores.count == sum(scores.histogram) > 5


def test_blurred_frame_is_less_sharp_and_as_bright() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (80, 120, 3)).astype(np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(frame, (9, 9), 3), np.uint8)
    bright, sharp = brightness_and_sharpness(frame, 64, 96)
    blurred_bright, blurred_sharp = brightness_and_sharpness(blurred, 64, 96)
    assert blurred_sharp < sharp / 10
    assert abs(bright - blurred_bright) < 2


def test_packing_again_replaces_the_package(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "line-3"
    first = pack_run(run, dataset, out, on_progress=silent, int8=False, name="a")
    budget = LinePcBudget(latency_ms_p99=20, memory_bytes=64 << 20)
    second = pack_run(
        run, dataset, out, on_progress=silent, int8=False, name="b", budget=budget
    )
    assert second.package.manifest.name == "b"
    assert second.package.manifest.budget == budget
    assert first.package.manifest.budget is None
    assert second.package.sha256 != first.package.sha256
    assert set(second.package.manifest.variants) == {
        VariantName.OPENVINO_FP32,
        VariantName.ONNX_FP32,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["line-3"]


def test_folder_that_is_no_package_is_not_touched(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(TrainingError, match="not a package"):
        pack_run(run, dataset, tmp_path, on_progress=silent, int8=False)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_package_is_not_packed_into_the_dataset(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(dataset.root)
    before = sorted(dataset.root.rglob("*"))
    for out in (
        dataset.root,
        dataset.root / "packages" / "spots",
        dataset.root / "good",
        tmp_path / "link" / "package",
    ):
        with pytest.raises(TrainingError, match="lies inside the data set") as caught:
            pack_run(run, dataset, out, on_progress=silent, int8=False)
        assert "--out" in caught.value.fix
    assert sorted(dataset.root.rglob("*")) == before


def written_package(folder: Path) -> Path:
    """Write the manifest of a package with one file, and that file."""
    folder.mkdir()
    document = {"schema_version": 1, "thresholds": {}, "variants": {}}
    files = {"model.onnx": {"sha256": "0" * 64, "size_bytes": 1}}
    (folder / "manifest.json").write_text(json.dumps(document | {"files": files}))
    (folder / "model.onnx").write_bytes(b"x")
    return folder


def test_earlier_package_is_replaced(tmp_path: Path) -> None:
    out = written_package(tmp_path / "package")
    with whole_folder(out, ()) as folder:
        (folder / "manifest.json").write_text("new")
    assert [path.name for path in out.iterdir()] == ["manifest.json"]


def test_files_beside_an_earlier_package_are_not_lost(tmp_path: Path) -> None:
    out = written_package(tmp_path / "package")
    (out / "golden").mkdir()
    (out / "golden" / "mine.png").write_bytes(b"mine")
    with pytest.raises(TrainingError) as caught, whole_folder(out, ()):
        pass
    assert "golden/mine.png (1 file) would be lost" in caught.value.why
    assert (out / "golden" / "mine.png").read_bytes() == b"mine"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 1}', '{"name": "app"}'])
def test_folder_with_another_manifest_is_not_replaced(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with (
        pytest.raises(TrainingError, match="is not a package"),
        whole_folder(tmp_path, ()),
    ):
        pass
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_output_below_a_file_is_a_training_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TrainingError, match="cannot be written") as caught,
        whole_folder(tmp_path / "file" / "package", [1]),
    ):
        pass
    assert caught.value.exit_code == 9


def test_disk_without_room_is_named_before_the_export(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with (
        pytest.raises(TrainingError, match="No space left on device"),
        whole_folder(tmp_path / "package", [free, free]),
    ):
        pytest.fail("the block has started")
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_nothing_and_keeps_the_old_package(tmp_path: Path) -> None:
    out = written_package(tmp_path / "package")
    before = (out / "manifest.json").read_text()

    def fail_halfway() -> None:
        with whole_folder(out, [1]) as folder:
            (folder / "manifest.json").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert (out / "manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_power_cut_between_the_two_renames_is_repaired(tmp_path: Path) -> None:
    previous = tmp_path / ".package.previous"
    previous.mkdir()
    (previous / "manifest.json").write_text("old")
    (tmp_path / ".package.partial").mkdir()

    def fail_at_once() -> None:
        with whole_folder(tmp_path / "package", [1]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_at_once()
    assert (tmp_path / "package" / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_other_dataset_than_the_run_s_is_refused(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    other = replace(dataset, sha256="0" * 64)
    with pytest.raises(DatasetError, match="not the dataset"):
        pack_run(run, other, tmp_path / "out", on_progress=silent)
    assert list(tmp_path.iterdir()) == []


def test_photos_that_were_deleted_or_changed_are_named(
    run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    write_split_record(tmp_path, dataset.split_assignment)
    record = read_split_record(tmp_path)
    names = sorted(place.name for place in record.photos.values())
    root = tmp_path / "d"
    shutil.copytree(dataset.root, root)
    (root / names[0]).unlink()
    with (root / names[1]).open("ab") as file:
        file.write(b"more")
    error = other_dataset(tmp_path, run.record, open_dataset(root))
    assert f"1 photo is missing or cannot be read: {names[0]}" in error.why
    assert f"1 photo has changed since: {names[1]}" in error.why
    assert "--dataset" in error.fix


def test_other_labels_of_the_same_photos_are_stated(
    run: Run, dataset: Dataset, tmp_path: Path
) -> None:
    write_split_record(tmp_path, dataset.split_assignment)
    error = other_dataset(tmp_path, run.record, dataset)
    assert "labels or class names have changed" in error.why


def test_name_that_cannot_be_a_topic_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="--name Line 3"):
        model_name("Line 3", run.record)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Spots_1", "spots-1"), ("ÄÖ", "model"), ("x" * 40, "x" * 32), ("a." * 20, None)],
)
def test_name_is_made_from_the_run_s_folder(
    run: Run, folder: str, name: str | None
) -> None:
    record = run.record.model_copy(update={"name": folder})
    made = model_name(None, record)
    assert made == name or name is None
    assert model_name(made, record) == made


class Shifted:
    """A detector that scores everything lower by a constant."""

    def __init__(self, package: Package, shift: float) -> None:
        self._exact = open_detector(package, VariantName.OPENVINO_FP32)
        self._shift = shift
        self.input_size_px = self._exact.input_size_px

    def infer(self, image: np.ndarray) -> np.ndarray:
        output = self._exact.infer(image)
        output[4:] = (output[4:] - self._shift).clip(0, 1)
        return output


def test_tolerance_follows_the_measured_difference(package: Package) -> None:
    pairs = read_golden(package)
    measured = measure_tolerance(Shifted(package, 0.08), pairs, package.manifest)
    assert measured
    tolerance, result = measured
    assert result.passed
    assert 0.1 < tolerance.score < 0.16
    assert tolerance.iou == STRICT.iou


def test_mode_outside_the_widest_tolerance_is_not_allowed(package: Package) -> None:
    pairs = read_golden(package)
    far = Shifted(package, WIDEST.score + 0.1)
    assert measure_tolerance(far, pairs, package.manifest) is None


def test_float_variant_that_differs_is_a_package_error(package: Package) -> None:
    pairs = read_golden(package)
    with pytest.raises(PackageError, match="differ from torch") as caught:
        require_parity(
            Shifted(package, 0.2), pairs, package.manifest, VariantName.ONNX_FP32
        )
    assert "not found" in caught.value.why


def test_figures_that_were_not_measured_are_named_and_variants_still_compared(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    figures = (*MEAN_PRECISIONS, *COUNTED_SHARES)
    metrics = run.record.metrics.without(figures, "All photos show one part.")
    record = run.record.model_copy(update={"metrics": metrics})
    once = replace(run, record=record)
    report = pack_run(once, dataset, tmp_path / "p", on_progress=silent, int8=False)
    assert (
        "  not measured: mAP, defects found, defective parts escaped, good parts "
        "alarmed. All photos show one part."
    ) in str(report)
    variant = report.package.manifest.variants[VariantName.OPENVINO_FP32]
    assert variant.metrics is not None
    assert variant.metrics.unmeasured == figures
    assert variant.map_50_drop == 0
