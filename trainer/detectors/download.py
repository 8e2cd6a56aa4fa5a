"""Downloads one file: resumable, verified, never incomplete under its name.

Bytes are written to ``NAME.part`` beside the destination. An interrupted download
continues from there, now or in the next run (HTTP Range, RFC 9110 section 14). The file
is renamed only if size and SHA-256 are correct.
"""

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from models.counted import counted
from models.files import OTHERS_MAY_READ, fsync_folder, sha256_of
from models.shown_text import without_login

logger = logging.getLogger(__name__)

TIMEOUT_S = 20.0
ATTEMPTS = 4
BLOCK_BYTES = 1 << 18
# Errors of the local disk; any other OSError comes from the network and is retried.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes received, and the total if known."""


class DownloadError(Exception):
    """The file could not be downloaded; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download and to verify.

    Attributes:
        url: http or https.
        sha256: 64 hexadecimal digits, or only the first ones if the publisher gives no
            more.
        size_bytes: None if the publisher does not state it.
    """

    url: str
    sha256: str
    size_bytes: int | None = None


def fault_of(path: Path, wanted: Download) -> str | None:
    """Return what is wrong with an existing file.

    Returns:
        "expected ..., got ...", or None if size and hash are right.

    Raises:
        OSError: It cannot be read.
    """
    size_bytes = path.stat().st_size
    if wanted.size_bytes is not None and size_bytes != wanted.size_bytes:
        return f"expected {counted(wanted.size_bytes, 'byte')}, got {size_bytes}"
    found = sha256_of(path)
    if not found.startswith(wanted.sha256):
        return f"expected sha256 {wanted.sha256}, got {found}"
    return None


def fetch(
    wanted: Download,
    destination: Path,
    *,
    progress: DownloadProgress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Download a file.

    Args:
        destination: Path of the verified file; its folder is created.
        progress: Called after every block.
        timeout_s: A server that sends nothing for this long has failed.

    Raises:
        DownloadError: Refused, silent, cut off too often, or wrong bytes.
        OSError: The folder cannot be written.
    """
    if urlsplit(wanted.url).scheme not in {"http", "https"}:
        raise DownloadError(f"{wanted.url} is neither http nor https")
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    if part.is_symlink():
        part.unlink()  # only a file of an earlier run is continued
    is_continued = part.exists()
    _receive(wanted, part, progress or _no_progress, timeout_s)
    fault = fault_of(part, wanted)
    if fault and is_continued:  # the part of an earlier run may belong to another file
        part.unlink()
        _receive(wanted, part, progress or _no_progress, timeout_s)
        fault = fault_of(part, wanted)
    if fault:
        part.unlink()
        raise DownloadError(fault)
    _make_durable(part, destination)


def _receive(
    wanted: Download, part: Path, progress: DownloadProgress, timeout_s: float
) -> None:
    """Send requests until the server has sent everything it announced."""
    reason = "no attempt"
    for attempt in range(1, ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            if _one_request(wanted, part, progress, timeout_s):
                return
            reason = "the connection was cut"
        except HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                if fault_of(part, wanted) is None:
                    return  # it was complete: only the rename was missing
                part.unlink()  # longer than the file, or part of another file
                continue
            raise DownloadError(f"HTTP {error.code} {error.reason}") from error
        except (TimeoutError, HTTPException) as error:
            reason = _reason(error)
        except OSError as error:  # URLError, reset, unreachable; or the local disk
            if error.filename or error.errno in DISK_ERRORS:
                raise
            reason = _reason(error)
        logger.warning(
            "download_interrupted url=%s attempt=%d reason=%r",
            wanted.url,
            attempt,
            reason,
        )
    raise DownloadError(f"{reason}, after {ATTEMPTS} attempts")


def _one_request(
    wanted: Download, part: Path, progress: DownloadProgress, timeout_s: float
) -> bool:
    """Append the bytes of one request; True when nothing is missing."""
    here = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={here}-"} if here else {}
    request = Request(wanted.url, headers=headers)  # noqa: S310 - scheme checked
    with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        # A server without ranges answers 200 with the whole file.
        resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        here = here if resumed else 0
        total = _total(answer, here)
        progress(here, total)
        with open_part(part, continues=resumed) as file:
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                here += len(block)
                progress(here, total)
    return total is None or here >= total


def open_part(part: Path, *, continues: bool) -> BinaryIO:
    """Open the file that is being received; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    flags |= os.O_APPEND if continues else os.O_TRUNC
    return open(os.open(part, flags, OTHERS_MAY_READ), "wb")  # noqa: PTH123 (a descriptor)


def _make_durable(part: Path, destination: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(destination)
    fsync_folder(destination.parent)


def _total(answer: HTTPResponse, here: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return here + int(length) if length.isdigit() else None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    # The address of a proxy, in the environment, may hold a login.
    return without_login(str(reason)) or type(error).__name__


def _no_progress(here_bytes: int, total_bytes: int | None) -> None:
    del here_bytes, total_bytes
