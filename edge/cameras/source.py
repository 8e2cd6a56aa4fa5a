"""The grammar of ``source`` in ``edge.toml``, for every kind of camera."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from models.shown_text import HIDDEN, LOGIN_KEY, without_login

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
)
RTSP_SCHEMES = ("rtsp", "rtsps")
STREAM_SCHEMES = (*RTSP_SCHEMES, "http", "https")
LOGIN_IN_PATH = re.compile(r"[^/]*:")  # a level of a path with a colon


class SourceKind(StrEnum):
    """The kinds of camera; the value is the scheme in ``edge.toml``."""

    FOLDER = "folder"
    VIDEO = "file"
    STREAM = "stream"  # written as a URL: its scheme is one of STREAM_SCHEMES
    USB = "v4l2"
    ARAVIS = "aravis"

    @property
    def is_triggered(self) -> bool:
        """Whether every frame is one part, and must not be dropped."""
        return self is SourceKind.FOLDER

    @property
    def is_file(self) -> bool:
        """Whether the source is a file or folder on the disk, and ends."""
        return self in {SourceKind.FOLDER, SourceKind.VIDEO}

    @property
    def is_path(self) -> bool:
        """Whether its address is a path on this machine."""
        return self.is_file or self is SourceKind.USB


class SourceForm(NamedTuple):
    """Syntax of a kind of source in ``edge.toml``, and its name in messages."""

    syntax: str
    noun: str


FORMS = {
    # Pictures in natural order; each is one part. It is watched for more.
    SourceKind.FOLDER: SourceForm("folder:PATH", "folder with pictures"),
    # Played once at its own pace, or in a loop.
    SourceKind.VIDEO: SourceForm("file:PATH", "video file"),
    SourceKind.STREAM: SourceForm("rtsp://…, http://…", "network camera"),
    # /dev/v4l/by-id/… keeps its name when the camera is plugged in again.
    SourceKind.USB: SourceForm("v4l2:/dev/…", "camera in /dev/v4l/by-id"),
    # ID is the name or address that arv-tool-0.8 lists.
    SourceKind.ARAVIS: SourceForm("aravis:ID", "GigE or USB3 Vision camera"),
}
# A plain path is a video if its suffix is in VIDEO_SUFFIXES, a USB camera if it starts
# with /dev/, else a folder.
GRAMMAR = ", ".join(form.syntax for form in FORMS.values()) + " or a path"


@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """A parsed source. As a text it has no password: only ``address`` has it."""

    kind: SourceKind
    # path of the folder, file or device, URL of the stream, or name of the camera
    address: str

    @property
    def scheme(self) -> str:
        """Scheme of the URL of a stream, in lower case; empty for another source."""
        is_stream = self.kind is SourceKind.STREAM
        return self.address.partition(":")[0].lower() if is_stream else ""

    @property
    def path(self) -> Path:
        """Path of a folder, a file or a device."""
        return Path(self.address)

    @property
    def is_rtsp(self) -> bool:
        """Whether it is a stream over RTSP."""
        return self.scheme in RTSP_SCHEMES

    @property
    def redacted(self) -> str:
        """The address for logs and messages: scheme, host, port and path.

        User and password are removed, and so are query and fragment, where many
        cameras expect them too. A password may contain any character unescaped: where
        it cannot be separated from host or path, these are removed as well.
        """
        if self.kind is not SourceKind.STREAM:
            return without_login(self.address)  # of a scheme with a typing error
        scheme, _, rest = self.address.partition("://")
        authority, slash, path = rest.partition("/")
        path = _before_query(path)
        login, at, host = authority.rpartition("@")
        is_ambiguous = "@" in path or (at and "@" not in _before_query(login + at))
        if is_ambiguous:
            return f"{scheme}://***"
        path = _before_login(path)
        if _before_query(host) != host:  # then the slash does not start a path
            return f"{scheme}://{_before_query(host)}"
        return f"{scheme}://{host}{slash}{path}"

    @property
    def has_login(self) -> bool:
        """Whether anything of the address is left out of messages."""
        return self.redacted != self.address

    def resolved_from(self, folder: Path) -> "Source":
        """Return the source with a relative path resolved against a folder."""
        if not self.kind.is_path:
            return self
        return Source(self.kind, str(folder / self.address))

    def __str__(self) -> str:
        """Return the source in the grammar of the configuration, without login."""
        if self.kind is SourceKind.STREAM:
            return self.redacted
        return f"{self.kind.value}:{self.redacted}"

    def __repr__(self) -> str:
        """Return kind and address without login, for tracebacks and logs."""
        return f"Source({str(self)!r})"


def parse_source(text: str) -> Source:
    """Parse a source of the configuration. No file is opened.

    Raises:
        ValueError: The text does not match the grammar.

    >>> parse_source("folder:/parts").kind.value
    'folder'
    >>> parse_source("line.mp4").kind.value
    'file'
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in STREAM_SCHEMES:
        if not _has_host(text):
            raise ValueError(f"it has no host; expected {scheme.lower()}://HOST/…")
        return Source(SourceKind.STREAM, text)
    if colon and scheme in set(SourceKind) - {SourceKind.STREAM}:
        if not rest:
            raise ValueError(f"it has no path; expected {scheme}:PATH")
        return Source(SourceKind(scheme), rest.removeprefix("//"))
    if "://" in text or not text.strip():
        raise ValueError(f"it is not a source; expected {GRAMMAR}")
    if text.startswith("/dev/"):
        return Source(SourceKind.USB, text)
    if Path(text).suffix.lower() in VIDEO_SUFFIXES:
        return Source(SourceKind.VIDEO, text)
    return Source(SourceKind.FOLDER, text)


def _before_query(text: str) -> str:
    return re.split(r"[?#;]", text, maxsplit=1)[0]


def _before_login(path: str) -> str:
    """Return a path up to a login: ``/user=a&password=b`` or ``/user:password``."""
    found = LOGIN_KEY.search(path) or LOGIN_IN_PATH.search(path)
    return path[: found.start()] + HIDDEN if found else path


def _has_host(url: str) -> bool:
    """Return whether a URL has a host and, if it has a port, a valid one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number
        return False
