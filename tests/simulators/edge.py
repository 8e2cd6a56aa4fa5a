"""The daemon's way out, without cameras and models: outbox and publisher."""

from pathlib import Path
from typing import Self

from edge.config.station import BrokerSettings
from edge.delivery.outbox.events import render
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from models.messages import DaemonState
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert, station_status

LIMIT_S = 30.0


def digests_of(outbox: Outbox) -> dict[int, str]:
    """Return the digest of each event in an outbox, by position."""
    return {
        each.seq: render(each, outbox.stream, replayed=False, with_image=False).digest
        for was_sent in (False, True)
        for each in outbox.read(0, 9999, was_sent=was_sent) or []
    }


class SimEdge:
    """Outbox and publisher of one station.

    Args:
        folder: Of the outbox.
        port: Of the broker on loopback.
        broker: Further settings of ``[broker]``.
    """

    def __init__(self, folder: Path, port: int, **broker: object) -> None:
        self.outbox = Outbox(folder / "outbox.db", TOPICS, 64 << 20)
        self.outbox.start()
        values = {"port": port, "keepalive_s": 2, "reconnect_max_s": 1, **broker}
        self.settings = BrokerSettings.model_validate(values)
        will = station_status(DaemonState.LOST)
        self.publisher = Publisher(self.settings, self.outbox, TOPICS, will)
        self.publisher.publish_state(TOPICS.status, station_status())
        self.publisher.start()

    def put(self, frame_id: int, image: bytes | None = None) -> int:
        """Put an alert and wait until it is committed; returns its position."""
        content = alert(frame_id, image)
        future = self.outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image)
        return future.result(10)

    def put_all(self, frame_ids: range) -> None:
        """Put alerts together and wait until all are committed."""
        contents = [alert(frame_id) for frame_id in frame_ids]
        futures = [
            self.outbox.put(EventKind.ALERT, ALERT_TOPIC, each) for each in contents
        ]
        for future in futures:
            future.result(10)

    def digests(self) -> dict[int, str]:
        """Return the digest of each event in the outbox, by position."""
        return digests_of(self.outbox)

    def close(self) -> None:
        """Stop in order."""
        self.publisher.stop(station_status(DaemonState.DISCONNECTED), 3)
        self.outbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
