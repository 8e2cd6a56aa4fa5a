"""Lists the files of a dataset, and finds the file that a label file names.

Annotation tools name pictures as they saw them: by a path on another computer, by a
URL, in Windows' spelling, in another Unicode form. The end of the name is what counts.
"""

import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from models.counted import counted
from models.errors import DatasetError
from models.pictures import OTHER_PICTURE_SUFFIXES, PICTURE_SUFFIXES
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats.packages import is_package
from trainer.data.formats.rows import PhotoRows
from trainer.data.paths import UnusableNameError, file_below, path_below, shown

SUFFIXES = PICTURE_SUFFIXES  # the same as the daemon's
JPEG_SUFFIXES = frozenset({".jfif", ".jif", ".jpe"})  # of JPEGs, but not looked for
GOOD_FOLDER = "good"  # photos of good parts, beside the label files
# Photos of defective parts without boxes: a verdict for the whole photo. They are
# measured on, never trained on.
BAD_FOLDER = "bad"
VERDICT_FOLDERS = (GOOD_FOLDER, BAD_FOLDER)
# Of macOS' zips, of network drives (thumbnails, deleted files) and of Windows.
FOREIGN_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN"}
    | {"System Volume Information"}
)
DEEPEST_FOLDER = 64  # os.walk recurses once per level, exports need five


def is_picture(path: PurePath) -> bool:
    """Return whether a file is named like a picture, and not hidden.

    macOS writes metadata beside each ``a.jpg``, as ``._a.jpg``.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_pipe_or_device(path: Path) -> bool:
    """Return whether a path leads to a file that reading may never come to an end."""
    try:
        mode = path.stat().st_mode
    except OSError:  # reading it reports why
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def files_below(folder: Path) -> list[Path]:
    """Return every file of a folder, sorted, as ``files_and_packages`` does."""
    return files_and_packages(folder)[0]


def files_and_packages(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return every file of a folder, and the model packages in it, both sorted.

    Files in packages and in hidden folders are left out. Links to folders are followed,
    each folder once. A link that leads back above the folder is not followed: from
    ``good/`` it would make good parts of all photos. Pipes and devices are left out.

    Raises:
        DatasetError: Folders lie in each other deeper than any export has them.
        OSError: A folder cannot be read: its photos would be missing.
    """
    found: list[Path] = []
    packages: list[Path] = []
    # Not Path.resolve: it raises RuntimeError where a link leads to itself.
    seen = {_identity(above) for above in Path(os.path.realpath(folder)).parents}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        identity = _identity(Path(place))
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        if len(Path(place).parts) - len(folder.parts) > DEEPEST_FOLDER:
            raise DatasetError(
                f"{folder}: more than {DEEPEST_FOLDER} folders in each other.",
                why="Exports of annotation tools need five.",
                fix="Copy photos and labels into a folder of their own.",
            )
        if is_package(Path(place), names):
            packages.append(Path(place))
            folders.clear()
            continue
        folders[:] = [
            name
            for name in sorted(folders)  # which of two links is followed
            if not name.startswith(".") and name not in FOREIGN_FOLDERS
        ]
        paths = [Path(place, name) for name in names]
        found += [path for path in paths if not is_pipe_or_device(path)]
    return sorted(found), sorted(packages)


def _refuse(error: OSError) -> None:
    """Raise what ``os.walk`` ignores, unless the folder is not there."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode, which are the same on every path to a folder."""
    status = path.stat()
    return status.st_dev, status.st_ino


def pictures_below(folder: Path) -> list[Path]:
    """Return every picture of a folder, sorted."""
    return [path for path in files_below(folder) if is_picture(path)]


@dataclass(frozen=True, slots=True)
class PictureName:
    """A picture as a label file names it."""

    spellings: tuple[str, ...]  # the name, then what it may be on disk; best first
    folders: tuple[Path, ...]  # where the name starts, best first
    place: str  # where the label file has it


