"""Where frames come from: one grammar for every kind of camera.

========================= ======================================================
``folder:PATH``           pictures of a folder, in order; each one is a part
``file:PATH``             a video file, at its own pace, once
``rtsp://…``, ``http://…`` a network camera
``v4l2:/dev/…``           a USB camera; prefer ``/dev/v4l/by-id/…``, which stays
                          the same after a replug
``aravis:ID``             a GigE or USB3 Vision camera, by the name or address
                          that ``arv-tool-0.8`` shows
a plain path              a video if its suffix says so, ``/dev/…`` a USB camera,
                          else a folder
========================= ======================================================
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
)
STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https")
GRAMMAR = "folder:PATH, file:PATH, rtsp://…, http://…, v4l2:/dev/…, aravis:ID or a path"


class SourceKind(StrEnum):
    """What a source is."""

    FOLDER = "folder"
    VIDEO = "file"
    STREAM = "stream"
    USB = "v4l2"
    ARAVIS = "aravis"

    @property
    def is_triggered(self) -> bool:
        """Whether every frame is one part, and none may be dropped."""
        return self is SourceKind.FOLDER

    @property
    def is_file(self) -> bool:
        """Whether it lies on the disk, and so has an end."""
        return self in {SourceKind.FOLDER, SourceKind.VIDEO}

    @property
    def is_path(self) -> bool:
        """Whether its address is a path of this machine."""
        return self.is_file or self is SourceKind.USB


@dataclass(frozen=True, slots=True)
class Source:
    """A source, taken apart.

    Attributes:
        kind: What it is.
        address: Path of the folder, file or device, URL of the stream, or name of
            the camera.
    """

    kind: SourceKind
    address: str

    @property
    def shown(self) -> str:
        """The address for logs and messages: scheme, host, port and path.

        User and password are left out, and so are query and fragment, where many
        cameras want them too. A password may hold any character as it is: where it
        cannot be told from host or path, these are left out as well.
        """
        if self.kind is not SourceKind.STREAM:
            return self.address
        scheme, _, rest = self.address.partition("://")
        authority, slash, path = rest.partition("/")
        path = _before_query(path)
        login, at, host = authority.rpartition("@")
        is_doubtful = "@" in path or (at and "@" not in _before_query(login + at))
        if is_doubtful:
            return f"{scheme}://***"
        if _before_query(host) != host:  # then the slash was not that of a path
            return f"{scheme}://{_before_query(host)}"
        return f"{scheme}://{host}{slash}{path}"

    def beside(self, folder: Path) -> "Source":
        """Return the source with a relative path taken from a folder.

        Args:
            folder: Where relative paths start: the configuration's folder.
        """
        if not self.kind.is_path:
            return self
        return Source(self.kind, str(folder / self.address))

    def __str__(self) -> str:
        """Return it in the grammar of the configuration."""
        if self.kind is SourceKind.STREAM:
            return self.address
        return f"{self.kind.value}:{self.address}"


def parse_source(text: str) -> Source:
    """Return a source of the configuration, taken apart. No file is touched.

    Args:
        text: In the grammar of this module.

    Raises:
        ValueError: It is not in the grammar.

    >>> parse_source("folder:/parts").kind.value
    'folder'
    >>> parse_source("line.mp4").kind.value
    'file'
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in STREAM_SCHEMES:
        if not _has_host(text):
            raise ValueError(f"it names no host; expected {scheme}://HOST/…")
        return Source(SourceKind.STREAM, text)
    if colon and scheme in {kind.value for kind in SourceKind} - {"stream"}:
        if not rest:
            raise ValueError(f"{text!r} names no path; expected {scheme}:PATH")
        return Source(SourceKind(scheme), rest.removeprefix("//"))
    if "://" in text or not text.strip():
        raise ValueError(f"{text!r} is not a source; expected {GRAMMAR}")
    if text.startswith("/dev/"):
        return Source(SourceKind.USB, text)
    if Path(text).suffix.lower() in VIDEO_SUFFIXES:
        return Source(SourceKind.VIDEO, text)
    return Source(SourceKind.FOLDER, text)


def _before_query(text: str) -> str:
    """Return what comes before a query or a fragment."""
    return re.split(r"[?#]", text, maxsplit=1)[0]


def _has_host(url: str) -> bool:
    """Return whether a URL names a host and, if any, a possible port."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number
        return False
