import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.inspection.model import (
    LoadedModel,
    load_model,
    load_model_at_start,
    useful_streams,
)
from models.backends import open_detector
from models.detections import Detections
from models.detector import detect
from models.errors import InstallError, PackageError
from models.manifest import VariantName
from models.preprocess import Frame, letterbox_into
from models.seal import write_seal
from models.slot_files import ProofFile, SlotFolder, read_file, write_file
from tests.simulators.packages import (
    install_package,
    make_package,
    part_picture,
    point_current_at,
)

FP32 = VariantName.OPENVINO_FP32


def detections_of(model: LoadedModel, frame: Frame) -> Detections:
    request = model.requests[0]
    box = letterbox_into(request.image, frame)
    request.start(lambda: None)
    return model.decode(request.result(), box, model.score_thresholds)


def test_model_in_force_is_the_installed_package(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", build=7)
    model = load_model(install_package(tmp_path / "slot", package), threads=1)
    assert model.in_force.sha256 == package.sha256
    assert (model.in_force.build, model.in_force.variant) == (7, FP32.value)


@pytest.mark.parametrize("shape", [(320, 320), (480, 640), (64, 90), (700, 300)])
def test_detections_are_those_of_detect(tmp_path: Path, shape: tuple[int, int]) -> None:
    package = make_package(tmp_path / "package")
    model = load_model(install_package(tmp_path / "slot", package), threads=1)
    rng = np.random.default_rng(3)
    thresholds = package.manifest.score_thresholds()
    for _ in range(2):  # the second frame finds the first one's input
        frame = rng.integers(0, 255, (*shape, 3)).astype(np.uint8)
        frame[: shape[0] // 3, : shape[1] // 3] = 255
        got = detections_of(model, frame)
        expected = detect(open_detector(package, FP32, threads=1), frame, thresholds)
        assert len(got) > 0
        np.testing.assert_array_equal(got.boxes, expected.boxes)
        np.testing.assert_array_equal(got.scores, expected.scores)


def test_error_of_an_empty_slot_advises_to_flash(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="graftline flash"):
        load_model(SlotFolder(tmp_path), threads=1)


def test_package_without_proof_is_not_run(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    slot.proof.unlink()
    with pytest.raises(InstallError, match="no proof on this machine"):
        load_model(slot, threads=1)


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_package_that_has_vanished_is_named_with_what_helps(
    tmp_path: Path, left: str
) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    folder = slot.current.resolve()
    shutil.rmtree(folder)
    if left != "nothing":
        folder.mkdir()
    with pytest.raises(PackageError, match="the package in force is not") as caught:
        load_model(slot, threads=1)
    assert "graftline flash PACKAGE" in caught.value.fix


def test_slot_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="there is no slot folder") as caught:
        load_model(SlotFolder(tmp_path / "unmounted"), threads=1)
    assert "may not be mounted" in caught.value.why


def test_package_with_flipped_byte_is_not_run(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    weights = slot.current.resolve() / "openvino" / "fp32.xml"
    flip_a_byte(weights)
    with pytest.raises(PackageError, match="damaged"):
        load_model(slot, threads=1)


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


@pytest.mark.fault(44)
def test_start_with_a_damaged_model_takes_the_previous_one(tmp_path: Path) -> None:
    first = make_package(tmp_path / "first", build=1)
    second = make_package(tmp_path / "second", build=2)
    install_package(tmp_path / "slot", first)
    slot = install_package(tmp_path / "slot", second)
    slot.previous.symlink_to(slot.store / first.sha256)
    assert load_model_at_start(slot, threads=1).in_force.build == 2
    flip_a_byte(slot.current.resolve() / "openvino" / "fp32.xml")
    assert load_model_at_start(slot, threads=1).in_force.build == 1
    flip_a_byte(slot.previous.resolve() / "openvino" / "fp32.xml")
    with pytest.raises(PackageError, match=second.sha256[:12]):
        load_model_at_start(slot, threads=1)


@pytest.mark.parametrize("is_sealed_again", [False, True])
def test_package_with_a_changed_threshold_is_not_run(
    is_sealed_again: bool, tmp_path: Path
) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    manifest = slot.current.resolve() / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"red": 0.5', '"red": 0.7'))
    if is_sealed_again:
        write_seal(manifest.parent)
    fault = "holds another package" if is_sealed_again else "the package is damaged"
    with pytest.raises(PackageError, match=fault):
        load_model(slot, threads=1)


def test_link_to_a_folder_that_no_digest_names_is_not_run(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    slot.current.resolve().rename(slot.store / "mine")
    point_current_at(slot, "mine")
    with pytest.raises(PackageError, match="holds another package"):
        load_model(slot, threads=1)


def test_defect_is_found_where_it_was_painted(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    model = load_model(slot, threads=1)
    found = detections_of(model, part_picture((3, 4), red=True, size_px=640))
    assert [model.labels[label] for label in found.labels] == ["red"]
    np.testing.assert_allclose(found.boxes, [[192, 256, 256, 320]])
    assert len(detections_of(model, part_picture())) == 0


@pytest.mark.parametrize(
    ("streams_max", "threads", "expected"), [(1, 0, 1), (64, 0, 2), (64, 1, 1)]
)
def test_streams_are_those_that_flashing_measured_up_to_the_useful_ones(
    streams_max: int, threads: int, expected: int, tmp_path: Path
) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    known = read_file(slot.proof, ProofFile)
    assert known is not None
    ((sha256, proof),) = known.proofs.items()
    chosen = proof.chosen.model_copy(update={"streams": 2})
    proof = proof.model_copy(update={"chosen": chosen, "modes": (chosen,)})
    write_file(slot.proof, known.model_copy(update={"proofs": {sha256: proof}}))
    assert len(load_model(slot, threads, streams_max).requests) == expected


def test_free_run_cameras_use_one_stream_each_and_triggered_ones_more() -> None:
    assert useful_streams([False]) == 1
    assert useful_streams([False, False, False]) == 3
    assert useful_streams([True]) > 8
