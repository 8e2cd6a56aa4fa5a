"""The web application over a history, without broker and server."""

from starlette.types import Receive, Scope, Send

from dashboard.access.backoff import LoginBackoff
from dashboard.access.logins import Logins
from dashboard.access.passwords import Passwords
from dashboard.config import DashboardSettings
from dashboard.history.settings import read_settings
from dashboard.outgoing import Outgoing
from dashboard.plant_settings import PlantSettings
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


class SimClock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now_ms = now_ms()

    def ms(self) -> int:
        return self.now_ms

    def s(self) -> float:
        return self.now_ms / 1000

    def pass_s(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


class SimSite:
    """The web application over a history, without broker and server.

    Attributes:
        app: With requests of the local admin, where they show nobody else.
        bare_app: As it is served.
    """

    def __init__(
        self,
        file: HistoryFile,
        max_viewers: int = 5,
        settings: DashboardSettings | None = None,
    ) -> None:
        self.file, self.status = file, UP
        self.hub = Hub(max_viewers)
        settings = settings or DashboardSettings()
        self.database = file.database
        self.broadcaster = EventBroadcaster(
            file.history, self.hub, settings.page, lambda: self.status, self.database
        )
        self.outgoing = Outgoing()
        self.clock = SimClock()
        self.passwords = Passwords(time_cost=1, memory_kib=64)
        self.logins = Logins(
            self.database,
            settings.server,
            self.passwords,
            LoginBackoff(self.clock.s),
            self.clock.ms,
        )
        self.bare_app = create_app(
            Site(
                settings,
                file.history,
                self.database,
                self.logins,
                self.hub,
                self.broadcaster,
                Renderer(settings.page.title, self.plant),
                self.outgoing,
            )
        )

    def plant(self) -> PlantSettings:
        with self.database.read() as connection:
            return read_settings(connection)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, of the local admin where it shows nobody else."""
        headers = dict(scope["headers"])
        session = b"graftline_" in headers.get(b"cookie", b"")
        if b"authorization" not in headers and not session:
            bearer = f"Bearer {self.logins.first_run_token}".encode()
            scope["headers"] = [*scope["headers"], (b"authorization", bearer)]
        await self.bare_app(scope, receive, send)

    def add(self, seq: int) -> str:
        event = alert_event(PRESS, seq, thumbnail_sha256=JPEG_SHA256)
        alert = alert_record(event, received_ms=now_ms())
        committed = self.file.record(image_record(event), alert)
        self.broadcaster.broadcast(committed)
        return event.id
