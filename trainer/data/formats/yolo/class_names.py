"""The class names of a YOLO dataset: the line or the number is the class.

``names`` of ``data.yaml``, the file that ``obj.data`` names, ``classes.txt`` and
``obj.names``. Label files hold numbers only, so two files that disagree about the order
would make scratches of dents: that is refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from models.counted import counted
from models.errors import DatasetError
from trainer.data.formats.text_file import read_text
from trainer.data.formats.yolo.settings import YoloSettings
from trainer.data.paths import shown

CLASSES_FILE, DARKNET_NAMES = "classes.txt", "obj.names"
ROBOFLOW_NAMES = "_darknet.labels"  # beside photos and label files, one a split


def is_names_file(path: Path) -> bool:
    """Return whether a file is named like a list of class names."""
    return path.name.lower() in {CLASSES_FILE, DARKNET_NAMES, ROBOFLOW_NAMES}


def class_names(settings: YoloSettings, files: Sequence[Path]) -> list[str]:
    """Return the class names; the index is the class.

    Args:
        files: Every file of the dataset.

    Raises:
        DatasetError: There are none, one is there twice, or two files disagree.
    """
    root = settings.root
    found = dict(_sources(settings, files))
    if not found:
        raise DatasetError(
            f"{root}: the class names are missing.",
            why="Found neither names in data.yaml nor classes.txt.",
            fix="Write classes.txt with one class name a line.",
        )
    (path, names), *others = found.items()
    _refuse_repeated(path, names)
    faults = [
        fault
        for other, other_names in others
        if (fault := _difference(root, path, names, other, other_names))
    ]
    if faults:
        raise DatasetError(
            f"{root}: the files with the class names disagree.",
            why=" ".join(faults),
            fix="Keep the file that belongs to the label files, or correct the other.",
        )
    _refuse_other_count(settings, path, len(names))
    return names


def names_files(settings: YoloSettings, files: Sequence[Path]) -> list[Path]:
    """Return the text files with class names, nearest to the top first."""
    named = {
        PurePosixPath(value.replace("\\", "/")).name
        for _, key, value in settings.darknet
        if key.lower() == "names"
    }
    top = [path for path in files if path.parent == settings.root]
    found = [path for path in top if path.name in named]
    found += [path for path in files if is_names_file(path) and path not in found]
    return sorted(found, key=lambda path: (path.name not in named, len(path.parts)))


def _sources(
    settings: YoloSettings, files: Sequence[Path]
) -> Iterator[tuple[Path, list[str]]]:
    """Yield each file with class names and these; the first one counts."""
    if settings.yaml_file and settings.names is not None:
        yield settings.yaml_file, settings.names
    for path in names_files(settings, files):
        yield path, _listed_names(path)


def _listed_names(path: Path) -> list[str]:
    """Return the class names of a text file, one a line.

    Raises:
        DatasetError: A line between names is blank: is it a class or not?
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        number = lines.index("") + 1
        raise DatasetError(
            f"{path}: line {number} is blank.",
            why="The line is the class number: those of the names below are not known.",
            fix="Delete the blank line, or write the name of the class there.",
        )
    return lines


def _refuse_repeated(path: Path, names: Sequence[str]) -> None:
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        first = numbers.setdefault(name, number)
        if first != number:
            raise DatasetError(
                f"{path}: class name {shown(name)} is there twice.",
                why=f"It is class {first} and class {number}.",
                fix="Correct one of the two, or merge the classes in the labels.",
            )


def _difference(
    root: Path, path: Path, names: list[str], other: Path, others: list[str]
) -> str:
    """Return how two lists of class names differ; empty where they do not."""
    first, second = (str(p.relative_to(root)) for p in (path, other))
    for number, (name, other_name) in enumerate(zip(names, others, strict=False)):
        if name.strip().casefold() != other_name.casefold():
            return (
                f"Class {number} is {shown(name)} in {first}, {shown(other_name)} in "
                f"{second}."
            )
    if len(names) != len(others):
        return (
            f"{first} has {counted(len(names), 'class', 'classes')}, {second} "
            f"has {len(others)}."
        )
    return ""


def _refuse_other_count(settings: YoloSettings, path: Path, count: int) -> None:
    """Refuse a stated number of classes that is not that of the names.

    Raises:
        DatasetError: A name may have been lost or added, and with it all numbers.
    """
    stated: list[tuple[Path | None, str, object]] = [
        (settings.darknet_file, f"line {line}", value)
        for line, key, value in settings.darknet
        if key.lower() == "classes"
    ]
    if settings.values.get("nc") is not None:
        stated.append((settings.yaml_file, "nc", settings.values["nc"]))
    for file, place, value in stated:
        if str(value).strip() != str(count):
            raise DatasetError(
                f"{file}: {place} gives {shown(value)} as the number of classes, "
                f"{path.name} has {count} name{'s' * (count != 1)}.",
                why="If a name is missing, label files mean other classes.",
                fix=f"Correct the names in {path.name}, or the number.",
            )
