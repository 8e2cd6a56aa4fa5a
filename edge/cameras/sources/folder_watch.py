"""A folder to which pictures are added while it is watched: each is one part.

Programs write a picture in several steps. It is whole when it has not changed for a
second, or when it was last changed long before; one that cannot be decoded gets ten
seconds, because its program may only be slow. A picture that is written under another
name and renamed is taken one second after that.

The folder is listed twice a second: notifications of the kernel do not report what
another machine writes to a network drive.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.sources.picture_list import list_pictures

POLL_S = 0.5
WHOLE_AFTER_S = 1.0
UNREADABLE_AFTER_S = 10.0
LIST_AFTER_S = 5.0  # at least so often: a file may be written again in its place
SPARE_DIGESTS = 1000  # of pictures that are no longer there, before they are removed


@dataclass(slots=True)
class Candidate:
    """A picture that is not inspected yet."""

    path: Path
    digest: str
    since_s: float  # monotonic clock, when it was first seen as it is now
    age_s: float  # then, by the wall clock; negative where the clocks differ
    wait_s: float = WHOLE_AFTER_S

    def is_whole(self, now_s: float) -> bool:
        """Return whether it has not changed for long enough."""
        return max(now_s - self.since_s, self.age_s) >= self.wait_s


class FolderWatch:
    """The pictures of one folder, in natural order, each once.

    Args:
        inspected: Digests of those that are left out.
    """

    def __init__(self, folder: Path, inspected: frozenset[str]) -> None:
        self._folder, self._done = folder, set(inspected)
        self._candidates: dict[Path, Candidate] = {}
        self._listed_s, self._changed_ns = -LIST_AFTER_S, -1

    def next(self, now_s: float, wall_s: float) -> Candidate | None:
        """Return the next whole picture; None = there is none now.

        Args:
            now_s: Monotonic clock.
            wall_s: Wall clock, since 1970.

        Raises:
            OSError: The folder cannot be read.
        """
        if not any(c.is_whole(now_s) for c in self._candidates.values()):
            self._list(now_s, wall_s)
        whole = [c for c in self._candidates.values() if c.is_whole(now_s)]
        return next((c for c in whole if not self.is_changed(c)), None)

    def finish(self, candidate: Candidate) -> None:
        """Leave a picture out from now on."""
        self._candidates.pop(candidate.path, None)
        self._done.add(candidate.digest)

    def postpone(self, candidate: Candidate) -> bool:
        """Return whether a picture that cannot be decoded may still be written."""
        is_first = candidate.wait_s == WHOLE_AFTER_S
        candidate.wait_s = UNREADABLE_AFTER_S
        return is_first and candidate.age_s < UNREADABLE_AFTER_S

    def is_changed(self, candidate: Candidate) -> bool:
        """Return whether a picture was changed or removed since it was listed."""
        is_same = _digest(candidate.path) == candidate.digest
        if not is_same:
            self._candidates.pop(candidate.path, None)
            self._changed_ns = -1  # list the folder again
        return not is_same

    def _list(self, now_s: float, wall_s: float) -> None:
        changed_ns = self._folder.stat().st_mtime_ns
        is_due = now_s - self._listed_s >= LIST_AFTER_S or self._candidates
        if changed_ns == self._changed_ns and not is_due:
            return
        self._listed_s, self._changed_ns = now_s, changed_ns
        before, present = self._candidates, set()
        self._candidates = {}
        for path in list_pictures(self._folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            digest = digest_of(path, status)
            present.add(digest)
            if digest in self._done:
                continue
            known = before.get(path)
            if known is None or known.digest != digest:
                age_s = wall_s - status.st_mtime
                known = Candidate(path, digest, now_s, age_s)
            self._candidates[path] = known
        if present and len(self._done) > 2 * len(present) + SPARE_DIGESTS:
            self._done &= present


def digest_of(path: Path, status: os.stat_result) -> str:
    """Return what identifies a picture: 32 hex digits.

    A file that is written again under its name is another picture.
    """
    text = f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _digest(path: Path) -> str:
    try:
        return digest_of(path, path.stat())
    except OSError:
        return ""
