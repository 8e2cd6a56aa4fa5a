"""Finds the picture that each Pascal VOC file describes.

The name of the XML decides, as in every tool that reads VOC: ``a.xml`` is of ``a.jpg``.
What the XML itself states (``filename``, ``folder``, ``path``) must not contradict it:

* The stated name is that of another picture which is there: an error with both.
* The stated name is nowhere: pictures and XML files of a whole folder that were renamed
  together are read, with a warning; otherwise it is an error.
* Another suffix, folders of another computer, escapes of a URL, and the prefixes and
  suffixes of Label Studio and Roboflow are no contradiction.

The pictures of one folder of XML files lie beside them, or in one other place:
``JPEGImages/lot1`` for ``Annotations/lot1``. A picture of the same name elsewhere, in
``good/`` for example, is not taken for one that is missing.

Source: "The PASCAL VOC2012 development kit"; what LabelImg, CVAT, Label Studio and
Roboflow write.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from models.counted import counted
from trainer.data.formats.files import (
    SUFFIXES,
    PictureFinder,
)

# Preferred where two folders have as many of the pictures; compared in lower case.
PICTURE_FOLDERS = frozenset({"jpegimages", "images", "image", "imgs", "img", "photos"})
LABEL_STUDIO_PREFIX = re.compile(r"^[0-9a-f]{8}-")
ROBOFLOW_SUFFIX = re.compile(r"(_(jpe?g|png|bmp|tiff?|webp))?\.rf\.[0-9A-Za-z]+$")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one XML states about its picture; texts may be empty."""

    file: Path  # the XML
    filename: str = ""
    folder: str = ""
    path: str = ""  # on the computer where it was labelled


@dataclass(frozen=True, slots=True)
class Match:
    """The picture of one XML, or why there is none."""

    picture: Path | None = None
    fault: str = ""  # why no picture may be taken; empty where none has the name
    doubtful: tuple[Path, ...] = ()  # pictures that are not good parts for this reason
    renamed_from: str = ""  # a stated name that no picture has

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Every picture that the XML may be of."""
        return (*((self.picture,) if self.picture else ()), *self.doubtful)


def match_pictures(
    finder: PictureFinder, statements: Sequence[Statement]
) -> list[Match]:
    """Return the picture of each XML, in the same order."""
    search = _Search(finder, statements)
    matches = [search.match(statement) for statement in statements]
    return _checked_renames(statements, matches)


def _checked_renames(
    statements: Sequence[Statement], matches: Sequence[Match]
) -> list[Match]:
    """Return the matches; a stated name that is nowhere is a fault of single files."""
    whole: dict[Path, bool] = defaultdict(lambda: True)
    for statement, match in zip(statements, matches, strict=True):
        if match.picture and statement.filename:
            whole[statement.file.parent] &= bool(match.renamed_from)
    return [
        Match(
            fault=f"its <filename> is {match.renamed_from!r}, its own name is that of "
            f"{match.picture.name}.",
            doubtful=(match.picture,),
        )
        if match.picture and match.renamed_from and not whole[statement.file.parent]
        else match
        for statement, match in zip(statements, matches, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of pictures, as seen from a folder of XML files."""

    rank: int  # one of the three below; the highest is the closest
    folder: Path  # of the pictures; for `ELSEWHERE` the one below the root


ELSEWHERE, PARALLEL, BESIDE = range(3)  # PARALLEL: JPEGImages/lot1, Annotations/lot1


