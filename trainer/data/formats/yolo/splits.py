"""The splits of a YOLO dataset, each with its photos.

``data.yaml`` names for each split a folder, a list of folders, or a text file with one
picture per line. ``obj.data`` of YOLO 1.1 names such text files; where CVAT did not
export them, its folders ``obj_train_data`` and ``obj_valid_data`` are the splits.
Without ``data.yaml`` and ``obj.data``, folders that are named like splits are the
splits; without such folders all pictures are one split.

The folder that was given is read, also where a path names the original elsewhere.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from models.errors import DatasetError
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats.files import (
    PictureFinder,
    PictureName,
    is_picture,
    pictures_below,
)
from trainer.data.formats.rows import PhotoRows, split_name
from trainer.data.formats.text_file import read_damaged_text
from trainer.data.formats.yolo.class_names import ROBOFLOW_NAMES
from trainer.data.formats.yolo.settings import DARKNET_FOLDER, SPLIT_KEYS, YoloSettings
from trainer.data.paths import (
    OutsideNameError,
    UnusableNameError,
    path_below,
    shown,
)

IMAGES_FOLDER = "images"
LIST_SUFFIX = ".txt"
SPLITS = ("train", "val", "test")
SECOND_LINE = "Delete the second line or folder; one may be meant for another."

Splits = dict[str, list[PhotoRows]]  # name of the split to photos without rows


class SplitReader:
    """Reads which photos each split has.

    Attributes:
        findings: What is wrong with the settings and the lists.
        lists: The text files that list pictures.
    """

    def __init__(self, settings: YoloSettings, finder: PictureFinder) -> None:
        self.findings: list[Finding] = []
        self.lists: list[Path] = []
        self._settings = settings
        self._finder = finder
        self._root = settings.root
        self._places_of: dict[str, dict[Path, int]] = {}  # how often a split names each

    def read(self) -> Splits:
        """Return the photos of each split, each photo once in a split.

        Raises:
            DatasetError: ``data.yaml`` or ``obj.data`` names what is not there.
        """
        if self._settings.darknet:
            splits = self._of_darknet()
        else:
            splits = self._of_yaml() or self._of_folders()
        return {name: self._each_once(name, splits[name]) for name in splits}

    def _each_once(self, split: str, photos: list[PhotoRows]) -> list[PhotoRows]:
        """Return the photos of a split without those that it names again."""
        first: dict[Path, PhotoRows] = {}
        again = [
            photo
            for photo in photos
            if not photo.fault and first.setdefault(photo.path, photo) is not photo
        ]
        if again:
            names = first_names(photo.path.name for photo in again)
            why = f"split {split} names {_photos(len(again))} twice: each counts once."
            source = again[0].source
            place = f"{names}, {again[0].place}" if again[0].place else names
            self.findings.append(
                Finding(Level.WARNING, source, place, why, SECOND_LINE)
            )
        left_out = {id(photo) for photo in again}
        return [photo for photo in photos if id(photo) not in left_out]

    def _in_folder(self, folder: Path) -> list[PhotoRows]:
        """Return the photos of a folder, those with a verdict only if it is named."""
        named = self._finder.verdict(folder)
        return [
            PhotoRows(path, path.parent)
            for path in pictures_below(folder)
            if self._finder.verdict(path) in {"", named}
        ]

    def _of_folders(self) -> Splits:
        splits: Splits = {}
        images = self._root / IMAGES_FOLDER
        for folder in sorted(path for path in self._root.glob("*/") if path.is_dir()):
            split, inside = split_name(folder.name), folder / IMAGES_FOLDER
            if (folder / ROBOFLOW_NAMES).is_file():
                inside = folder
            if split in SPLITS and inside.is_dir():
                splits.setdefault(split, []).extend(self._in_folder(inside))
        for folder in sorted(path for path in images.glob("*/") if path.is_dir()):
            if (split := split_name(folder.name)) in SPLITS:
                splits.setdefault(split, []).extend(self._in_folder(folder))
        top = images if images.is_dir() else self._root
        ordered = {split: splits[split] for split in SPLITS if split in splits}
        return ordered or {"all": self._in_folder(top)}

    def _of_yaml(self) -> Splits:
        splits: Splits = {}
        for key in SPLIT_KEYS:
            value = self._settings.values.get(key) or []
            for name in value if isinstance(value, list) else [value]:
                if not isinstance(name, str):
                    raise DatasetError(
                        f"{self._settings.yaml_file}: {key} is {shown(value)}.",
                        why="Expected a folder, a text file, or a list of folders.",
                        fix="Correct the line in data.yaml.",
                    )
                if name.strip():
                    photos = self._named(key, name.strip())
                    splits.setdefault(split_name(key), []).extend(photos)
        self._warn_of_other_keys()
        return splits

    def _warn_of_other_keys(self) -> None:
        """Add a finding for each key that names pictures, but is no split."""
        file = self._settings.yaml_file or self._root
        for key, value in self._settings.values.items():
            if key in {*SPLIT_KEYS, "path"} or not isinstance(value, str):
                continue
            try:
                folder = path_below(self._root, self._root, value)
            except UnusableNameError:
                continue
            if folder != self._root and folder.is_dir() and pictures_below(folder):
                why = (
                    f"{shown(key)} is no split, its folder {value} is not read for it."
                )
                fix = f"Name the split {', '.join(SPLITS)}, or delete the line."
                self.findings.append(
                    Finding(Level.WARNING, file, str(key)[:20], why, fix)
                )

    def _named(self, key: str, name: str) -> list[PhotoRows]:
        """Return the photos of the folder or list that ``data.yaml`` names.

        Raises:
            DatasetError: Neither exists.
        """
        file = self._settings.yaml_file
        try:
            base = self._base_folder(self._path_setting())
            for place in _places(self._root, base, name):
                if place.is_dir() or (place.suffix == LIST_SUFFIX and place.is_file()):
                    self._warn_of_original(key, base, name, place)
                    return self._photos_of(key, place)
        except UnusableNameError as exc:
            raise DatasetError(
                f"{file}: {key} or path is not the name of a folder.",
                why=f"Got {shown(name)}; {exc}.",
                fix="Correct the path in data.yaml.",
            ) from exc
        raise DatasetError(
            f"{file}: folder {shown(name)} is not there.",
            why=f"{key} names a folder that does not exist in the dataset.",
            fix="Correct the path in data.yaml.",
        )

    def _photos_of(self, key: str, place: Path) -> list[PhotoRows]:
        """Return the photos of a folder or list; none where a split names it again.

        A list of one folder 10,000 times would be read as often.
        """
        again = self._places_of.setdefault(split_name(key), {})
        again[place] = again.get(place, 0) + 1
        if again[place] == 1:
            return self._in_folder(place) if place.is_dir() else self._list(place)
        if again[place] == 2:
            why = f"split {split_name(key)} names {shown(place.name)} more than once: "
            why += "it counts once."
            source = self._settings.yaml_file or self._root
            self.findings.append(Finding(Level.WARNING, source, key, why, SECOND_LINE))
        return []

    def _path_setting(self) -> str:
        """Return ``path`` of ``data.yaml``, empty without one.

        Raises:
            DatasetError: It is no text.
        """
        path = self._settings.values.get("path") or ""
        if not isinstance(path, str):
            raise DatasetError(
                f"{self._settings.yaml_file}: path is {shown(path)}.",
                why="Expected a folder.",
                fix="Correct the line in data.yaml.",
            )
        return path

    def _base_folder(self, path: str) -> Path:
        """Return the folder that ``path`` names, or the dataset's if it is outside it.

        Raises:
            UnusableNameError: No folder can have the name.
        """
        try:
            base = path_below(self._root, self._root, path)
        except OutsideNameError:  # a path on the computer that made the export
            self._warn_of_original("path", self._root, path, self._root)
            return self._root
        return base if base.is_dir() else self._root

    def _warn_of_original(self, key: str, base: Path, name: str, used: Path) -> None:
        """Add a finding if a name means a path that exists outside of the dataset."""
        original = outside(self._root, base, name)
        source = self._settings.yaml_file or self._root
        if original is None or any(f.place == key for f in self.findings):
            return
        why = f"{key} is {original}, which exists; {used} is read instead."
        fix = f"None needed if {self._root} is meant; otherwise give {original}."
        self.findings.append(Finding(Level.WARNING, source, key, why, fix))

    def _list(self, path: Path) -> list[PhotoRows]:
        """Return the photos of a list, those that are missing with their fault."""
        self.lists.append(path)
        names: list[PictureName] = []
        originals: list[tuple[str, Path]] = []
        for number, text in enumerate(read_damaged_text(path).splitlines(), 1):
            line = text.strip().replace("\\", "/")
            if not line:
                continue
            shorter = line.removeprefix("./").removeprefix(DARKNET_FOLDER)
            place, folders = f"line {number}", (self._root, path.parent)
            names.append(PictureName(_spellings(line, shorter), folders, place))
            if original := outside(self._root, path.parent, line):
                originals.append((place, original))
        if originals:
            place, original = originals[0]
            count = f"{len(originals)} line{'s' * (len(originals) != 1)}"
            why = (
                f"pictures outside of the dataset in {count}, such as {original}, "
                "which exists; those of the same name inside are read instead."
            )
            fix = "None needed if this folder is meant; otherwise give the other one."
            self.findings.append(Finding(Level.WARNING, path, place, why, fix))
        return self._finder.find_all(path, names)

    def warn_of_other_lists(self, texts: Iterable[Path]) -> None:
        """Add a finding for each list of pictures that no setting names.

        Args:
            texts: Text files that are no labels.
        """
        for path in texts:
            if split_name(path.stem.lower()) not in SPLITS or path in self.lists:
                continue
            lines = read_damaged_text(path).splitlines()
            if is_picture(Path(next(filter(str.strip, lines), "").strip())):
                why = "lists pictures, but no data.yaml or obj.data names it: not read."
                fix = f"Write `{split_name(path.stem.lower())}: {path.name}` into "
                fix += "data.yaml, or delete the list."
                self.findings.append(Finding(Level.WARNING, path, "", why, fix))

    def _of_darknet(self) -> Splits:
        splits: Splits = {}
        for line, key, name in self._settings.darknet:
            split = split_name(key.lower())
            if split in SPLITS:
                photos = self._of_darknet_line(line, name)
                splits.setdefault(split, []).extend(photos)
        return splits or {"all": self._in_folder(self._root)}

    def _of_darknet_line(self, line: int, name: str) -> list[PhotoRows]:
        root, file = self._root, self._settings.darknet_file or self._root
        try:
            places = list(_places(root, root, name.removeprefix(DARKNET_FOLDER)))
            stem = PurePosixPath(name).stem
            folder = path_below(root, root, f"obj_{stem}_data")
        except UnusableNameError as exc:
            raise DatasetError(
                f"{file}: line {line} does not name a list.",
                why=f"Got {shown(name)}; {exc}.",
                fix="Correct the line, or export the dataset again.",
            ) from exc
        listing = next((place for place in places if place.is_file()), None)
        if listing is not None:
            return self._list(listing)
        inside = self._in_folder(folder)
        if not inside:
            why = f"neither the list {shown(name)} nor {folder.name}/ is there."
            fix = "Export the dataset again, or remove the line."
            kind = FindingKind.ANNOTATION
            self.findings.append(
                Finding(Level.WARNING, file, f"line {line}", why, fix, kind)
            )
        return inside


def _spellings(*names: str) -> tuple[str, ...]:
    """Return names as they are, and in both forms that a disk may have them in."""
    forms = (normalize(form, name) for name in names for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys([*names, *forms]))


def _photos(count: int) -> str:
    return f"{count} photo{'s' * (count != 1)}"


def outside(root: Path, folder: Path, name: str) -> Path | None:
    """Return the path outside of the dataset that a name means, if it exists there."""
    try:
        path_below(root, folder, name)
    except OutsideNameError:
        path = Path(os.path.normpath(folder.absolute() / name))
    except UnusableNameError:
        return None
    else:
        return None
    is_same = os.path.realpath(path) == os.path.realpath(root)
    return path if os.path.exists(path) and not is_same else None  # noqa: PTH110


def _places(root: Path, base: Path, name: str) -> Iterator[Path]:
    """Yield possible places of a folder or list: as named, else by the end of its path.

    Roboflow writes ``../train/images`` for ``train/images``; paths from other computers
    end with folders of the dataset. The folder of a split is never left away: with
    ``images`` for ``valid/images`` the photos of another split would be read.

    Raises:
        UnusableNameError: No file can have the name.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    named = [place for place, part in enumerate(parts) if split_name(part) in SPLITS]
    last = max(named, default=len(parts) - 1)
    ends = ["/".join(parts[first:]) for first in range(last + 1)]
    for folder, end in [
        (base, name),
        (root, name.removeprefix("../")),
        *((root, end) for end in ends),
    ]:
        try:
            yield path_below(root, folder, end)
        except OutsideNameError:
            continue
