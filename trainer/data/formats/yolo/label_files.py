"""Which text file has the labels of which photo.

The labels of ``images/a.jpg`` are in ``labels/a.txt``, those of any photo may be in
``a.txt`` beside it. Letters of the other case (``A.TXT``) and another Unicode form (as
macOS writes it) are the same name; Windows and macOS open such files too. Nothing else
is: ``a.jpg.txt`` or a file one folder up may belong to another photo, so a photo
without labels beside labels without a photo is an error.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.counted import counted
from trainer.data.findings import Finding, FindingKind, Level, first_names
from trainer.data.formats.files import SUFFIXES, folded
from trainer.data.formats.limits import PHOTO_LABELS_MAX_BYTES
from trainer.data.formats.text_file import read_damaged_text
from trainer.data.formats.yolo.lines import BOX_NUMBERS, LabelLine, parsed
from trainer.data.formats.yolo.splits import IMAGES_FOLDER

LABELS_FOLDER = "labels"
LABEL_SUFFIX = ".txt"

Key = tuple[str, str]  # folder below the dataset and name without suffix, both folded


@dataclass(slots=True)
class Matches:
    """Photos with their label files, and what belongs to nothing."""

    files: dict[Path, Path] = field(default_factory=dict)  # photo to its label file
    # photos that share one, or have several that differ, and the finding of each
    contested: dict[Path, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class LabelFiles:
    """The label files of a dataset.

    Args:
        root: Folder of the dataset; no label file outside it is one.
        files: Every file below it that may be a label file.
    """

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self.root = root
        self._by_key: dict[Key, list[Path]] = defaultdict(list)
        self._folders: dict[Path, str] = {}  # with their folded names
        self._places: dict[Path, dict[Path, str]] = {}  # of a folder of pictures
        for path in files:
            self._add(path)

    def _add(self, path: Path) -> None:
        if path.parent not in self._folders:
            self._folders[path.parent] = self.place(path.parent)
        if path.suffix.lower() == LABEL_SUFFIX:
            key = self._folders[path.parent], folded(path.stem)
            self._by_key[key].append(path)

    def add_linked(self, pictures: Iterable[Path]) -> None:
        """Add the label files of folders that are links to folders seen before."""
        parents = {picture.parent for picture in pictures}
        wanted = {folder for parent in parents for folder in self._places_of(parent)}
        for folder in sorted(wanted - self._folders.keys()):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.is_file():
                    self._add(path)

    @property
    def paths(self) -> list[Path]:
        """All of them, sorted."""
        return sorted(path for paths in self._by_key.values() for path in paths)

    def of(self, picture: Path) -> list[Path]:
        """Return the label files that have the name and place of a picture's."""
        name = folded(picture.stem)
        places = dict.fromkeys(self._places_of(picture.parent).values())
        return [p for place in places for p in self._by_key.get((place, name), ())]

    def folders(self, picture: Path) -> list[Path]:
        """Return the folders where the label file of a picture may be, best first.

        ``labels`` in the place of the innermost ``images``, and the picture's own.
        """
        return list(self._places_of(picture.parent))

    def _places_of(self, folder: Path) -> dict[Path, str]:
        """Return the folders with label files for a folder of pictures, also folded."""
        if folder not in self._places:
            parts = list(folder.relative_to(self.root).parts)
            places = [folder]
            for position in range(len(parts) - 1, -1, -1):
                if folded(parts[position]) == IMAGES_FOLDER:
                    parts[position] = LABELS_FOLDER
                    places.insert(0, self.root.joinpath(*parts))
                    break
            self._places[folder] = {place: self.place(place) for place in places}
        return self._places[folder]

    def place(self, folder: Path) -> str:
        """Return a folder's path below the dataset, folded."""
        return folded(folder.relative_to(self.root).as_posix())

    def match(self, pictures: Sequence[Path]) -> Matches:
        """Return the label file of each picture that has exactly one.

        Args:
            pictures: Each once.
        """
        candidates = {picture: self.of(picture) for picture in pictures}
        sharers: dict[Path, list[Path]] = defaultdict(list)
        for picture, paths in candidates.items():
            for path in paths:
                sharers[path].append(picture)
        matches = Matches()
        for picture, paths in candidates.items():
            if not paths:
                continue
            others = sorted({other for path in paths for other in sharers[path]})
            if chosen := self._chosen(picture, others, candidates):
                matches.files[picture] = chosen
            elif picture not in matches.contested:
                self._contest(others, paths, matches)
        return matches

    def _chosen(
        self, picture: Path, others: Sequence[Path], candidates: dict[Path, list[Path]]
    ) -> Path | None:
        """Return the label file of a picture if it is the only one that can be."""
        own = candidates[picture]
        exact = {other: self._exact(other, candidates[other]) for other in others}
        if others == [picture]:
            texts = {_content(path) for path in own} if len(own) > 1 else set()
            return exact[picture] or own[0] if len(texts) < 2 else None
        taken = set(exact.values())
        is_clear = None not in taken and len(taken) == len(others)
        return exact[picture] if is_clear and taken.issuperset(own) else None

    def _exact(self, picture: Path, paths: Sequence[Path]) -> Path | None:
        names = [f / f"{picture.stem}{LABEL_SUFFIX}" for f in self.folders(picture)]
        return next((name for name in names if name in paths), None)

    def _contest(
        self, pictures: Sequence[Path], paths: Sequence[Path], matches: Matches
    ) -> None:
        """Add the finding of photos whose label file is not known."""
        if len(pictures) > 1:
            reason = "the label file may be that of another photo"
            why = (
                f"{counted(len(pictures), 'photo')} could be meant by "
                f"{self._names(paths)}: {self._names(pictures, most=None)}."
            )
            fix = "Give the photos different names, and their label files too."
        else:
            reason = "two label files differ"
            why = f"{self._names(pictures)} has {len(paths)} label files that differ: "
            why += f"{self._names(paths, most=None)}."
            fix = "Keep the right one."
        kind = FindingKind.UNCLEAR_LABEL
        matches.findings.append(Finding(Level.ERROR, paths[0], "", why, fix, kind))
        for picture in pictures:
            matches.contested[picture] = reason

    def _names(self, paths: Iterable[Path], most: int | None = 3) -> str:
        names = [str(path.relative_to(self.root)) for path in paths]
        return first_names(names) if most else ", ".join(names)


def plain(name: str) -> str:
    """Return the letters and digits of a name: tools replace all others.

    A picture's suffix at its end is left away: ``a.jpg.txt`` is like ``a.txt``.
    """
    text = folded(name)
    while (suffix := Path(text).suffix) and suffix in {*SUFFIXES, LABEL_SUFFIX}:
        text = text.removesuffix(suffix)
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKD", text)) or text


def holds_boxes(path: Path) -> bool:
    """Return whether the first line of a text file is one of a label file."""
    try:
        lines = read_damaged_text(path, PHOTO_LABELS_MAX_BYTES).splitlines()
    except OSError:
        return False
    line = parsed(1, next(filter(str.strip, lines), "x"))
    return isinstance(line, LabelLine) and len(line.values) >= BOX_NUMBERS


def _content(path: Path) -> str:
    """Return the labels of a file, alike for files that differ by spaces only."""
    try:
        lines = read_damaged_text(path, PHOTO_LABELS_MAX_BYTES).splitlines()
    except OSError:  # reading it reports why
        return str(path)
    return "\n".join(sorted(" ".join(line.split()) for line in lines if line.strip()))