class PictureFinder:
    """Finds the pictures that label files mean.

    A picture is taken for another one of the same name too easily: a photo is missing,
    and ``good/`` or a second folder holds a namesake. So the names of one label file
    are resolved together, by ``find_all``:

    1. A picture at the place that the file states is the one.
    2. Where none of its pictures is there, the data set was moved since, and pictures
       are found by their names. The folders of a name must be those of the picture, or
       be unknown here and stand for one folder of the data set.
    3. ``good/`` and ``bad/`` are searched only for names that contain the folder.

    Args:
        root: Folder of the dataset; no picture outside it is found.
        files: Every file below it.

    Attributes:
        findings: One for each name that fits several pictures alike, and for each
            picture that two names mean.
        folder_names: The folders that hold pictures, without those above them.
    """

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        # The same in one case: `t1.jpg` of a label file may be `T1.JPG` on the disk.
        self._by_folded_name: dict[str, list[Path]] = defaultdict(list)
        self._by_folded_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_folded_place: dict[str, list[Path]] = defaultdict(list)
        self.findings: list[Finding] = []
        self.folder_names: set[str] = set()
        self._meant: dict[Path, tuple[Path, PictureName]] = {}
        for path in files:
            if is_picture(path):
                self._by_name.setdefault(_form(path.name), []).append(path)
                self._by_stem.setdefault(_form(path.stem), []).append(path)
                self._by_folded_name[folded(path.name)].append(path)
                self._by_folded_stem[folded(path.stem)].append(path)
                self._by_folded_place[folded(str(path))].append(path)
                self.folder_names.add(_form(path.parent.name))

    def candidates(self, name: str) -> list[Path]:
        """Return the pictures of a name, which may lack the suffix; sorted.

        Those in another case count where no picture has the name itself.

        >>> PictureFinder(Path("d"), [Path("d/a.png")]).candidates("a")
        [PosixPath('d/a.png')]
        """
        form, lower = _form(name), folded(name)
        found = self._by_stem.get(form, []) + self._by_name.get(form, [])
        if not found:
            found = [*self._by_folded_stem[lower], *self._by_folded_name[lower]]
        return sorted(set(found))

    def find_all(self, source: Path, names: Sequence[PictureName]) -> list[PhotoRows]:
        """Return a photo for each name of a label file, without boxes yet.

        A photo whose picture was not found has its reason in ``fault``.

        Args:
            source: The label file.
            names: All of its names.
        """
        exact = [self._at_place(name) for name in names]
        taken = set(exact)
        placed = [
            picture or self._at_place_in_other_case(name, taken)
            for name, picture in zip(names, exact, strict=True)
        ]
        if any(placed):
            return [
                self._meaning(source, name, picture, is_by_name=not own)
                if picture
                else self._missing(source, name)
                for name, picture, own in zip(names, placed, exact, strict=True)
            ]
        found = self._by_names(names)
        return [
            self._meaning(source, name, picture, is_by_name=True)
            if picture
            else self._missing(source, name)
            for name, picture in zip(names, found, strict=True)
        ]

    def _at_place(self, name: PictureName) -> Path | None:
        for spelling in name.spellings:
            for folder in name.folders:
                try:
                    path = path_below(self.root, folder, spelling)
                except UnusableNameError:
                    continue
                if path.is_file():
                    return path
        return None

    def _at_place_in_other_case(
        self, name: PictureName, taken: Collection[Path | None]
    ) -> Path | None:
        """Return the only picture at a place whose case differs; None = there is none.

        On Windows, where most labels are made, it is the same name.

        Args:
            taken: Pictures that another name means as they are written.
        """
        for spelling in name.spellings:
            for folder in name.folders:
                try:
                    path = path_below(self.root, folder, spelling.replace("\\", "/"))
                except UnusableNameError:
                    continue
                found = self._by_folded_place.get(folded(str(path)), [])
                if len(found) == 1 and found[0] not in taken:
                    return found[0]
        return None

    def _by_names(self, names: Sequence[PictureName]) -> list[Path | None]:
        """Return the picture of each name where none is at its place."""
        found = [self._candidate(name) for name in names]
        # Folders that exist belong to the names that have them; of the others, each
        # stands for one folder.
        fitting = [
            bool(path and folders and _form(path.parent.name) == folders[-1])
            for name, path in zip(names, found, strict=True)
            for folders in [_parts(name.spellings[0])[:-1]]
        ]
        taken = {p.parent for p, fits in zip(found, fitting, strict=True) if p and fits}
        stands_for: dict[tuple[str, ...], set[Path]] = defaultdict(set)
        keys = [tuple(_parts(name.spellings[0])[:-1]) for name in names]
        for key, path, fits in zip(keys, found, fitting, strict=True):
            if key and path and not fits:
                stands_for[key].add(path.parent)
        return [
            path
            if path
            and (
                fits
                or not key
                or (len(stands_for[key]) == 1 and path.parent not in taken)
            )
            else None
            for key, path, fits in zip(keys, found, fitting, strict=True)
        ]

    def _candidate(self, name: PictureName) -> Path | None:
        """Return the picture whose name and folders fit best; None = none does."""
        for spelling in name.spellings:
            if not (parts := _parts(spelling)):
                continue
            candidates = [
                path
                for path in self.named(parts[-1])
                if not (folder := self.verdict(path)) or folder in parts[:-1]
            ]
            if candidates:
                return self._best(parts, candidates)
        return None

    @property
    def pictures(self) -> list[Path]:
        """Every picture of the dataset."""
        return [path for paths in self._by_name.values() for path in paths]

    def is_placed(self, name: PictureName) -> bool:
        """Return whether a picture is where the label file states it."""
        found = self._at_place(name) or self._at_place_in_other_case(name, ())
        return found is not None

    def named(self, name: str) -> list[Path]:
        """Return the pictures of a name without folders, else those in another case."""
        found = self._by_name.get(_form(name), [])
        return found or self._by_folded_name.get(folded(name), [])

    def is_good(self, path: Path) -> bool:
        """Return whether a picture lies in ``good/``."""
        return path.is_relative_to(self.root / GOOD_FOLDER)

    def verdict(self, path: Path) -> str:
        """Return the folder that is a verdict on a picture; empty = it lies in none."""
        inside = path.is_relative_to(self.root)
        parts = path.relative_to(self.root).parts if inside else ()
        return parts[0] if parts and parts[0] in VERDICT_FOLDERS else ""

    def _meaning(
        self,
        source: Path,
        name: PictureName,
        picture: Path,
        *,
        is_by_name: bool = False,
    ) -> PhotoRows:
        """Return the photo of a picture, or its fault where another name means it."""
        first_source, first = self._meant.setdefault(picture, (source, name))
        is_same = (source, name.place) == (first_source, first.place)
        if is_same or not is_by_name or first.spellings == name.spellings:
            return PhotoRows(picture, source, place=name.place)
        fault = (
            f"{shown(name.spellings[0])} and {shown(first.spellings[0])} "
            f"({first_source.name}, {first.place}) both fit {picture.name} alone."
        )
        return PhotoRows(source, source, place=name.place, fault=fault)

    def _missing(self, source: Path, name: PictureName) -> PhotoRows:
        """Return a photo without its picture, which names its namesakes."""
        return self.missing(source, name.place, name.spellings)

    def missing(self, source: Path, place: str, spellings: Sequence[str]) -> PhotoRows:
        """Return a photo without its picture.

        Where the dataset has a picture of a similar name, ``fault`` names it; otherwise
        the photo has the path that the name means.

        Args:
            source: The label file.
            place: Where it has the name.
            spellings: The name, then what it may be on disk.
        """
        text = spellings[0]
        ends = {parts[-1] for s in spellings if (parts := _parts(s))}
        namesakes = [p for end in sorted(ends) for p in self.named(end)]
        fault = f"the picture {shown(text)} is not there."
        if namesakes:
            is_same = any(_form(path.name) in ends for path in namesakes)
            how = ", but lies in another folder" if is_same else " but for its case"
            fault += (
                f" {self._shown(namesakes)} has the same name{how}: it may be another "
                "picture."
            )
            return PhotoRows(source, source, place=place, fault=fault)
        try:
            path = file_below(self.root, source.parent, text)
        except UnusableNameError as exc:
            fault = f"the picture's name {shown(text)} cannot be used: {exc}."
            return PhotoRows(source, source, place=place, fault=fault)
        stems = sorted({folded(PurePosixPath(end).stem) for end in ends})
        alike = [p for stem in stems for p in self._by_folded_stem.get(stem, [])]
        if not alike:
            return PhotoRows(path, source, place=place)
        fault += (
            f" {self._shown(alike)} has the same name with another suffix: it may be "
            "another picture."
        )
        return PhotoRows(source, source, place=place, fault=fault)

    def _shown(self, paths: Iterable[Path]) -> str:
        return first_names(str(path.relative_to(self.root)) for path in paths)

    def find_stem(self, label_file: PurePath) -> Path | None:
        """Return the picture that has the name of a label file but for its suffix.

        Args:
            label_file: In the picture's folder, or in another one.
        """
        candidates = self._by_stem.get(_form(label_file.stem), [])
        beside = [path for path in candidates if path.parent == label_file.parent]
        return self._best(_parts(str(label_file)), beside or candidates)

    def _best(self, parts: Sequence[str], candidates: list[Path]) -> Path | None:
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        fits = sorted(
            ((_fit(parts, path), path) for path in candidates),
            key=lambda fit: fit[0],
            reverse=True,
        )
        if fits[0][0] > fits[1][0]:
            return fits[0][1]
        why = (
            f"{counted(len(candidates), 'picture')} could be meant by "
            f"{'/'.join(parts)!r}."
        )
        fix = "Give the pictures different names, in the annotation tool too."
        self.findings.append(Finding(Level.ERROR, fits[0][1], "", why, fix))
        return None


