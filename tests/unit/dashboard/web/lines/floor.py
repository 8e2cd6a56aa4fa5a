"""Stations that talk to a site, without a broker."""

from datetime import UTC, datetime
from typing import Any

from dashboard.history.state_log import StateLog
from dashboard.ingest.operations import OperationsWriter
from dashboard.messages import Message
from dashboard.status import now_ms
from models.messages import (
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    DesiredModel,
    PullState,
    ReportedModel,
    StationStatus,
)
from models.topics import StationTopics
from tests.simulators.station import MODEL
from tests.unit.dashboard.history_file import PRESS, read
from tests.unit.dashboard.sim_site import SimSite

DESIRED = DesiredModel(
    name="boards", build=9, sha256="cd" * 32, url="https://releases.works/boards"
)


class Floor:
    """Stations that talk to a site, without a broker."""

    def __init__(self, site: SimSite) -> None:
        self.site = site
        self.log = StateLog(site.database)

    def hear(self, topic: str, message: Any, at_ms: int | None = None) -> None:
        record = read(topic, message.model_dump_json(), at_ms or now_ms())
        self.site.file.record(record)
        self.log.note([record])

    def station(
        self,
        state: DaemonState = DaemonState.READY,
        topics: StationTopics = PRESS,
        at_ms: int | None = None,
        **changes: Any,
    ) -> None:
        values: dict[str, Any] = {
            "state": state,
            "boot_id": "b",
            "version": "0.1.0",
            "model": MODEL,
            "outbox_depth": 3,
            "temperature_c": 61.5,
            "clock_synchronized": False,
            "at": datetime.now(UTC),
            **changes,
        }
        self.hear(topics.status, StationStatus(**values), at_ms)

    def camera(
        self,
        state: CameraState = CameraState.UP,
        camera: str = "top",
        topics: StationTopics = PRESS,
        reason: str = "",
        at_ms: int | None = None,
    ) -> None:
        since = datetime.now(UTC)
        status = CameraStatus(state=state, reason=reason, fps=25, since=since)
        self.hear(topics.camera(camera, "status"), status, at_ms)
        stats = CameraStats(
            at=since,
            frames_captured=5000,
            frames_inspected=4990,
            frames_dropped=7,
            frames_damaged=3,
            alerts=2,
            fps=24.8,
            latency_ms_p50=18.2,
            latency_ms_p99=31,
        )
        self.hear(topics.camera(camera, "stats"), stats, at_ms)

    def answer(self, state: PullState, reason: str = "", refusal: str = "") -> None:
        reported = ReportedModel(
            state=state,
            desired_sha256=DESIRED.sha256,
            reason=reason,
            refusal=refusal,
            at=datetime.now(UTC),
        )
        payload = reported.model_dump_json().encode()
        message = Message(PRESS.reported_model, payload, now_ms())
        OperationsWriter(self.site.database).note([message], [])
