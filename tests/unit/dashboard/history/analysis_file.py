"""A history with alerts, verdicts of parts and judgements, for the charts."""

from datetime import UTC, datetime
from typing import Any

from dashboard.history.database import Database
from dashboard.history.reviews import (
    OperatorVerdict,
    Review,
    ReviewKind,
    add_review,
)
from dashboard.messages import PartVerdict
from models.messages import ModelInForce, VerdictData, VerdictEvent, VerdictKind
from models.topics import StationTopics
from tests.simulators.station import MODEL, alert_event, detection
from tests.unit.dashboard.history_file import HistoryFile, alert_record, read

START = datetime(2025, 11, 20, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DAY_MS = 24 * HOUR_MS


class AnalysisFile:
    """Adds what stations send and people do; times are minutes after ``START``."""

    def __init__(self, file: HistoryFile, database: Database) -> None:
        self.file, self.database = file, database
        self._seq = 0
        self._cameras: set[tuple[str, str, str]] = set()

    def alert(
        self,
        minute: float,
        *labels: str,
        line: str = "line-1",
        station: str = "press-1",
        camera: str = "top",
        build: int = MODEL.build,
        **changes: Any,
    ) -> str:
        """Add an alert with a detection of each label, and return its id."""
        self._seq += 1
        topics = StationTopics("plant", line, station)
        at = datetime.fromtimestamp(START.timestamp() + minute * 60, UTC)
        found = tuple(detection(each) for each in labels or ("scratch",))
        model = ModelInForce(**{**MODEL.model_dump(), "build": build})
        values = {
            "detections": found,
            "captured_at": at,
            "model": model,
            "stream": f"{line}-{station}",
            **changes,
        }
        event = alert_event(topics, self._seq, camera, **values)
        self.file.record(alert_record(event, self._received(minute)))
        return event.id

    def parts(
        self,
        minute: float,
        kind: VerdictKind = VerdictKind.OK,
        count: int = 1,
        *,
        line: str = "line-1",
        station: str = "press-1",
        camera: str = "top",
    ) -> None:
        """Add the verdicts of some parts."""
        topics = StationTopics("plant", line, station)
        self._announce(topics, camera)
        records = []
        for _ in range(count):
            self._seq += 1
            at = datetime.fromtimestamp(START.timestamp() + minute * 60, UTC)
            stream = f"{line}-{station}"
            data = VerdictData(
                seq=self._seq,
                stream=stream,
                site="plant",
                line=line,
                station=station,
                boot_id="boot-1",
                camera=camera,
                part_id=f"part-{self._seq}",
                frame_id=self._seq,
                verdict=kind,
                captured_at=at,
                clock_synchronized=True,
            )
            event = VerdictEvent(
                id=f"{stream}:{self._seq}", source=topics.root, time=at, data=data
            )
            topic = topics.camera(camera, "verdict")
            record = read(topic, event.model_dump_json(), self._received(minute))
            assert isinstance(record, PartVerdict)
            records.append(record)
        self.file.record(*records)

    def judge(self, verdict: OperatorVerdict, *event_ids: str, label: str = "") -> None:
        review = Review(ReviewKind.VERDICT, verdict, label)
        with self.database.write() as connection:
            add_review(connection, "ada", list(event_ids), review, at_ms=START_MS)

    def _announce(self, topics: StationTopics, camera: str) -> None:
        """A camera that sends verdicts sends its status, too."""
        key = (topics.line, topics.station, camera)
        if key not in self._cameras:
            self._cameras.add(key)
            status = '{"state": "up", "since": "2025-11-20T00:00:00Z"}'
            self.file.record(read(topics.camera(camera, "status"), status, START_MS))

    def _received(self, minute: float) -> int:
        return START_MS + int(minute * MINUTE_MS) + 500