def unread_formats(files: Iterable[Path]) -> list[Finding]:
    """Return a finding for each suffix of pictures that are not looked at."""
    by_suffix: dict[str, list[Path]] = {}
    for path in files:
        suffix = path.suffix.lower()
        if suffix in OTHER_PICTURE_SUFFIXES and not path.name.startswith("."):
            by_suffix.setdefault(suffix, []).append(path)
    findings = []
    for suffix, paths in sorted(by_suffix.items()):
        count = f"{len(paths)} picture{'s' * (len(paths) != 1)}"
        names = first_names(path.name for path in paths)
        why = f"{count} with the suffix {suffix} not read: {names}."
        fix = f"Save as PNG or JPEG; read are {', '.join(sorted(SUFFIXES))}."
        if suffix in JPEG_SUFFIXES:
            fix = "Rename to .jpg, in the labels too."
        kind = FindingKind.UNREAD_FORMAT
        findings.append(Finding(Level.WARNING, paths[0].parent, "", why, fix, kind))
    return findings


def unusable_picture(source: Path, place: str, why: str) -> Finding:
    """Return the finding of a picture whose name cannot be used."""
    fix = "Correct the name, or export the labels again."
    return Finding(Level.ERROR, source, place, why, fix, FindingKind.UNREADABLE_PHOTO)


def _form(name: str) -> str:
    """Return one spelling of a name: macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return one spelling for names that Windows takes for the same.

    Not ``casefold``: it makes ``strasse`` of ``straße``, which are two files.

    >>> folded("Straße.JPG")
    'straße.jpg'
    """
    return _form(name.lower())


def unicode_forms(name: str) -> tuple[str, str]:
    """Return the two spellings of a name that a disk may have: see ``_form``."""
    return _form(name), unicodedata.normalize("NFD", name)


def _parts(name: str) -> list[str]:
    """Return the folders and the name; Windows separates them by backslashes."""
    return [_form(part) for part in PurePosixPath(name.replace("\\", "/")).parts]


def _fit(parts: Sequence[str], path: Path) -> int:
    """Return how many folders before the name are the same, from the name upwards."""
    pairs = zip(reversed(parts[:-1]), reversed(path.parts[:-1]), strict=False)
    count = 0
    for part, own in pairs:
        if part != _form(own):
            break
        count += 1
    return count
