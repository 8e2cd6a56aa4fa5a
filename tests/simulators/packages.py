"""A small real package: a hand-made OpenVINO graph that finds bright cells.

The graph keeps the contract of every detector. Its input is cut into square cells;
each cell is one candidate box, and its scores are how bright and how red the cell is
on average. So a test paints a bright square and knows what must be found, and nothing
has to be trained. No torch and no onnx are needed.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from models.backends import open_detector
from models.detector import detect
from models.files import write_atomically
from models.golden import (
    GoldenFrame,
    golden_detections,
    golden_set,
    kept_thresholds,
)
from models.machine import machine_name, this_platform
from models.manifest import (
    DetectorInfo,
    InputInfo,
    Lineage,
    Manifest,
    Metrics,
    OutputInfo,
    PrecisionHint,
    ThresholdRule,
    Thresholds,
    TilesInfo,
    Tolerance,
    Variant,
    VariantName,
)
from models.openvino_runtime import opset13 as op
from models.openvino_runtime import ov
from models.package import Package, list_files, open_package, write_manifest
from models.preprocess import Frame
from models.slot_files import (
    Proof,
    ProofFile,
    RunMode,
    SlotFolder,
    SlotRecord,
    read_file,
    write_file,
)
from models.slot_states import SlotState

INPUT_SIZE_PX = 320
CELL_PX = 32
LABELS = ("bright", "red")
SCORE_THRESHOLD = 0.5
GOLDEN_FRAMES, GOOD_FRAMES = 16, 6
GREY = 60  # of a good part


def part_picture(
    *cells: tuple[int, int], red: bool = False, size_px: int = INPUT_SIZE_PX
) -> Frame:
    """Return a picture of a grey part with a defect in each given cell.

    Args:
        cells: Column and row of each defect; none = a good part.
        red: Whether defects are of the second label.
        size_px: Width and height of the picture.
    """
    picture = np.full((size_px, size_px, 3), GREY, np.uint8)
    side = CELL_PX * size_px // INPUT_SIZE_PX
    color = (0, 0, 255) if red else (250, 250, 250)
    for column, row in cells:
        x, y = column * side, row * side
        picture[y : y + side, x : x + side] = color
    return picture


def write_parts(folder: Path, *, good: int, defective: int) -> list[str]:
    """Write pictures of parts as JPEG, good ones first, and return their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    stems = []
    for number in range(good + defective):
        defects = [(number % 8 + 1, 4)] if number >= good else []
        stems.append(f"part-{number}")
        picture = part_picture(*defects)
        assert cv2.imwrite(str(folder / f"part-{number}.jpg"), picture)
    return stems


def bright_cell_graph(input_size_px: int = INPUT_SIZE_PX, turns: int = 0) -> ov.Model:
    """Return the graph.

    Args:
        input_size_px: Height and width of the input, a multiple of the cell.
        turns: Multiplications of a large matrix that only cost time, to make a
            slow model.
    """
    cells = input_size_px // CELL_PX
    images = op.parameter([1, 3, input_size_px, input_size_px], np.float32, "images")
    side = [CELL_PX, CELL_PX]
    mean = op.avg_pool(images, side, [0, 0], [0, 0], side, exclude_pad=False)
    weights = np.array([[1, 1, 1], [-1.5, -1.5, 3]], np.float32) / 3
    scaled = op.convolution(
        mean,
        op.constant(weights.reshape(2, 3, 1, 1) / 255),
        *([1, 1], [0, 0], [0, 0], [1, 1]),
    )
    scores = op.reshape(op.clamp(scaled, 0.0, 1.0), [1, len(LABELS), cells**2], False)
    rows, columns = np.divmod(np.arange(cells**2), cells)
    boxes = np.stack(
        [
            (columns + 0.5) * CELL_PX,
            (rows + 0.5) * CELL_PX,
            np.full(cells**2, CELL_PX),
            np.full(cells**2, CELL_PX),
        ]
    ).astype(np.float32)
    if turns:
        ballast = op.broadcast(op.reduce_mean(images, [1, 2, 3], True), [1, 1, 1, 2048])
        matrix = op.constant(np.eye(2048, dtype=np.float32))
        for _ in range(turns):
            ballast = op.relu(op.matmul(ballast, matrix, False, False))
        nothing = op.multiply(
            op.reduce_mean(ballast, [1, 2, 3], False), np.float32(1e-20)
        )
        scores = op.add(scores, nothing)
    output = op.concat([op.constant(boxes[None]), scores], 1)
    output.set_friendly_name("detections")
    output.output(0).get_tensor().set_names({"detections"})
    return ov.Model([output], [images], "bright-cells")


