"""Bad input through the real command: what, why, fix, and the right exit code.

No traceback, nothing on stdout where a program expects one JSON, and nothing that was
half written is left as if it were whole.
"""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import (
    CameraError,
    ConfigError,
    DatasetError,
    DeliveryError,
    InstallError,
    PackageError,
    TrainingError,
)
from models.package import Package
from tests.command import Answer, graftline
from tests.simulators.broker import Broker, free_port
from tests.simulators.packages import install_package, make_package, write_parts

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PHOTOS = 6
PHOTO_PX = 96

EDGE_TOML = """\
[station]
site = "site"
line = "line"
station = "station"
[model]
slot = "slot"
[broker]
port = {port}
[outbox]
path = "outbox.sqlite3"
stalled_after_s = 2
[evidence]
folder = "evidence"
[[camera]]
name = "top"
source = "folder:parts"
"""


@dataclass(frozen=True)
class Case:
    """One fault, and the message and exit code that it must cause.

    Args:
        fault: Its name.
        arguments: Verb, options and files of the command.
        code: Exit code.
        pieces: Texts that the message must contain.
        spoil: Makes the fault in the folder where the command is typed.
    """

    fault: str
    arguments: tuple[str, ...]
    code: int
    pieces: tuple[str, ...]
    spoil: Callable[[Path], object] = lambda folder: None

    def __str__(self) -> str:
        return f"{self.arguments[0]}-{self.fault}".replace(" ", "-")


def coco(folder: Path, **changes: object) -> None:
    """Change lists of ``data/train.json``."""
    path = folder / "data" / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def first_annotation(folder: Path, **changes: object) -> None:
    """Change the first annotation of ``data/train.json``."""
    first, *others = json.loads((folder / "data/train.json").read_text())["annotations"]
    coco(folder, annotations=[{**first, **changes}, *others])


def cut(path: Path) -> None:
    """Leave half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


TRAIN = ("train", "data", "--out", "run", "--json")
DATASET, TRAINING = DatasetError.exit_code, TrainingError.exit_code
PACKAGE, CONFIG = PackageError.exit_code, ConfigError.exit_code
INSTALL = InstallError.exit_code

CASES = [
    Case("no dataset", ("check", "nowhere", "--json"), DATASET, ("nowhere",)),
    Case("no dataset", ("train", "nowhere", "--out", "run"), DATASET, ("nowhere",)),
    Case(
        "folder without labels",
        TRAIN,
        DATASET,
        ("data", "no labels"),
        lambda folder: (folder / "data" / "train.json").unlink(),
    ),
    Case(
        "empty dataset",
        TRAIN,
        DATASET,
        ("data", "no photo can be used", "no label file lists"),
        lambda folder: coco(folder, images=[], annotations=[]),
    ),
    Case(
        "box outside the photo",
        TRAIN,
        DATASET,
        ("photo-0.jpg", "outside the photo of 96 x 96"),
        lambda folder: first_annotation(folder, bbox=[200, 200, 20, 20]),
    ),
    Case(
        "unknown class",
        TRAIN,
        DATASET,
        ("train.json", "category_id 99"),
        lambda folder: first_annotation(folder, category_id=99),
    ),
    Case(
        "broken JPEG",
        TRAIN,
        DATASET,
        ("photo-0.jpg", "Copy it again"),
        lambda folder: cut(folder / "data" / "images" / "photo-0.jpg"),
    ),
    Case(
        "missing weights",
        (*TRAIN, "--weights", "nowhere.pth"),
        TRAINING,
        ("nowhere.pth",),
    ),
    Case(
        "unwritable output",
        ("train", "data", "--out", "file.txt/run", "--json"),
        TRAINING,
        ("file.txt/run",),
    ),
    Case(
        "unwritable output",
        ("synth", "--out", "file.txt/data", "--photos", "4", "--parts", "2", "--json"),
        DATASET,
        ("file.txt",),
    ),
    Case(
        "foreign folder",
        ("synth", "--out", "data", "--photos", "4", "--parts", "2", "--json"),
        DATASET,
        ("data", "not written by synth"),
    ),
    Case(
        "foreign folder",
        ("demo", "--out", "data", "--once", "--json"),
        CONFIG,
        ("data", "not from an earlier demo"),
    ),
    Case(
        "unwritable output",
        ("demo", "--out", "file.txt/out", "--once", "--json"),
        CONFIG,
        ("file.txt/out",),
    ),
    Case(
        "no run",
        ("pack", "nowhere", "--out", "new", "--json"),
        TRAINING,
        ("nowhere",),
    ),
    Case(
        "no run",
        ("evaluate", "nowhere", "data", "--json"),
        TRAINING,
        ("nowhere",),
    ),
    Case(
        "no package",
        ("flash", "nowhere", "local:line-pc", "--json"),
        PACKAGE,
        ("nowhere",),
    ),
    Case(
        "flipped byte",
        ("flash", "package", "local:line-pc", "--json"),
        PACKAGE,
        ("fp32.bin",),
        lambda folder: flip(folder / "package" / "openvino" / "fp32.bin"),
    ),
    Case(
        "flipped byte",
        ("selftest", "package", "--json"),
        PACKAGE,
        ("15.png",),
        lambda folder: flip(folder / "package" / "golden" / "15.png"),
    ),
    Case(
        "flipped byte",
        ("evaluate", "package", "data", "--json"),
        PACKAGE,
        ("fp32.xml",),
        lambda folder: flip(folder / "package" / "openvino" / "fp32.xml"),
    ),
    Case(
        "unwritable target",
        ("flash", "package", "local:file.txt/line-pc", "--json"),
        INSTALL,
        ("file.txt/line-pc",),
    ),
    Case(
        "no configuration",
        ("run", "--config", "nowhere.toml", "--json"),
        CONFIG,
        ("nowhere.toml",),
    ),
    Case(
        "wrong key",
        ("run", "--config", "edge.toml", "--json"),
        CONFIG,
        ("edge.toml", "broker.prot", "did you mean port?"),
        lambda folder: (folder / "edge.toml").write_text(
            EDGE_TOML.format(port=1883).replace("port =", "prot =")
        ),
    ),
    Case(
        "wrong key",
        ("dashboard", "--config", "dashboard.toml"),
        CONFIG,
        ("dashboard.toml", "server.prot", "did you mean port?"),
        lambda folder: (folder / "dashboard.toml").write_text("[server]\nprot = 1\n"),
    ),
    Case(
        "unwritable history",
        ("dashboard", "--config", "dashboard.toml"),
        CONFIG,
        ("file.txt/history.sqlite3",),
        lambda folder: (folder / "dashboard.toml").write_text(
            f"[server]\nport = {free_port()}\n"
            '[history]\npath = "file.txt/history.sqlite3"\n'
        ),
    ),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_package(tmp_path_factory.mktemp("package") / "package")


@pytest.fixture
def folder(package: Package, tmp_path: Path) -> Path:
    """Return a folder with a sound dataset, a sound package and a file."""
    shutil.copytree(package.folder, tmp_path / "package")
    (tmp_path / "file.txt").write_text("a file, no folder")
    write_dataset(tmp_path / "data")
    return tmp_path


def write_dataset(folder: Path) -> None:
    """Write a small COCO dataset: a bright square on each photo."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(PHOTOS):
        photo = np.full((PHOTO_PX, PHOTO_PX, 3), 60 + number, np.uint8)
        photo[20:40, 30:50] = 250
        name = f"images/photo-{number}.jpg"
        assert cv2.imwrite(str(folder / name), photo)
        size = {"width": PHOTO_PX, "height": PHOTO_PX}
        images.append({"id": number, "file_name": name, **size})
        place = {"image_id": number, "category_id": 1, "bbox": [30, 20, 20, 20]}
        annotations.append({"id": number, "area": 400, "iscrowd": 0, **place})
    categories = [{"id": 1, "name": "square"}]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    (folder / "train.json").write_text(json.dumps(document))


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(answer: Answer, code: int, *pieces: str) -> None:
    """Check exit code and message: what at once, then why and fix, no traceback."""
    assert answer.code == code, answer.errors
    assert "Traceback" not in answer.errors
    message = answer.errors[answer.errors.index("error: ") :]
    what, *others = message.strip().splitlines()
    assert len(what) > len("error: ")
    assert len(others) >= 2, "why and fix are missing"
    assert others[-1].startswith("  Fix: ") or "  Fix: " in message
    assert not [piece for piece in pieces if piece not in message], message


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fault_is_reported_with_what_why_and_fix_and_leaves_no_output(
    case: Case, folder: Path
) -> None:
    case.spoil(folder)
    before = files_in(folder)
    answer = graftline(*case.arguments, cwd=folder)
    assert_refused(answer, case.code, *case.pieces)
    assert answer.output == ""
    assert files_in(folder) == before


