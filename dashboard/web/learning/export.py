"""Exports alerts as a zip that annotation tools and the trainer read; streamed.

::

    images/       photos with boxes, or whose alerts were not all judged
    good/         photos whose alerts all were false alarms
    all.json      COCO; or annotations.xml (CVAT), or tasks.json (Label Studio)
    provenance.json

Names of files are made here, of names that topics allow and digits of a hash. A picture
that is not a JPEG, or a damaged one, is left out and listed in ``provenance.json``; so
is one that was judged differently in several alerts of it that are not of one frame.
"""

import hashlib
import importlib.metadata
import io
import logging
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection

from dashboard.access import audit
from dashboard.history.database import Database
from dashboard.history.full_picture_cache import read_full_picture
from dashboard.history.learning import (
    LearningAlert,
    LearningFilter,
    Verdicts,
    alerts_of_frame,
    disputed_pictures,
    learning_alerts,
    note_exported,
    picture_of,
)
from dashboard.web.learning.photos import ExportedPhoto, exported_photo
from models.label_files import (
    LabelledPicture,
    coco_text,
    cvat_text,
    label_studio_text,
    labels_of,
)
from models.photo_provenance import PROVENANCE_NAME, Provenance, SkippedAlert
from models.picture_header import read_header

PHOTOS_MAX = 5000
PAGE_ALERTS = 100
RUNNING_MAX = 2
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
EARLIEST_YEAR = 1980  # of a date in a zip
logger = logging.getLogger(__name__)

running = threading.BoundedSemaphore(RUNNING_MAX)


class ExportsRunningError(Exception):
    """Enough exports run."""


class ExportFormat(StrEnum):
    """What the labels are written as."""

    COCO = "coco"
    CVAT = "cvat"
    LABEL_STUDIO = "label-studio"


WRITERS: dict[ExportFormat, tuple[str, Callable[[Sequence[LabelledPicture]], str]]] = {
    ExportFormat.COCO: ("all.json", lambda p: coco_text(p, labels_of(p))),
    ExportFormat.CVAT: ("annotations.xml", cvat_text),
    ExportFormat.LABEL_STUDIO: ("tasks.json", label_studio_text),
}


@dataclass(slots=True)
class _Progress:
    """What of an export is written so far."""

    photos: dict[str, ExportedPhoto] = field(default_factory=dict)  # by SHA-256
    seen: set[str] = field(default_factory=set)  # ids of alerts
    skipped: list[SkippedAlert] = field(default_factory=list)
    disputed: dict[str, Verdicts] = field(default_factory=dict)


