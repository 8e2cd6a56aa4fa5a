"""Pictures of alerts: the full frame on disk, a thumbnail for the page, a heat map.

Boxes are not drawn into a picture: the page draws them from the alert, and a training
set can use the unchanged picture. A picture is on disk, synchronized with its folders,
before its alert is committed. On a full disk pictures are lost, never alerts.
"""

import hashlib
import logging
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from edge.frame import ScoreMap
from models.boxes import Boxes
from models.errors import ConfigError
from models.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    fsync_folder,
    make_folder,
    make_private,
    write_atomically,
)
from models.heat_map import HEAT_MAP_MAX_BYTES
from models.messages import THUMBNAIL_MAX_BYTES
from models.pictures import PictureError, decode_picture
from models.preprocess import Frame

EVIDENCE_QUALITY = 92
THUMBNAIL_SIDE_PX = 640  # longer side at the first attempt
THUMBNAIL_SIDE_MAX_PX = 1600
DEFECT_SIDE_PX = 16  # a defect should stay this large in the thumbnail
QUALITIES = (85, 70, 55, 40)
QUALITY_GAIN = 2.5  # size at the highest quality / size at the lowest
SHRINK = 0.75
SMALLEST_SIDE_PX = 32
DIGEST_CHARS = 8
WRITE_PROBE = ".writable"
# <day>/<camera>/<frame or part>-<digest>.jpg, .png for a heat map, and the names of
# `write_atomically`
DAY = re.compile(r"\d{4}-\d\d-\d\d")
PICTURE = re.compile(r"[A-Za-z0-9._-]*-[0-9a-f]{8}\.(jpg|png)")
HALF_WRITTEN = re.compile(rf"\.{PICTURE.pattern}\.\d+\.tmp")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The pictures of one alert.

    Attributes:
        path: Full picture, relative to the store; None if it could not be written.
        thumbnail: JPEG of at most ``THUMBNAIL_MAX_BYTES``; empty where there is none.
        thumbnail_sha256: 64 lower-case hexadecimal digits; None without thumbnail.
        heat_map: Path of the heat map, as ``path``; None without one.
    """

    path: str | None
    thumbnail: bytes = b""
    thumbnail_sha256: str | None = None
    heat_map: str | None = None


class EvidenceStore:
    """A folder of pictures with a largest size; the oldest are deleted first.

    Args:
        folder: Created if it does not exist. It must be writable.
        max_bytes: Largest size of all pictures.

    Attributes:
        failures: Pictures that could not be written.

    Raises:
        ConfigError: The folder cannot be created or written.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.failures = 0
        self._folder, self._max_bytes = folder, max_bytes
        self._is_failing = False
        self._pictures: deque[tuple[Path, int]] = deque()  # oldest first
        self._used_bytes = 0
        try:
            self._create_folder(folder)
            self._scan()
            write_atomically(folder / WRITE_PROBE, b"", PRIVATE_FILE)
        except OSError as exc:
            raise ConfigError(
                f"evidence.folder = {folder} cannot be used.",
                why=exc.strerror or str(exc),
                fix="Give a folder that the daemon may write.",
            ) from exc

    def save(
        self,
        frame: Frame,
        boxes_frame: Boxes,
        name: str,
        heat_map: ScoreMap | None = None,
    ) -> Evidence:
        """Keep the picture of an alert.

        Args:
            frame: ``[H, W, 3]`` uint8, BGR.
            boxes_frame: ``[N, 4]`` float32, xyxy, pixels: boxes that must stay visible
                in the thumbnail.
            name: ``<camera>/<frame or part>``; characters that are unfit for a path
                are replaced. The picture's hash makes it unique.
            heat_map: ``[h, w]`` uint8 over the frame, 255 = score 1; None = without.

        Returns:
            Path and thumbnail. The path is None if the picture could not be written;
            both are missing if the frame cannot be encoded as JPEG.
        """
        fault, picture = "", b""
        try:
            picture = encode_jpeg(frame, EVIDENCE_QUALITY)
        except ValueError as exc:  # it may still have a thumbnail
            fault = str(exc)
        # Encoding takes most of the time of an alert: a small frame is encoded once.
        is_small = max(frame.shape[:2]) <= THUMBNAIL_SIDE_PX
        try:
            if picture and is_small and len(picture) <= THUMBNAIL_MAX_BYTES:
                thumbnail = picture
            else:
                thumbnail = encode_thumbnail(frame, boxes_frame)
        except ValueError as exc:
            self._note_failure(name, str(exc))
            return Evidence(None)
        path = self._write(picture, name, ".jpg") if picture else None
        map_path = None
        if heat_map is not None:
            map_path = self._write(encode_heat_map(heat_map), name, ".png")
        if fault:
            self._note_failure(name, fault)
        sha256 = hashlib.sha256(thumbnail).hexdigest()
        return Evidence(path, thumbnail, sha256, map_path)

    def _write(self, content: bytes, name: str, suffix: str) -> str | None:
        """Write a picture durably and return its relative path."""
        digest = hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        relative = Path(day, *_safe_parts(f"{name}-{digest}{suffix}"))
        path = self._folder / relative
        try:
            self._make_room(len(content))
            self._create_folder(path.parent)
            write_atomically(path, content, PRIVATE_FILE)
        except OSError as exc:
            self._note_failure(path, exc.strerror or str(exc))
            return None
        if self._is_failing:
            logger.warning("evidence_back folder=%s", self._folder)
        self._is_failing = False
        self._pictures.append((path, len(content)))
        self._used_bytes += len(content)
        return relative.as_posix()

    def _note_failure(self, what: Path | str, reason: str) -> None:
        """Count a picture that is not kept; the first one is logged."""
        self.failures += 1
        if not self._is_failing:
            logger.error(
                "evidence_not_kept path=%s reason=%s: alerts go without pictures",
                *(what, reason),
            )
        self._is_failing = True

    def _make_room(self, wanted_bytes: int) -> None:
        while self._pictures and self._used_bytes + wanted_bytes > self._max_bytes:
            path, size_bytes = self._pictures.popleft()
            self._used_bytes -= size_bytes
            path.unlink(missing_ok=True)
            for folder in (path.parent, path.parent.parent):
                if folder != self._folder:
                    with suppress(OSError):  # not empty yet
                        folder.rmdir()

    def _create_folder(self, folder: Path) -> None:
        """Create a folder so that its name survives a power cut."""
        # The store itself may be a link that the operator made; no folder in it may.
        is_made_here = self._folder in folder.parents
        if folder.is_dir() and not (is_made_here and folder.is_symlink()):
            if is_made_here:
                self._create_folder(folder.parent)
            return
        self._create_folder(folder.parent)
        make_folder(folder, PRIVATE_FOLDER)
        fsync_folder(folder.parent)

    def _scan(self) -> None:
        """Find the pictures of earlier runs, by their names.

        The folder may be configured by mistake; other files are not touched.
        """
        found: list[tuple[int, Path, int]] = []
        days = [path for path in self._folder.iterdir() if DAY.fullmatch(path.name)]
        for day in days:
            if day.is_dir():
                make_private(day)  # an earlier version left it to the umask
        cameras = [path for day in days for path in _entries(day) if path.is_dir()]
        for path in [path for camera in cameras for path in _entries(camera)]:
            if PICTURE.fullmatch(path.name):
                state = path.stat(follow_symlinks=False)
                found.append((state.st_mtime_ns, path, state.st_size))
            elif HALF_WRITTEN.fullmatch(path.name):  # a power cut ended it
                path.unlink(missing_ok=True)
        self._pictures.extend((path, size) for _, path, size in sorted(found))
        self._used_bytes = sum(size for _, size in self._pictures)


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a folder; empty for a link, which the store never makes."""
    is_ours = folder.is_dir() and not folder.is_symlink()
    return list(folder.iterdir()) if is_ours else []


def encode_jpeg(frame: Frame, quality: int) -> bytes:
    """Return a picture as JPEG.

    Args:
        frame: ``[H, W, 3]`` uint8, BGR.
        quality: 1 to 100.

    Raises:
        ValueError: It cannot be encoded: it is empty, or too large for JPEG.
    """
    msg = f"a frame of shape {frame.shape} cannot be a JPEG"
    try:
        is_encoded, content = cv2.imencode(
            ".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
    except cv2.error as exc:
        raise ValueError(msg) from exc
    if not is_encoded:  # how OpenCV reports a side beyond 65,500 px
        raise ValueError(msg)
    return content.tobytes()


def encode_heat_map(heat_map: ScoreMap) -> bytes:
    """Return a heat map as PNG of at most ``HEAT_MAP_MAX_BYTES``.

    Args:
        heat_map: ``[h, w]`` uint8.
    """
    while True:
        png = cv2.imencode(".png", heat_map)[1].tobytes()
        if len(png) <= HEAT_MAP_MAX_BYTES:
            return png
        smaller = [max(1, side // 2) for side in heat_map.shape[::-1]]
        resized = cv2.resize(heat_map, smaller, interpolation=cv2.INTER_AREA)
        heat_map = np.asarray(resized, np.uint8)


def smaller_jpeg(jpeg: bytes, max_bytes: int) -> bytes | None:
    """Return a thumbnail with fewer pixels; None if it cannot be made small enough.

    Args:
        jpeg: From ``encode_thumbnail``.
        max_bytes: Largest size of the result.
    """
    try:
        frame, no_boxes = decode_picture(jpeg), np.empty((0, 4), np.float32)
        smaller = encode_thumbnail(frame, no_boxes, max_bytes)
    except (PictureError, ValueError):
        return None
    return smaller if len(smaller) <= max_bytes else None


def encode_thumbnail(
    frame: Frame, boxes_frame: Boxes, max_bytes: int = THUMBNAIL_MAX_BYTES
) -> bytes:
    """Return a small picture of the whole frame, at most ``max_bytes``.

    Its longer side is ``THUMBNAIL_SIDE_PX``, or up to ``THUMBNAIL_SIDE_MAX_PX`` where
    the smallest defect would otherwise be smaller than ``DEFECT_SIDE_PX``. A thumbnail
    that is too large is encoded with less quality, or shrunk if that is not enough.

    Args:
        frame: ``[H, W, 3]`` uint8, BGR.
        boxes_frame: ``[N, 4]`` float32, xyxy, pixels.
        max_bytes: Largest size; a picture of ``SMALLEST_SIDE_PX`` may be larger.

    Raises:
        ValueError: It cannot be made smaller, or cannot be encoded.
    """
    longer_px = max(frame.shape[:2])
    scale = THUMBNAIL_SIDE_PX / longer_px
    if len(boxes_frame):
        sides_px = (boxes_frame[:, 2:] - boxes_frame[:, :2]).max(axis=1)  # [N]
        scale = max(scale, DEFECT_SIDE_PX / max(float(sides_px.min()), 1.0))
    scale = min(scale, THUMBNAIL_SIDE_MAX_PX / longer_px, 1.0)
    while True:
        size_px = tuple(max(1, round(side * scale)) for side in frame.shape[1::-1])
        try:
            small = cv2.resize(frame, size_px, interpolation=cv2.INTER_AREA)
        except cv2.error as exc:
            msg = f"a frame of shape {frame.shape} cannot be made smaller"
            raise ValueError(msg) from exc
        for quality in QUALITIES:
            jpeg = encode_jpeg(np.asarray(small, np.uint8), quality)
            excess = len(jpeg) / max_bytes
            if excess <= 1 or max(size_px) <= SMALLEST_SIDE_PX:
                return jpeg
            if excess > QUALITY_GAIN:  # too large at any quality: shrink
                break
        scale *= min(SHRINK, excess**-0.5)


def _safe_parts(name: str) -> list[str]:
    """Return the levels of a name, valid on any file system, never ``..``."""
    parts = (
        re.sub(r"[^A-Za-z0-9._-]", "_", part)[-100:].lstrip(".")
        for part in name.split("/")
    )
    return [part for part in parts if part]
