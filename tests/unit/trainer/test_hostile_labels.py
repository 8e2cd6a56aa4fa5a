"""Whatever stands in a label file, the answer is an error of ours or a dataset."""

import json
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import DatasetError
from tests.simulators.exports import EXPORTS, write_picture, write_yolo_export
from trainer.data.archive import unpacked
from trainer.data.dataset import open_dataset
from trainer.data.findings import Finding, Level

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
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
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
    """Open a dataset; anything but an error of ours is a fault."""
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


def test_finding_stays_on_its_line_and_commands_no_terminal() -> None:
    file = Path("good\nerror: all is lost\x1b[2J\udcff ü.jpg")
    finding = Finding(Level.WARNING, file, "a\tb", "why\r", "fix")
    line = str(finding)
    assert line.isprintable()
    assert "good\\nerror: all is lost\\x1b[2J" in line
    assert "ü.jpg" in line
    assert finding.as_json()["place"] == "a\tb"  # machines get what is there