class _Search:
    """The pictures of a dataset, and where each folder of XML files has its own."""

    def __init__(self, finder: PictureFinder, statements: Sequence[Statement]) -> None:
        self._finder = finder
        self._homes: dict[Path, _Place | None] = {}
        self._places: dict[
            tuple[Path, Path], _Place
        ] = {}  # by XML's and its own folder
        self._found = {one.file: self._candidates(one) for one in statements}
        grouped: dict[Path, list[list[Path]]] = defaultdict(list)
        for file, candidates in self._found.items():
            grouped[file.parent].append(candidates)
        for folder, them in grouped.items():
            self._homes[folder] = self._home(folder, them)

    def match(self, statement: Statement) -> Match:
        """Return the picture of one XML."""
        candidates = self._found[statement.file]
        near = self._near(statement.file.parent, candidates)
        for tag, folder in _stated_folders(statement):
            fitting = [
                path for path in candidates if composed(path.parent.name) == folder
            ]
            both = [path for path in fitting if path in near]
            if near and fitting and not both:
                return self._contradiction(tag, fitting[0], near[0])
            if near and not fitting and self._must_be_in(tag, folder, statement, near):
                return self._missing(statement, folder, candidates)
            near = both or fitting or near
        if not near:
            return self._missing(statement, "", candidates)
        if len(near) > 1:
            names = "; ".join(self._shown(path) for path in near)
            fault = f"{counted(len(near), 'picture')} fit it: {names}."
            return Match(fault=fault, doubtful=tuple(near))
        return self._named_alike(near[0], statement)

    def _must_be_in(
        self, tag: str, folder: str, statement: Statement, near: Sequence[Path]
    ) -> bool:
        """Return whether a picture elsewhere is not the one in a stated folder.

        ``folder`` and ``path`` are those of the time when it was labelled: they count
        only against a picture that was found by its name alone.
        """
        ranks = {self._place(statement.file.parent, path).rank for path in near}
        is_binding = tag == "filename" or ELSEWHERE in ranks
        return is_binding and folder in self._finder.folder_names

    def _named_alike(self, picture: Path, statement: Statement) -> Match:
        """Return the match, checked against the names that the XML states."""
        renamed_from = ""
        for text, tag in ((statement.filename, "filename"), (statement.path, "path")):
            name = _last(text)
            if not name or _stem(name) == composed(picture.stem):
                continue
            others = self._finder.candidates(_stem(name))
            if others and picture not in others:
                return self._contradiction(tag, others[0], picture)
            if tag == "filename" and _plain(name) != _plain(picture.name):
                renamed_from = text
        return Match(picture, renamed_from=renamed_from)

    def _contradiction(self, tag: str, stated: Path, picture: Path) -> Match:
        fault = (
            f"its <{tag}> is that of {self._shown(stated)}, its own name or place that "
            f"of {self._shown(picture)}: which of the two was labelled is not known."
        )
        return Match(fault=fault, doubtful=(picture, stated))

    def _missing(
        self, statement: Statement, folder: str, candidates: Sequence[Path]
    ) -> Match:
        """Return the match of a picture that is not there; it names a namesake."""
        name = _last(statement.filename) or statement.file.stem
        namesakes = [
            *candidates,
            *self._finder.candidates(statement.file.stem),
            *self._finder.candidates(name),
        ]
        if not namesakes:
            return Match()
        place = f"{folder}/{name}" if folder else name
        fault = (
            f"its picture {place!r} is not there. {self._shown(namesakes[0])} has the "
            "same name, but lies in another folder: it may be another picture."
        )
        return Match(fault=fault)

    def _candidates(self, statement: Statement) -> list[Path]:
        """Return the pictures that have the name of an XML, else the stated one."""
        stated = _last(statement.filename)
        for name in (statement.file.stem, stated, _last(unquote(stated))):
            found = [
                path
                for path in self._finder.candidates(name)
                if not (folder := self._finder.verdict(path))
                or self._may_be_in(folder, statement)
            ]
            if found:
                return found
        return []

    def _may_be_in(self, folder: str, statement: Statement) -> bool:
        """Return whether an XML itself places its picture in ``good/`` or ``bad/``."""
        folders = [
            *_parts(statement.filename)[:-1],
            *_parts(statement.path)[:-1],
            _last(statement.folder),
        ]
        return folder in folders or self._finder.verdict(statement.file) == folder

    def _near(self, folder: Path, candidates: Sequence[Path]) -> list[Path]:
        """Return the candidates beside the XML, else those in its folder's place."""
        beside = [path for path in candidates if path.parent == folder]
        home = self._homes[folder]
        return beside or [
            path for path in candidates if self._place(folder, path) == home
        ]

    def _home(self, folder: Path, grouped: Iterable[Sequence[Path]]) -> _Place | None:
        """Return where the pictures of a folder of XML files are."""
        votes: Counter[_Place] = Counter()
        for candidates in grouped:
            places = {self._place(folder, path) for path in candidates}
            closest = max((place.rank for place in places), default=0)
            votes.update(place for place in places if place.rank == closest)
        if any(place.rank == BESIDE for place in votes):
            return None  # the others are not there
        ranked = sorted(
            votes,
            key=lambda place: (
                votes[place],
                place.rank,
                place.folder.name.lower() in PICTURE_FOLDERS,
                str(place.folder),
            ),
        )
        return ranked[-1] if ranked else None

    def _place(self, folder: Path, picture: Path) -> _Place:
        """Return how a picture lies to the folder of its XML."""
        key = folder, picture.parent
        if key not in self._places:
            self._places[key] = self._new_place(*key)
        return self._places[key]

    def _new_place(self, folder: Path, pictures: Path) -> _Place:
        if pictures == folder:
            return _Place(BESIDE, folder)
        root = self._finder.root
        own, other = folder.relative_to(root).parts, pictures.relative_to(root).parts
        if len(own) == len(other):
            pairs = zip(own, other, strict=True)
            if sum(one != two for one, two in pairs) == 1:
                return _Place(PARALLEL, pictures)
        return _Place(ELSEWHERE, root.joinpath(*other[:1]))

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._finder.root).as_posix()


def composed(name: str) -> str:
    """Return one spelling of a name (NFC): macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _parts(text: str) -> list[str]:
    """Return folders and name; Windows separates them by backslashes."""
    parts = PurePosixPath(composed(text.replace("\\", "/"))).parts
    return [part for part in parts if part not in {"/", ".."}]


def _last(text: str) -> str:
    return (_parts(text) or [""])[-1]


def _stem(name: str) -> str:
    """Return a name without the suffix of a picture."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def _stated_folders(statement: Statement) -> list[tuple[str, str]]:
    """Return the folders that an XML states, each with its tag; the surest first."""
    stated = [
        ("filename", _parts(statement.filename)[:-1]),
        ("folder", _parts(statement.folder)),
        ("path", _parts(statement.path)[:-1]),
    ]
    return [(tag, folders[-1]) for tag, folders in stated if folders]


def _plain(name: str) -> str:
    """Return a name without what tools add to it, to compare two of them."""
    plain = LABEL_STUDIO_PREFIX.sub("", ROBOFLOW_SUFFIX.sub("", _stem(unquote(name))))
    return re.sub(r"\W+", "_", composed(plain)).casefold()
