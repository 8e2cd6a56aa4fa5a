"""The settings of a YOLO dataset: ``data.yaml`` and Darknet's ``obj.data``.

Source: Ultralytics' dataset format; Darknet's ``.data`` files; YAML 1.2, 3.2.1.3: the
keys of a mapping are unique.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from models.errors import DatasetError
from trainer.data.formats.limits import SETTINGS_MAX_BYTES
from trainer.data.formats.text_file import read_damaged_text, read_text
from trainer.data.paths import shown

SETTINGS_FILES = ("data.yaml", "data.yml", "dataset.yaml")
DARKNET_SETTINGS = "obj.data"
DARKNET_FOLDER = "data/"  # prefix that CVAT writes before every path
YAML_SUFFIXES = frozenset({".yaml", ".yml"})
SPLIT_KEYS = ("train", "val", "valid", "validation", "test")
# PyYAML reads 0xfff and 1:30 as numbers; Python prints none of more than 4300 digits.
LONGEST_NUMBER = 3500
NUMBER_CHARACTERS = frozenset("0123456789abcdefABCDEFxob_:+-.")
DEEPEST_VALUE = 32
# PyYAML raises also the errors of its look-ups, for texts such as ``!!bool maybe``.
MALFORMED = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
FIX = "Export the dataset again."
ONE_OF_TWO = "Only one of the two can be meant."
DELETE_WRONG = "Delete the wrong one."


@dataclass(frozen=True, slots=True)
class YoloSettings:
    """What the settings files state, unchecked where a value is `Any`."""

    root: Path
    yaml_file: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)  # of `yaml_file`
    names: list[str] | None = None  # in `yaml_file`; the index is the class
    darknet_file: Path | None = None
    # line number, name and value of each `name = value` in `darknet_file`
    darknet: tuple[tuple[int, str, str], ...] = ()

    @property
    def name(self) -> str:
        """Name of the file that states the splits; empty where folders do."""
        file = self.darknet_file if self.darknet else self.yaml_file
        return file.name if file else ""


def read_settings(root: Path) -> YoloSettings:
    """Return the settings of a dataset; empty where it has none.

    Raises:
        DatasetError: A file is damaged, contradicts another one, or its labels are
            no boxes.
    """
    darknet_file = root / DARKNET_SETTINGS
    darknet = tuple(_darknet(darknet_file)) if darknet_file.is_file() else ()
    found = _yaml_documents(root)
    if not found:
        return YoloSettings(root, darknet_file=darknet_file, darknet=darknet)
    (path, (values, node)), *others = found.items()
    for other, (other_values, _) in others:
        if repr(other_values) != repr(values):  # `==` does not end in an alias loop
            raise DatasetError(
                f"{root}: two settings files, {path.name} and {other.name}.",
                why="They differ, and which of them is right is not known.",
                fix="Keep one of them.",
            )
    if "kpt_shape" in values:
        why = "Its lines hold key points behind the box."
        fix = "Export the dataset for detection."
        raise DatasetError(f"{path}: labels of poses.", why=why, fix=fix)
    if darknet and any(values.get(key) for key in SPLIT_KEYS):
        raise DatasetError(
            f"{root}: {path.name} and {DARKNET_SETTINGS} both name the splits.",
            why="Only one of them can be followed.",
            fix="Keep the file of the export that the label files belong to.",
        )
    return YoloSettings(
        root, path, values, _names(path, node), darknet_file, darknet=darknet
    )


def _darknet(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, name and value of each setting of a Darknet file.

    Raises:
        DatasetError: A name is given twice.
    """
    lines: dict[str, int] = {}
    lines_of = read_damaged_text(path, SETTINGS_MAX_BYTES).splitlines()
    for number, line in enumerate(lines_of, 1):
        name, sign, value = line.partition("=")
        if sign and name.strip() and value.strip():
            first = lines.setdefault(name.strip().lower(), number)
            if first != number:
                raise DatasetError(
                    f"{path}: {shown(name.strip())} is given twice, in lines {first} "
                    f"and {number}.",
                    why=ONE_OF_TWO,
                    fix=DELETE_WRONG,
                )
            yield number, name.strip(), value.strip()


def _yaml_documents(root: Path) -> dict[Path, tuple[dict[str, Any], yaml.MappingNode]]:
    """Return the YAML files that describe the dataset, each with its content.

    A file of another name is one if it has class names and a split; what cannot be
    read there is not the dataset's.
    """
    found = {}
    for name in SETTINGS_FILES:
        if (root / name).is_file():
            found[root / name] = _document(root / name)
    for path in sorted(root.iterdir()):
        is_other = path.suffix.lower() in YAML_SUFFIXES and path not in found
        if not is_other or not path.is_file():
            continue
        try:
            values, node = _document(path)
        except DatasetError:
            if path.name.lower() in SETTINGS_FILES:  # Data.yaml
                raise
            continue
        if "names" in values and any(values.get(key) for key in SPLIT_KEYS):
            found[path] = values, node
    return found


