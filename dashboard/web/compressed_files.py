"""The scripts and style sheets of the pages, compressed.

They are the larger part of what a phone loads. Only these files are compressed: in a
page, the length of what is compressed would help to guess its secrets.

Source:
    BREACH, https://www.breachattack.com/ (2013)
"""

import gzip
import os
import threading
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from models.files import read_regular

KINDS = {".js", ".css", ".svg"}
LEVEL = 9  # once for each file
FILE_MAX_BYTES = 1 << 20  # ten times the largest one


class CompressedFiles(StaticFiles):
    """Sends files compressed to clients that understand it; keeps them in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._kept: dict[str, tuple[int, bytes]] = {}
        self._busy = threading.Lock()

    def file_response(
        self,
        full_path: PathLike,
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or that the client has it already."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        path = Path(full_path)
        if path.suffix not in KINDS:
            return response
        response.headers["vary"] = "accept-encoding"
        if not isinstance(response, FileResponse) or not _accepts_gzip(scope):
            return response
        body = self._compressed(path, stat_result.st_mtime_ns)
        headers = {
            **response.headers,
            "content-encoding": "gzip",
            "content-length": str(len(body)),
            # Weak: the bytes are not those of the file.
            "etag": f"W/{response.headers['etag']}",
        }
        return Response(body, status_code, headers, response.media_type)

    def _compressed(self, path: Path, changed_ns: int) -> bytes:
        with self._busy:
            kept = self._kept.get(str(path))
            if kept is None or kept[0] != changed_ns:
                content = read_regular(path, FILE_MAX_BYTES)
                kept = changed_ns, gzip.compress(content, LEVEL, mtime=0)
                self._kept[str(path)] = kept
            return kept[1]


def _accepts_gzip(scope: Scope) -> bool:
    accepted = Headers(scope=scope).get("accept-encoding", "")
    return any(
        each.strip().split(";")[0] == "gzip" and not each.endswith("q=0")
        for each in accepted.split(",")
    )
