"""The least that a collector must do, on a real broker, with a real history.

An event is in the history when its row is committed, and acknowledged only then; an
alert that announces a picture is complete when the picture is there too.
"""

import contextlib
import hashlib
import json
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from models.messages import (
    Acknowledgement,
    AlertEvent,
    LossEvent,
    VerdictEvent,
    content_digest,
    content_text,
    ranges_of,
)
from models.topics import parse_topic

COMMIT_MESSAGES = 100
ACKNOWLEDGED_AT_ONCE = 100
SUBSCRIPTION_LIMIT_S = 5  # a broker may also refuse it, or be frozen
LAYOUTS = {"alert": AlertEvent, "verdict": VerdictEvent, "loss": LossEvent}


class SimCollector:
    """A collector in a thread; its history outlives it.

    Args:
        folder: Where the history is.
        port: Of the broker, on loopback.
        protocol: Version of MQTT.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> None:
        self.path = folder / "history.db"
        self.arrivals: list[dict[str, Any]] = []  # every event, also repeated ones
        self.states: dict[str, list[dict[str, Any]]] = {}
        self.errors: list[str] = []
        self.acknowledges = True
        with sqlite3.connect(self.path) as db:
            db.executescript(
                "PRAGMA journal_mode = WAL;"
                "CREATE TABLE IF NOT EXISTS event (stream TEXT, seq INTEGER, kind TEXT,"
                " arrival INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT,"
                " UNIQUE (stream, seq));"
                "CREATE TABLE IF NOT EXISTS image (id TEXT PRIMARY KEY, sha256 TEXT);"
            )
        db.close()
        self._db = sqlite3.connect(self.path, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = NORMAL")  # survives kill -9
        self._port = port
        self._waiting: dict[str, tuple[str, dict[str, Any]]] = {}
        self._topics: dict[str, str] = {}
        self._to_ack: dict[str, dict[int, str]] = {}
        self._messages = 0
        self._stop, self._is_subscribed = threading.Event(), threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="collector",
            protocol=protocol,
            reconnect_on_failure=True,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def start(self) -> Self:
        """Connect as soon as the broker is there."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Disconnect and close the history."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._client.disconnect()
        self._client.loop(0.1)
        # Without them the client is in no cycle: it ends here, and closes its sockets.
        self._client.on_connect = self._client.on_subscribe = None
        self._client.on_message = None
        self._db.close()

    def __enter__(self) -> Self:
        """Connect; where a broker is there, wait for the subscription.

        The broker drops what is published before: no collector has asked for it yet.
        """
        self.start()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            self._is_subscribed.wait(SUBSCRIPTION_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def history(self, kind: str = "alert") -> list[dict[str, Any]]:
        """Return the committed events of a kind, in order of arrival."""
        db = sqlite3.connect(self.path)
        rows = db.execute(
            "SELECT payload FROM event WHERE kind = ? ORDER BY arrival", (kind,)
        ).fetchall()
        db.close()
        return [json.loads(row[0]) for row in rows]

    def data(self, kind: str = "alert") -> list[dict[str, Any]]:
        """Return the data of all events of a kind, in the order of the history."""
        return [event["data"] for event in self.history(kind)]

    def wait_for(self, count: int, timeout_s: float = 10, kind: str = "alert") -> int:
        """Wait until so many events of a kind are in the history."""
        deadline = time.monotonic() + timeout_s
        while (have := self._count(kind)) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return have

    def wait_for_state(self, topic: str, timeout_s: float = 10) -> dict[str, Any]:
        """Wait for a state on a topic and return the last one."""
        deadline = time.monotonic() + timeout_s
        while not self.states.get(topic) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.states[topic][-1]

    def _count(self, kind: str) -> int:
        db = sqlite3.connect(self.path)
        count = db.execute("SELECT count(*) FROM event WHERE kind = ?", (kind,))
        number: int = count.fetchone()[0]
        db.close()
        return number

    def _run(self) -> None:
        is_connected = False
        while not self._stop.is_set():
            if not is_connected:
                try:
                    self._client.connect("127.0.0.1", self._port, keepalive=5)
                except OSError:
                    self._stop.wait(0.1)
                    continue
                is_connected = True
                connection: Any = self._client.socket()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            is_connected = self._read_what_is_there()
            self._commit_and_acknowledge()

    def _read_what_is_there(self) -> bool:
        """Take up to one commit's worth of messages; whether the link stands."""
        pause_s = 0.1
        for _ in range(COMMIT_MESSAGES):
            before = self._messages
            if self._client.loop(pause_s) != mqtt.MQTT_ERR_SUCCESS:
                return False
            if self._messages == before:
                break
            pause_s = 0
        return True

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("graftline/#", qos=1)

    def _on_subscribe(self, *_: object) -> None:
        self._is_subscribed.set()

    def _on_message(
        self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage
    ) -> None:
        self._messages += 1
        parsed = parse_topic(message.topic)
        if parsed is None or parsed.leaf == "ack" or parsed.leaf.startswith("cmd/"):
            return
        leaf, _, rest = parsed.leaf.partition("/")
        if leaf == "image":
            digest = hashlib.sha256(message.payload).hexdigest()
            self._db.execute(
                "INSERT OR REPLACE INTO image VALUES (?, ?)", (rest, digest)
            )
            if rest in self._waiting:
                self._keep(*self._waiting.pop(rest))
        elif leaf in LAYOUTS:
            event = json.loads(message.payload)
            try:
                LAYOUTS[leaf].model_validate_json(message.payload)
            except ValueError as exc:
                self.errors.append(f"{message.topic}: {exc}")
                return
            self.arrivals.append(event)
            self._topics[event["data"]["stream"]] = parsed.topics.ack
            self._keep(leaf, event)
        elif not message.payload:  # the sender is gone for good
            self.states.pop(message.topic, None)
        else:
            self.states.setdefault(message.topic, []).append(
                json.loads(message.payload)
            )

    def _keep(self, kind: str, event: dict[str, Any]) -> None:
        data = event["data"]
        wanted = data.get("thumbnail_sha256")
        if wanted is not None:
            row = self._db.execute(
                "SELECT sha256 FROM image WHERE id = ?", (event["id"],)
            ).fetchone()
            if row is None or row[0] != wanted:
                self._waiting[event["id"]] = (kind, event)
                return
        self._db.execute(
            "INSERT INTO event (stream, seq, kind, payload) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (data["stream"], data["seq"], kind, json.dumps(event)),
        )
        self._to_ack.setdefault(data["stream"], {})[data["seq"]] = content_digest(
            event, content_text(event["data"])
        )

    def _commit_and_acknowledge(self) -> None:
        if not self._to_ack:
            return
        self._db.commit()
        if not self.acknowledges:
            return
        for stream, digests in self._to_ack.items():
            events = list(digests.items())
            for first in range(0, len(events), ACKNOWLEDGED_AT_ONCE):
                part = events[first : first + ACKNOWLEDGED_AT_ONCE]
                message = Acknowledgement(
                    stream=stream,
                    high_water=0,
                    ranges=tuple(ranges_of(seq for seq, _ in part)),
                    digests=tuple(part),
                )
                topic = self._topics[stream]
                self._client.publish(topic, message.model_dump_json(), 1)
        self._to_ack.clear()