def _refuse_harmful(path: Path, text: str) -> None:
    """Refuse a YAML whose values are larger than the file, before they are made.

    Raises:
        DatasetError: It has an alias, lists nested too deep, or an endless number.
        yaml.YAMLError: It is not YAML.

    Source:
        CWE-776 ("billion laughs"): aliases of lists of aliases. Merge keys (``<<``)
        need one too.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark: Any = event.start_mark
        line = mark.line + 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_VALUE:
            raise DatasetError(
                f"{path}: line {line} has more than {DEEPEST_VALUE} lists in each "
                "other.",
                why="The settings of a dataset need three.",
                fix=FIX,
            )
        if isinstance(event, yaml.AliasEvent):
            raise DatasetError(
                f"{path}: line {line} has an alias, *{shown(event.anchor)[1:-1]}.",
                why="A few aliases in each other stand for gigabytes: none is read.",
                fix="Write the value itself.",
            )
        if isinstance(event, yaml.ScalarEvent) and _is_long_number(event.value):
            raise DatasetError(
                f"{path}: line {line} has a number of {len(event.value):,} characters.",
                why=f"At most {LONGEST_NUMBER:,} are read.",
                fix=FIX,
            )


def _is_long_number(text: str) -> bool:
    return len(text) > LONGEST_NUMBER and not set(text) - NUMBER_CHARACTERS


def _document(path: Path) -> tuple[dict[str, Any], yaml.MappingNode]:
    """Return the content of a YAML file, as values and as it is written."""
    text = read_text(path)
    try:
        _refuse_harmful(path, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        repeated = _repeated_key(node, set()) if node else ""
        values = {} if repeated else yaml.safe_load(text)
    except MALFORMED as exc:
        raise DatasetError(f"{path}: not YAML.", why=f"{exc}", fix=FIX) from exc
    if repeated:
        raise DatasetError(
            f"{path}: {repeated}.",
            why=ONE_OF_TWO,
            fix=DELETE_WRONG,
        )
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        why = "Expected names and split folders."
        raise DatasetError(f"{path}: not a YOLO data.yaml.", why=why, fix=FIX)
    return values, node


def _repeated_key(node: yaml.Node, seen: set[int]) -> str:
    """Return which key a mapping has twice; PyYAML takes the last one in silence."""
    if id(node) in seen:  # an alias may lead back to its own node
        return ""
    seen.add(id(node))
    inside: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        if repeated := _repeated_of(node):
            return repeated
        inside += [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inside += node.value
    return next(filter(None, (_repeated_key(each, seen) for each in inside)), "")


def _repeated_of(node: yaml.MappingNode) -> str:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
            line = key.start_mark.line + 1
            if key.value in lines:
                first = lines[key.value]
                return f"{shown(key.value)} is given twice, in lines {first} and {line}"
            lines[key.value] = line
    return ""


def _names(path: Path, document: yaml.MappingNode) -> list[str] | None:
    """Return the class names of a YAML file as they are written there.

    Not as values: a class ``no`` would be ``False``, and ``1.10`` would be ``1.1``.

    Raises:
        DatasetError: They are no list of texts.
    """
    node = next((value for key, value in document.value if key.value == "names"), None)
    if node is None or node.tag.endswith(":null"):
        return None
    if isinstance(node, yaml.MappingNode):
        by_number = {
            str(key.value): _name(path, value, str(key.value))
            for key, value in node.value
        }
        return _numbered(path, by_number)
    if isinstance(node, yaml.SequenceNode):
        return [_name(path, each, str(n)) for n, each in enumerate(node.value)]
    raise DatasetError(
        f"{path}: names is {shown(node.value)}.",
        why="Expected a list of class names, or number and name of each class.",
        fix="Correct names in the file.",
    )


def _name(path: Path, node: yaml.Node, number: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise DatasetError(
            f"{path}: a class name is a list.",
            why=f"Expected one text for each class, class {shown(number)} has another.",
            fix="Correct names in data.yaml.",
        )
    if node.tag.endswith(":null") or not node.value.strip():
        raise DatasetError(
            f"{path}: class {shown(number)} has no name.",
            why="The numbers in label files could mean other classes.",
            fix="Write its name, or in quotes if it is a reserved one of YAML.",
        )
    return str(node.value)


def _numbered(path: Path, names: dict[str, str]) -> list[str]:
    """Return class names by their number.

    Raises:
        DatasetError: A number is missing: label files would mean other classes.
    """
    wanted: Sequence[str] = [str(number) for number in range(len(names))]
    if set(names) != set(wanted):
        raise DatasetError(
            f"{path}: classes are numbered {shown(', '.join(names))}.",
            why=f"Expected every number from 0 to {len(names) - 1}, as label files do.",
            fix="Number the names from 0 without a gap.",
        )
    return [names[number] for number in wanted]
