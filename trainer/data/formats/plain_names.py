"""Folders of pictures that a label file names without a folder.

Where none of them is at a place that is searched, any folder may hold them. A picture
that is missing must not be replaced by a namesake elsewhere: all lie in one folder, or
in several that hold nothing else.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from trainer.data.formats.files import PictureFinder, PictureName

FEWEST_IN_FOLDER = 2  # one picture alone in a folder may be a namesake


def with_folders_of_plain_names(
    finder: PictureFinder, names: Sequence[PictureName]
) -> list[PictureName]:
    """Return the names of one label file, those without a folder with a folder.

    Names stay as they are where one of them is in a folder that it may start in.
    """
    plain = [n for n, name in enumerate(names) if _is_plain(name.spellings[0])]
    if any(finder.is_placed(names[n]) for n in plain):
        return list(names)
    found = {n: _picture(finder, names[n]) for n in plain}
    listed = Counter(path.parent for path in found.values() if path)
    if not listed:
        return list(names)
    [(main, _)] = listed.most_common(1)
    held = Counter(path.parent for path in finder.pictures)
    whole = {
        folder
        for folder, count in listed.items()
        if count == held[folder] and count >= FEWEST_IN_FOLDER
    }
    folders = {
        n: path.parent if path and path.parent in whole else main
        for n, path in found.items()
    }
    return [
        replace(name, folders=(folders[n],)) if n in folders else name
        for n, name in enumerate(names)
    ]


def _is_plain(name: str) -> bool:
    return len(PurePosixPath(name.replace("\\", "/")).parts) == 1


def _picture(finder: PictureFinder, name: PictureName) -> Path | None:
    """Return the only picture of a name outside of ``good/`` and ``bad/``."""
    for spelling in name.spellings:
        candidates = [p for p in finder.named(spelling) if not finder.verdict(p)]
        if candidates:
            return candidates[0] if len(candidates) == 1 else None
    return None