def make_package(
    folder: Path,
    *,
    name: str = "bright-cells",
    build: int = 1,
    score_threshold: float = SCORE_THRESHOLD,
    turns: int = 0,
    variants: tuple[VariantName, ...] = (VariantName.OPENVINO_FP32,),
    labels: tuple[str, str] = LABELS,
) -> Package:
    """Write a package and return it, verified.

    Args:
        folder: Folder to make.
        name: Name of the model.
        build: Its build number.
        score_threshold: Score from which a cell counts.
        turns: Of ``bright_cell_graph``.
        variants: OpenVINO variants to hold; all run the same graph.
        labels: Names of its two labels.
    """
    (folder / "openvino").mkdir(parents=True)
    entries = {}
    for variant in variants:
        path = Path("openvino") / f"{variant.value.partition('-')[2]}.xml"
        ov.save_model(bright_cell_graph(turns=turns), folder / path, False)
        entries[variant] = _variant(variant, path, folder)
    _write_golden_pictures(folder / "golden")
    manifest = _manifest(name, build, dict.fromkeys(labels, score_threshold), entries)
    _write_expected(folder, manifest, variants[0])
    files = list_files(folder)
    return write_manifest(folder, manifest.model_copy(update={"files": files}))


def make_large_package(folder: Path, size_bytes: int, *, build: int = 1) -> Package:
    """Write a package with one large file of random bytes, ``reference.bin``."""
    package = make_package(folder, build=build)
    write_atomically(folder / "reference.bin", os.urandom(size_bytes))
    update = {"files": list_files(folder)}
    return write_manifest(folder, package.manifest.model_copy(update=update))


def make_tiled_package(folder: Path, schema_version: int = 2) -> Package:
    """Write a package that cuts frames into 2 x 3 tiles, and return it.

    Args:
        folder: Folder to make.
        schema_version: Of the manifest.
    """
    manifest = make_package(folder).manifest
    info = TilesInfo(picture_height_px=576, picture_width_px=832, overlap_px=64)
    update = {"tiles": info, "schema_version": schema_version}
    return write_manifest(folder, manifest.model_copy(update=update))


def install_package(
    slot_root: Path, package: Package, variant: VariantName | None = None
) -> SlotFolder:
    """Put a package into a slot folder as flashing does, proof included.

    Args:
        slot_root: The slot folder; made if needed.
        package: A package.
        variant: Which variant the proof chooses; the first by default.
    """
    slot = SlotFolder(slot_root)
    slot.store.mkdir(parents=True, exist_ok=True)
    if not (slot.store / package.sha256).exists():
        shutil.copytree(package.folder, slot.store / package.sha256)
    write_proof(slot, package, variant or next(iter(package.manifest.variants)))
    point_current_at(slot, package.sha256)
    record_ = SlotRecord(
        state=SlotState.COMMITTED, package_sha256=package.sha256, at=datetime.now(UTC)
    )
    write_file(slot.state, record_)
    return slot


def write_proof(slot: SlotFolder, package: Package, variant: VariantName) -> None:
    """Add the proof of a package to ``proof.json``."""
    mode = RunMode(
        variant=variant,
        precision_hint=PrecisionHint.F32,
        passed=True,
        latency_ms_p50=1,
        latency_ms_p99=2,
    )
    here = this_platform()
    proof = Proof(
        package_sha256=package.sha256,
        at=datetime.now(UTC),
        machine=machine_name(),
        instruction_set=here.instruction_set,
        runtimes=here.runtimes,
        golden_frames=GOLDEN_FRAMES,
        chosen=mode,
        modes=(mode,),
    )
    known = read_file(slot.proof, ProofFile)
    proofs = {**(known.proofs if known else {}), package.sha256: proof}
    write_file(slot.proof, ProofFile(proofs=proofs))


