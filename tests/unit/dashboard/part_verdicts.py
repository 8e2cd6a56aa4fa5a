"""Verdicts of parts as they come in, without a broker."""

from datetime import UTC, datetime

from dashboard.messages import Record
from models.messages import VerdictData, VerdictEvent, VerdictKind
from models.topics import StationTopics
from tests.unit.dashboard.history_file import PRESS, HistoryFile, read

KINDS = {"d": VerdictKind.DEFECT, "o": VerdictKind.OK, "n": VerdictKind.NOT_INSPECTED}


class PartVerdicts:
    """Counts up the parts of one station."""

    def __init__(self, file: HistoryFile, topics: StationTopics = PRESS) -> None:
        self._file, self._topics, self._seq = file, topics, 0

    def add(
        self, text: str, at_ms: int, camera: str = "top", ahead_ms: int = 0
    ) -> None:
        """Record parts, the oldest first, a millisecond after each other.

        Args:
            text: One character a part: d defect, o ok, n not inspected.
            ahead_ms: By how much the clock of the line PC is ahead.
        """
        records = [
            self._record(each, at_ms + i, camera, ahead_ms)
            for i, each in enumerate(text)
        ]
        self._file.record(*records)

    def _record(self, kind: str, at_ms: int, camera: str, ahead_ms: int) -> Record:
        self._seq += 1
        captured_at = datetime.fromtimestamp((at_ms + ahead_ms) / 1000, UTC)
        stream = f"{self._topics.station}-parts"
        data = VerdictData(
            seq=self._seq,
            stream=stream,
            site=self._topics.site,
            line=self._topics.line,
            station=self._topics.station,
            boot_id="boot-1",
            camera=camera,
            part_id=f"part-{self._seq}",
            frame_id=self._seq,
            verdict=KINDS[kind],
            captured_at=captured_at,
        )
        event = VerdictEvent(
            id=f"{stream}:{self._seq}",
            source=self._topics.root,
            time=captured_at,
            data=data,
        )
        topic = self._topics.camera(camera, "verdict")
        return read(topic, event.model_dump_json(), at_ms)
