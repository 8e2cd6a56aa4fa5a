"""The web application over a history, without broker and server."""

from dashboard.config import DashboardSettings
from dashboard.history.database import Database
from dashboard.outgoing import Outgoing
from dashboard.status import BrokerStatus, CollectorStatus, now_ms
from dashboard.web.app import create_app
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import Hub
from dashboard.web.rendering import Renderer
from dashboard.web.site import Site
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    JPEG_SHA256,
    PRESS,
    HistoryFile,
    alert_record,
    image_record,
)

UP = CollectorStatus(
    broker=BrokerStatus("127.0.0.1:1883", is_up=True, since_ms=1, protocol="5"),
    failure="",
    writer_age_s=0.1,
    duplicates=0,
    dropped=0,
    rejected={},
    connections=1,
)


class SimSite:
    """The web application over a history, without broker and server."""

    def __init__(
        self,
        file: HistoryFile,
        max_viewers: int = 5,
        settings: DashboardSettings | None = None,
    ) -> None:
        self.file, self.status = file, UP
        self.hub = Hub(max_viewers)
        settings = settings or DashboardSettings()
        self.broadcaster = EventBroadcaster(
            file.history, self.hub, settings.page, lambda: self.status
        )
        self.database = Database(file.path)
        self.outgoing = Outgoing()
        self.app = create_app(
            Site(
                settings,
                file.history,
                self.database,
                self.hub,
                self.broadcaster,
                Renderer(settings.page.title),
                self.outgoing,
            )
        )

    def add(self, seq: int) -> str:
        event = alert_event(PRESS, seq, thumbnail_sha256=JPEG_SHA256)
        alert = alert_record(event, received_ms=now_ms())
        committed = self.file.record(image_record(event), alert)
        self.broadcaster.broadcast(committed)
        return event.id
