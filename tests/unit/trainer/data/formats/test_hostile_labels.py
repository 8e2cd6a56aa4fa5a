"""Any content of a label file gives a dataset or a DatasetError, never a traceback."""

import json
import os
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from tests.examples import example_count
from tests.simulators.exports import (
    EXPORTS,
    cvat_xml,
    voc_object,
    voc_xml,
    write_cvat,
    write_picture,
    write_yolo_export,
)
from trainer.data.archive import unpacked
from trainer.data.checks.check import check_dataset
from trainer.data.checks.repaired_copy import write_repaired_copy
from trainer.data.dataset import open_dataset
from trainer.data.findings import FindingKind, Level

LABEL_FILES = {
    "COCO": "annotations/instances_default.json",
    "YOLO": "labels/a.txt",
    "YOLO 1.1": "obj.data",
    "Pascal VOC": "Annotations/a.xml",
    "CVAT": "annotations.xml",
    "Label Studio": "project-1-at-2026-01-01.json",
    "Label Studio JSON-MIN": "project-1-at-2026-01-01.json",
}
QUIET = settings(
    max_examples=example_count(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# What may be in the place of a path in a label file, and the reason of the finding.
BAD_NAMES = {
    "a\0.png": "holds a null byte",
    "\ud800.png": "character that no file name can have",
    "x" * 300: "longer than a file name can be",
    "b/" * 3000 + "c.png": "longer than a file name can be",
    "/etc/hostname": "leads out of the dataset's folder",
    "../../../etc/hostname": "leads out of the dataset's folder",
}
# Text formats hold neither a lone surrogate nor, in XML, a null byte.
NAMES = st.sampled_from(sorted(BAD_NAMES)) | st.text(max_size=12) | st.just("a.png/")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.just(-1),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["\ud800", "\0", "a.png", "NaN", "../..", "/", "x" * 5000]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "x", "points", "value", "bbox", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def opens_or_is_refused(root: Path) -> None:
    """Open a dataset; only a DatasetError may be raised."""
    findings: list[object] = []
    refusals: list[DatasetError] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            findings += open_dataset(root).findings
    except DatasetError as exc:
        refusals.append(exc)
    assert all(exc.what and exc.fix and str(exc) for exc in refusals)
    for finding in findings:
        assert str(finding).encode("utf-8")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small dataset in every format."""
    base = tmp_path_factory.mktemp("exports")
    return {
        name: write(base / name.replace(" ", "-")) for name, write in EXPORTS.items()
    }


@pytest.fixture(scope="module")
def originals(exports: dict[str, Path]) -> dict[str, bytes]:
    """The label files as they should be."""
    return {n: (exports[n] / file).read_bytes() for n, file in LABEL_FILES.items()}


@pytest.mark.parametrize("name", LABEL_FILES)
@QUIET
@given(data=st.data())
def test_bytes_changed_anywhere_are_no_traceback(
    name: str,
    data: st.DataObject,
    exports: dict[str, Path],
    originals: dict[str, bytes],
) -> None:
    content = bytearray(originals[name])
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 12)))
    put = data.draw(
        st.binary(max_size=8)
        | st.sampled_from([b"\0", b"nan", b"1e999", b"\xff\xfe", b"-", b"9" * 5000])
    )
    content[begin:end] = put
    (exports[name] / LABEL_FILES[name]).write_bytes(content)
    opens_or_is_refused(exports[name])


def replaced(document: object, path: list[int], value: object) -> object:
    """Return a JSON document with one value put in somewhere."""
    if not path or not isinstance(document, list | dict) or not document:
        return value
    if isinstance(document, list):
        at = path[0] % len(document)
        inside = replaced(document[at], path[1:], value)
        return [*document[:at], inside, *document[at + 1 :]]
    key = list(document)[path[0] % len(document)]
    return {**document, key: replaced(document[key], path[1:], value)}


@pytest.mark.parametrize("name", [n for n, f in LABEL_FILES.items() if "json" in f])
@QUIET
@given(path=st.lists(st.integers(0, 20), min_size=1, max_size=7), value=VALUES)
def test_values_of_another_type_are_no_traceback(
    name: str,
    path: list[int],
    value: object,
    exports: dict[str, Path],
    originals: dict[str, bytes],
) -> None:
    document = replaced(json.loads(originals[name]), path, value)
    text = json.dumps(document)
    (exports[name] / LABEL_FILES[name]).write_text(text, encoding="utf-8")
    opens_or_is_refused(exports[name])


@QUIET
@given(settings_text=st.text(max_size=40), names=VALUES, train=VALUES)
def test_data_yaml_of_any_content_is_no_traceback(
    settings_text: str,
    names: object,
    train: object,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("yolo")
    write_picture(root / "images" / "a.png")
    text = json.dumps({"names": names, "train": train})  # JSON is YAML
    for content in (text, f"names: [a]\ntrain: images\n{settings_text}"):
        (root / "data.yaml").write_bytes(content.encode("utf-8", "backslashreplace"))
        if train != "/":  # the whole disk is a folder of pictures too
            opens_or_is_refused(root)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]",
        "names: &n [*n]",
        "names: {[1]: 2}",
        "names: [a]\ndate: 2024-99-99",
        "[" * 400,
        "kpt_shape: [17, 3]\nnames: [a]",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_harmful_yaml_is_refused(tmp_path: Path, text: str) -> None:
    write_picture(tmp_path / "images" / "a.png")
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        open_dataset(tmp_path)


@QUIET
@given(at=st.integers(0, 5000), put=st.binary(min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_changed_anywhere_is_whole_or_refused(
    at: int, put: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("zip")
    folder = write_yolo_export(base / "d")
    path = base / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(folder.rglob("*.txt")):
            file.write(member, member.relative_to(folder))
    content = bytearray(path.read_bytes())
    place = at % len(content)
    content[place : place + len(put)] = put
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFTLINE_CACHE", str(base / "cache"))
        with suppress(DatasetError):
            unpacked(path)
    assert {p.name for p in base.iterdir()} <= {"d", "data.zip", "cache"}


def _coco(root: Path, name: str) -> Path:
    path = root / LABEL_FILES["COCO"]
    document = json.loads(path.read_text("utf-8"))
    document["images"][0]["file_name"] = name
    path.write_text(json.dumps(document), "utf-8")
    return path


def _studio(root: Path, name: str) -> Path:
    path = root / LABEL_FILES["Label Studio"]
    document = json.loads(path.read_text("utf-8"))
    document[0]["data"]["image"] = name
    path.write_text(json.dumps(document), "utf-8")
    return path


def _studio_min(root: Path, name: str) -> Path:
    path = root / LABEL_FILES["Label Studio JSON-MIN"]
    document = json.loads(path.read_text("utf-8"))
    document[0]["image"] = name
    path.write_text(json.dumps(document), "utf-8")
    return path


def _text(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def _xml(path: Path, before: str, after: str) -> Path:
    return _text(path, path.read_text("utf-8").replace(before, escape(after), 1))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _voc(root: Path, name: str) -> Path:
    """Put a name into an XML whose own name is not that of a picture."""
    path = root / "Annotations" / "a.xml"
    if path.exists():
        path.rename(root / "Annotations" / "other.xml")
    path = root / "Annotations" / "other.xml"
    text = voc_xml("NAME", voc_object()).replace("NAME", escape(name))
    return _text(path, text)


def _yaml_list(root: Path, lines: str) -> Path:
    _yaml(root, train="list.txt")
    return _text(root / "list.txt", lines)


def _yaml(root: Path, **settings: object) -> Path:
    document = {"names": ["dot"], **settings}  # JSON is YAML
    return _text(root / "data.yaml", json.dumps(document))


# One line for every field of a format that becomes a path: where a name is put.
PATH_FIELDS: dict[str, tuple[str, Callable[[Path, str], Path]]] = {
    "COCO file_name": ("COCO", _coco),
    "Label Studio image": ("Label Studio", _studio),
    "Label Studio JSON-MIN image": ("Label Studio JSON-MIN", _studio_min),
    "CVAT image name": ("CVAT", lambda d, n: _xml(d / "annotations.xml", "a.png", n)),
    "CVAT subset": (
        "CVAT",
        lambda d, n: _xml(d / "annotations.xml", "<subset>", f"<subset>{n}"),
    ),
    "VOC filename": ("Pascal VOC", _voc),
    "VOC list": (
        "Pascal VOC",
        lambda d, n: _text(_folder(d / "ImageSets/Main") / "train.txt", f"{n}\n"),
    ),
    "YOLO 1.1 list of photos": (
        "YOLO 1.1",
        lambda d, n: _text(d / "train.txt", f"data/obj_train_data/b.png\n{n}\n"),
    ),
    "YOLO 1.1 obj.data": (
        "YOLO 1.1",
        lambda d, n: _text(d / "obj.data", f"classes = 1\ntrain = {n}\n"),
    ),
    "YOLO data.yaml split": ("YOLO", lambda d, n: _yaml(d, train=n)),
    "YOLO data.yaml split list": ("YOLO", lambda d, n: _yaml(d, train=["images", n])),
    "YOLO data.yaml path": ("YOLO", lambda d, n: _yaml(d, path=n, train="images")),
    "YOLO data.yaml list of photos": (
        "YOLO",
        lambda d, n: _yaml_list(d, f"images/b.png\n{n}\n"),
    ),
}


def can_hold(field: str, name: str) -> bool:
    """Return whether the file of a field can hold a name: XML takes no null byte."""
    if field.startswith(("VOC", "CVAT")):
        return name.isprintable()
    return field.startswith(("COCO", "Label Studio")) or "\ud800" not in name


# Fields whose name is that of a folder or list: without it there is no dataset.
SETTINGS_FIELDS = [f for f in PATH_FIELDS if "data.yaml" in f or "obj.data" in f]
SETTINGS_FIELDS.remove("YOLO data.yaml list of photos")
# Not opened: a subset names a split, and a VOC list is compared with the photos' names.
COMPARED_FIELDS = {"CVAT subset", "VOC list"}


@pytest.mark.parametrize("field", PATH_FIELDS)
@QUIET
@given(name=NAMES)
def test_any_name_in_the_place_of_a_path_raises_no_unexpected_error(
    field: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    label_format, put = PATH_FIELDS[field]
    root = EXPORTS[label_format](tmp_path_factory.mktemp("names") / "d")
    put(root, name)
    opens_or_is_refused(root)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (field, name)
        for field in PATH_FIELDS
        for name in BAD_NAMES
        if can_hold(field, name) and field not in {*SETTINGS_FIELDS, *COMPARED_FIELDS}
    ],
)
def test_bad_name_of_a_picture_is_a_finding_with_file_and_place(
    tmp_path: Path, field: str, name: str
) -> None:
    label_format, put = PATH_FIELDS[field]
    root = EXPORTS[label_format](tmp_path / "d")
    file = put(root, name)
    found = open_dataset(root).findings
    [finding] = [f for f in found if f.kind is FindingKind.UNREADABLE_PHOTO]
    assert finding.level is Level.ERROR
    assert (finding.file, bool(finding.place)) == (file, True)
    assert BAD_NAMES[name] in finding.why


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (field, name)
        for field in SETTINGS_FIELDS
        for name in BAD_NAMES
        if can_hold(field, name)
    ],
)
def test_bad_name_of_a_folder_or_list_is_refused_with_file_and_place(
    tmp_path: Path, field: str, name: str
) -> None:
    label_format, put = PATH_FIELDS[field]
    root = EXPORTS[label_format](tmp_path / "d")
    put(root, name)
    is_elsewhere = "leads out" in BAD_NAMES[name]
    if is_elsewhere and field == "YOLO data.yaml path":
        # The path of the computer that made the export; the folders are here.
        assert len(open_dataset(root).photos) == 2
        return
    with pytest.raises(DatasetError, match=r"data\.yaml|obj\.data") as caught:
        open_dataset(root)
    text = str(caught.value)
    assert "train" in text or "line 2" in text
    assert is_elsewhere or BAD_NAMES[name] in text


@pytest.mark.timeout(60)
@pytest.mark.parametrize("label_format", EXPORTS)
def test_pipes_and_links_to_devices_are_never_read(
    tmp_path: Path, label_format: str
) -> None:
    root = EXPORTS[label_format](tmp_path / "d")
    before = len(open_dataset(root).photos)
    for name in ("x.json", "x.xml", "x.png", "x.txt", "annotations/y.json"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    (root / "zero.png").symlink_to("/dev/zero")
    assert len(open_dataset(root).photos) == before


@pytest.mark.timeout(60)
def test_picture_that_is_a_pipe_or_a_device_is_an_error(tmp_path: Path) -> None:
    root = EXPORTS["COCO"](tmp_path / "d")
    (root / "pipe.png").symlink_to("/dev/zero")
    _coco(root, "pipe.png")
    os.mkfifo(root / "annotations" / "pipe.png")
    found = open_dataset(root).findings
    assert any("is a pipe or a device" in finding.why for finding in found)


@pytest.mark.parametrize("name", ["good", "images/loop", "labels/loop", "loop.json"])
def test_link_to_itself_is_no_traceback(tmp_path: Path, name: str) -> None:
    root = EXPORTS["YOLO"](tmp_path / "d")
    (root / name).symlink_to(root / name)
    opens_or_is_refused(root)


def test_folders_nested_too_deep_are_refused(tmp_path: Path) -> None:
    root = EXPORTS["YOLO"](tmp_path / "d")
    (root / "images" / Path(*["x"] * 70)).mkdir(parents=True)
    with pytest.raises(DatasetError, match="64 folders in each other"):
        open_dataset(root)


@pytest.mark.fault(81)
@pytest.mark.parametrize("subset", ["../../evil", "/evil", "a/b", "..", "x" * 300])
def test_subset_is_no_path_of_the_repaired_copy(tmp_path: Path, subset: str) -> None:
    root = write_cvat(tmp_path / "d", cvat_xml(subset=subset))
    copy = write_repaired_copy(check_dataset(root), tmp_path / "out" / "copy")
    assert len(copy.report.dataset.photos) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"d", "out"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["copy"]


# How the folder of a dataset may be given.
ROOTS: dict[str, Callable[[Path], Path]] = {
    "absolute": lambda root: root,
    "relative": lambda root: Path(root.name),
    "with dots": lambda root: root / ".." / root.name,
    "link": lambda root: root.with_name("link"),
}


@pytest.mark.fault(81)
@pytest.mark.parametrize("given_as", ROOTS)
@pytest.mark.parametrize("field", PATH_FIELDS)
def test_picture_outside_is_neither_read_nor_overwritten_by_a_repaired_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, given_as: str
) -> None:
    label_format, put = PATH_FIELDS[field]
    base = tmp_path / "base"
    root = EXPORTS[label_format](base / "d")
    root.with_name("link").symlink_to(root)
    (base / "out").mkdir()
    for number, place in enumerate(("x.png", "base/x.png", "base/out/x.png"), 20):
        write_picture(tmp_path / place, number)
    write_picture(root / "images" / "x.png", 30)  # would be copied over the others
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    monkeypatch.chdir(base)
    names = ["../x.png", "../../x.png", "../../../x.png"]
    for number, name in enumerate([*names, str(tmp_path / "x.png")]):
        put(root, name)
        out = base / "out" / str(number)
        try:
            copy = write_repaired_copy(check_dataset(ROOTS[given_as](root)), out)
        except DatasetError:
            continue
        outside = {before[path] for path in before if not path.is_relative_to(root)}
        copied = [path for path in out.rglob("*") if path.is_file()]
        assert not outside & {path.read_bytes() for path in copied}
        assert copy.report.dataset.photo_count <= 3
        after = {p: p.read_bytes() for p in before if p.exists()}
        assert after == before
        assert {p.name for p in tmp_path.iterdir()} == {"base", "x.png"}
        assert {p.name for p in base.iterdir()} == {"d", "link", "out", "x.png"}


@pytest.mark.fault(81)
@QUIET
@given(name=NAMES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_name_in_a_zip_is_unpacked_inside_the_cache_or_refused(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume("\ud800" not in name)  # zipfile writes none
    base = tmp_path_factory.mktemp("zip")
    path = base / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("images/a.png", b"")
        file.writestr(zipfile.ZipInfo(name.replace("\0", "NUL")), b"member")
    path.write_bytes(path.read_bytes().replace(b"NUL", b"\0\0\0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFTLINE_CACHE", str(base / "cache"))
        with suppress(DatasetError):
            unpacked(path)
    assert {p.name for p in base.iterdir()} <= {"data.zip", "cache"}