class _Sink(io.RawIOBase):
    """Collects what the zip writes, until it is sent."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        self._chunks.append(content)
        return len(content)

    def take(self) -> bytes:
        content, self._chunks = b"".join(self._chunks), []
        return content


def export_chunks(
    database: Database, wanted: LearningFilter, kind: ExportFormat, user: str
) -> Iterator[bytes]:
    """Yield a zip of the wanted alerts, at most ``PHOTOS_MAX`` photos.

    The audit trail names the export before its first chunk, and what it held at its
    end; the alerts are noted as exported at the end.

    Args:
        kind: What the labels are written as.
        user: Who exports, for the audit trail.

    Raises:
        ExportsRunningError: At the first chunk: others run.
    """
    if not running.acquire(blocking=False):
        raise ExportsRunningError
    try:
        with database.write() as connection:
            audit.append(connection, user, "learning.export", kind.value, {})
        sink, progress, at = _Sink(), _Progress(), datetime.now(UTC)
        with database.read() as connection:
            progress.disputed = disputed_pictures(connection)
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            for photo, jpeg in _photos(database, wanted, progress):
                archive.writestr(_entry(photo.labelled.name, at), jpeg)
                yield sink.take()
            name, text = _labels(progress, kind)
            archive.writestr(_entry(name, at), text)
            content = _provenance(progress, user, at)
            archive.writestr(_entry(PROVENANCE_NAME, at), content)
        _note(database, progress, kind, user, at)
        yield sink.take()
    finally:
        running.release()


def _photos(
    database: Database, wanted: LearningFilter, progress: _Progress
) -> Iterator[tuple[ExportedPhoto, bytes]]:
    """Yield each photo once, with its file."""
    before: int | None = None
    while len(progress.photos) < PHOTOS_MAX:
        with database.read() as connection:
            page = learning_alerts(connection, wanted, PAGE_ALERTS, before)
        if not page:
            return
        before = page[-1].n
        for alert in page:
            if alert.id in progress.seen or len(progress.photos) >= PHOTOS_MAX:
                continue
            found = _photo(database, alert, progress)
            if found is not None:
                yield found


def _photo(
    database: Database, alert: LearningAlert, progress: _Progress
) -> tuple[ExportedPhoto, bytes] | None:
    """Return the photo of an alert; None where it cannot be used, or is there."""
    with database.read() as connection:
        together = alerts_of_frame(connection, alert) or [alert]
        full = next(_full_pictures(connection, together), None)
        jpeg = full or picture_of(connection, alert)
    progress.seen |= {each.id for each in together}
    size_px = _size_of(jpeg)
    if jpeg is None or size_px is None:
        reason = "its picture was removed" if jpeg is None else "its picture is damaged"
        progress.skipped.append(SkippedAlert(id=alert.id, reason=reason))
        return None
    sha256 = hashlib.sha256(jpeg).hexdigest()
    if _is_disputed(progress, together, {sha256, alert.thumbnail_sha256}):
        reason = "people judged the same picture differently"
        progress.skipped += [SkippedAlert(id=a.id, reason=reason) for a in together]
        return None
    if sha256 in progress.photos:
        reason = "another alert has the same picture"
        progress.skipped.append(SkippedAlert(id=alert.id, reason=reason))
        return None
    photo = exported_photo(together, sha256, size_px, is_thumbnail=full is None)
    progress.photos[sha256] = photo
    return photo, jpeg


def _is_disputed(
    progress: _Progress, together: Sequence[LearningAlert], pictures: set[str]
) -> bool:
    """Return whether alerts of other frames that show a picture are judged otherwise.

    Args:
        together: The alerts of a frame.
        pictures: SHA-256 of what shows the frame.
    """
    said = {a.id: (a.verdict, a.verdict_label) for a in together}
    for sha256 in pictures:
        known = progress.disputed.get(sha256, {})
        others = {known[each] for each in known.keys() - said.keys()}
        if others and others != set(said.values()):
            return True
    return False


def _full_pictures(
    connection: Connection, together: Sequence[LearningAlert]
) -> Iterator[bytes]:
    """Yield the usable full pictures of alerts that were fetched from the line PC."""
    for alert in together:
        found = read_full_picture(connection, alert.id)
        if found is not None and _size_of(found[1]) is not None:
            yield found[1]


def _size_of(jpeg: bytes | None) -> tuple[int, int] | None:
    """Return the size of a whole JPEG; None if it is not one."""
    is_whole = jpeg is not None and jpeg.startswith(JPEG_START)
    if jpeg is None or not is_whole or JPEG_END not in jpeg[-64:]:
        return None
    size_px = read_header(jpeg).size_px
    return size_px if size_px and min(size_px) > 0 else None


def _labels(progress: _Progress, kind: ExportFormat) -> tuple[str, str]:
    name, text_of = WRITERS[kind]
    photos = progress.photos.values()
    return name, text_of([each.labelled for each in photos if not each.is_good])


def _provenance(progress: _Progress, user: str, at: datetime) -> str:
    content = Provenance(
        exported_at=at,
        exported_by=user,
        version=_version(),
        photos={sha256: each.origin for sha256, each in progress.photos.items()},
        skipped=tuple(progress.skipped),
    )
    return content.model_dump_json(indent=1)


def _note(
    database: Database,
    progress: _Progress,
    kind: ExportFormat,
    user: str,
    at: datetime,
) -> None:
    ids = {a.id for each in progress.photos.values() for a in each.origin.alerts}
    details = {
        "format": kind.value,
        "photos": len(progress.photos),
        "alerts": len(ids),
        "skipped": len(progress.skipped),
    }
    with database.write() as connection:
        note_exported(connection, sorted(ids), round(at.timestamp() * 1000))
        audit.append(connection, user, "learning.exported", kind.value, details)


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    year = max(at.year, EARLIEST_YEAR)
    moment = (year, at.month, at.day, at.hour, at.minute, at.second)
    return zipfile.ZipInfo(name, moment)


def _version() -> str:
    try:
        return importlib.metadata.version("graftline")
    except importlib.metadata.PackageNotFoundError:
        return "source"