def point_current_at(slot: SlotFolder, sha256: str) -> None:
    """Switch the ``current`` link atomically."""
    fresh = slot.root / ".current.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.join("store", sha256))  # noqa: PTH118 (link text)
    fresh.replace(slot.current)


def _variant(name: VariantName, path: Path, folder: Path) -> Variant:
    size = (folder / path).stat().st_size
    size += (folder / path).with_suffix(".bin").stat().st_size
    close = Tolerance(score=0.05, iou=0.9)
    wide = Tolerance(score=0.15, iou=0.8)
    return Variant(
        model=path.as_posix(),
        runtime="openvino",
        precision="int8" if name is VariantName.OPENVINO_INT8 else "fp32",
        size_bytes=size,
        tolerances={PrecisionHint.F32: close, PrecisionHint.BF16: wide},
    )


def _write_golden_pictures(folder: Path) -> None:
    folder.mkdir()
    for number in range(GOLDEN_FRAMES):
        defects = [] if number < GOOD_FRAMES else [(number % 9, number % 7)]
        picture = part_picture(*defects, red=number % 2 == 0)
        assert cv2.imwrite(str(folder / f"{number:02}.png"), picture)


def _write_expected(folder: Path, manifest: Manifest, variant: VariantName) -> None:
    draft = write_manifest(
        folder, manifest.model_copy(update={"files": _with_empty_golden(folder)})
    )
    detector = open_detector(draft, variant, PrecisionHint.F32, 1)
    kept = kept_thresholds(manifest.score_thresholds())
    frames = []
    for number in range(GOLDEN_FRAMES):
        picture = cv2.imread(str(folder / "golden" / f"{number:02}.png"))
        found = detect(detector, np.asarray(picture, np.uint8), kept)
        frames.append(
            GoldenFrame(
                file=f"{number:02}.png",
                good=number < GOOD_FRAMES,
                detections=golden_detections(found),
            )
        )
    golden = golden_set(frames, manifest.labels, manifest.thresholds)
    text = golden.model_dump_json(indent=1)
    write_atomically(folder / "golden" / "expected.json", text.encode())


def _with_empty_golden(folder: Path) -> dict[str, object]:
    write_atomically(folder / "golden" / "expected.json", b"{}")
    return dict(list_files(folder))


def _manifest(
    name: str,
    build: int,
    scores: dict[str, float],
    variants: dict[VariantName, Variant],
) -> Manifest:
    metrics = {
        field: (0.0, 1.0) if field.endswith("interval") else 1.0
        for field in Metrics.model_fields
        if field not in {"images", "good_images", "split", "not_measured"}
    }
    return Manifest(
        schema_version=1,
        name=name,
        build=build,
        created_at=datetime.fromtimestamp(build, UTC),
        detector=DetectorInfo(
            name="bright-cells", activation="relu", license="Apache-2.0"
        ),
        labels=tuple(scores),
        input=InputInfo(height_px=INPUT_SIZE_PX, width_px=INPUT_SIZE_PX),
        output=OutputInfo(anchors=(INPUT_SIZE_PX // CELL_PX) ** 2),
        thresholds=Thresholds(
            scores=scores,
            iou_threshold=0.65,
            rule=ThresholdRule.BEST_F1,
            chosen_on="val",
            images=GOLDEN_FRAMES,
            good_images=GOOD_FRAMES,
        ),
        metrics=Metrics.model_validate(
            {**metrics, "images": GOLDEN_FRAMES, "good_images": GOOD_FRAMES}
        ),
        lineage=Lineage(
            dataset_sha256="0" * 64,
            dataset_images=GOLDEN_FRAMES,
            recipe={},
            seed=0,
            pretrained="none",
            versions={},
        ),
        variants=variants,
        golden="golden/expected.json",
        files={},
    )


def reopen(package: Package) -> Package:
    """Return the package as a reader sees it now, for example after a flip."""
    return open_package(package.folder)