def prepare_daemon(folder: Path, package: Package, port: int) -> None:
    """Install a model and write a configuration with a folder of parts."""
    install_package(folder / "slot", package)
    write_parts(folder / "parts", good=2, defective=3)
    (folder / "edge.toml").write_text(EDGE_TOML.format(port=port))


RUN = ("run", "--config", "edge.toml", "--exit-at-end")


def test_daemon_without_a_model_prints_how_to_flash(folder: Path) -> None:
    (folder / "edge.toml").write_text(EDGE_TOML.format(port=free_port()))
    answer = graftline(*RUN, "--json", cwd=folder)
    assert_refused(answer, INSTALL, "slot", "graftline flash")
    assert answer.output == ""


def test_daemon_refuses_a_model_with_a_flipped_byte(
    folder: Path, package: Package
) -> None:
    prepare_daemon(folder, package, free_port())
    stored = folder / "slot" / "store" / package.sha256
    flip(stored / "openvino" / "fp32.bin")
    answer = graftline(*RUN, "--json", cwd=folder)
    assert_refused(answer, PACKAGE, "fp32.bin")
    assert answer.output == ""


def test_camera_that_is_not_there_is_named(folder: Path, package: Package) -> None:
    (folder / "broker").mkdir()
    with Broker(folder / "broker") as broker:
        prepare_daemon(folder, package, broker.port)
        shutil.rmtree(folder / "parts")
        answer = graftline(*RUN, cwd=folder)
    assert_refused(answer, CameraError.exit_code, "camera top", "parts")


def test_broker_that_is_not_there_is_named_and_no_alert_is_lost(
    folder: Path, package: Package
) -> None:
    port = free_port()
    prepare_daemon(folder, package, port)
    answer = graftline(*RUN, cwd=folder)
    assert_refused(
        answer, DeliveryError.exit_code, f"127.0.0.1:{port}", "outbox.sqlite3"
    )
    assert "8 events are not delivered" in answer.errors  # 3 alerts and 5 verdicts
    with contextlib.closing(sqlite3.connect(folder / "outbox.sqlite3")) as outbox:
        kinds = outbox.execute("SELECT kind, count(*) FROM event GROUP BY kind")
        assert dict(kinds.fetchall()) == {"alert": 3, "verdict": 5}
