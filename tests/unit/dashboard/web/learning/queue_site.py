"""Alerts with pictures, and what people say of them."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from dashboard.history.reviews import (
    OperatorVerdict,
    Review,
    ReviewKind,
    add_review,
)
from dashboard.status import now_ms
from models.messages import AlertDetection
from tests.simulators.station import alert_event, detection, picture
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.history_file import PRESS, alert_record, image_record
from tests.unit.dashboard.sim_site import SimSite

EVERY_KIND = "kind=false-alarm&kind=real-defect&kind=other-class&kind=uncertain"


class Queue:
    """A site whose alerts are judged."""

    def __init__(self, site: SimSite) -> None:
        self.site = site
        self.seq = 0

    def add(
        self,
        *boxes: AlertDetection,
        jpeg: bytes | None = None,
        camera: str = "top",
        **changes: Any,
    ) -> str:
        """Add an alert with its picture; return its id."""
        self.seq += 1
        jpeg = picture(self.seq) if jpeg is None else jpeg
        event = alert_event(
            PRESS,
            self.seq,
            camera,
            thumbnail_sha256=hashlib.sha256(jpeg).hexdigest(),
            detections=boxes or (detection("scratch", 0.9),),
            **changes,
        )
        alert = alert_record(event, received_ms=now_ms())
        self.site.file.record(image_record(event, jpeg), alert)
        return event.id

    def judge(self, event_id: str, verdict: OperatorVerdict, label: str = "") -> None:
        review = Review(ReviewKind.VERDICT, verdict, label)
        with self.site.database.write() as connection:
            add_review(connection, "anna", [event_id], review, at_ms=now_ms())

    def listed(self, query: str = EVERY_KIND) -> list[str]:
        page = get(self.site.app, f"/api/learning?{query}").json
        return [each["id"] for each in page["alerts"]]

    def export(self, query: str = EVERY_KIND, kind: str = "coco") -> zipfile.ZipFile:
        answer = get(self.site.app, f"/learning/export.zip?{query}&format={kind}")
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/zip"
        return zipfile.ZipFile(io.BytesIO(answer.body))

    def export_to(
        self, path: Path, query: str = EVERY_KIND, kind: str = "coco"
    ) -> Path:
        answer = get(self.site.app, f"/learning/export.zip?{query}&format={kind}")
        path.write_bytes(answer.body)
        return path
