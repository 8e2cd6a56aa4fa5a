"""Which pictures of watched folders were inspected: kept over restarts.

A picture counts as inspected when its verdict is committed; until then a new start of
the daemon inspects it again. One text file for each camera has a line for each picture:
a digest of its name, its size and its time of change, so that a file that was written
again under its old name is another picture. A line that power loss cut off is one
picture that is inspected twice.
"""

import contextlib
import logging
from collections import defaultdict
from pathlib import Path

from edge.cameras.sources.folder_watch import SPARE_DIGESTS, digest_of
from edge.cameras.sources.picture_list import list_pictures
from models.files import PRIVATE_FILE, read_regular, write_atomically

INSPECTED_MAX_BYTES = 33_000_000  # a million pictures

logger = logging.getLogger(__name__)


class InspectedPictures:
    """The pictures of all folder cameras of a daemon.

    ``add`` is called by the thread that commits, everything else by the daemon's.

    Args:
        folder: Where the files are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, set[str]] = defaultdict(set)
        self._failing = False

    def load(self, camera: str, source: Path) -> None:
        """Read the file of a camera, and remove what is no longer in its folder.

        A folder without pictures removes nothing: it may not be mounted yet.

        Args:
            source: The folder of its pictures.
        """
        if camera in self._known:
            return
        try:
            written = read_regular(self._path(camera), INSPECTED_MAX_BYTES)
            lines = written.decode("ascii").split()
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as exc:
            logger.warning("inspected_unreadable camera=%s reason=%s", camera, exc)
            lines = []
        self._known[camera] = set(lines)
        try:
            current = _digests_in(source)
        except OSError:
            return
        kept = [line for line in lines if line in current]
        if current and len(lines) - len(kept) > SPARE_DIGESTS:
            text = "".join(f"{line}\n" for line in kept)
            write_atomically(self._path(camera), text.encode(), PRIVATE_FILE)
            self._known[camera] = set(kept)

    def note_taken(self, camera: str, digest: str) -> None:
        """Note a picture that is in inspection: not again while the daemon runs."""
        self._known[camera].add(digest)

    def known(self, camera: str) -> frozenset[str]:
        """Return the pictures that must not be inspected again."""
        return frozenset(self._known[camera])

    def add(self, camera: str, digest: str) -> None:
        """Write that the verdict of a picture is committed."""
        try:
            with self._path(camera).open("a", encoding="utf-8") as file:
                file.write(f"{digest}\n")
        except OSError as exc:
            if not self._failing:
                logger.warning("inspected_not_written camera=%s reason=%s", camera, exc)
            self._failing = True
        else:
            self._failing = False

    def _path(self, camera: str) -> Path:
        return self._folder / f"inspected-{camera}.txt"


def _digests_in(folder: Path) -> set[str]:
    """Return the digests of the pictures of a folder.

    Raises:
        OSError: It cannot be read.
    """
    digests = set()
    for path in list_pictures(folder):
        with contextlib.suppress(FileNotFoundError):
            digests.add(digest_of(path, path.stat()))
    return digests
