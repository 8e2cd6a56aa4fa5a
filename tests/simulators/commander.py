"""A sender of commands to a station, as a PLC or a person is."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from models.commands import CommandReply
from models.topics import StationTopics
from tests.waiting import until

LIMIT_S = 30.0


def command(**fields: object) -> dict[str, Any]:
    """Return a command that expires in a minute; fields replace what is there."""
    expires_at = datetime.now(UTC) + timedelta(seconds=60)
    fields = {"id": uuid.uuid4().hex, "expires_at": expires_at.isoformat(), **fields}
    return {name: value for name, value in fields.items() if value is not None}


class Commander:
    """Sends commands over a real broker and receives the answers.

    Args:
        port: Of the broker on the loopback interface.
        topics: Of the station.

    Attributes:
        replies: By the command's id, in order of arrival.
    """

    def __init__(self, port: int, topics: StationTopics) -> None:
        self.replies: dict[str, list[CommandReply]] = {}
        self._topics = topics
        self._sent: set[str] = set()
        self._is_subscribed = False
        self._client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.max_inflight_messages_set(0)
        self._client.on_message = self._note
        self._client.on_subscribe = self._when_subscribed
        self._client.connect("127.0.0.1", port)

    def send(self, verb: str, payload: object, *, retain: bool = False) -> str:
        """Send anything; return its id, empty where it has none."""
        is_command = isinstance(payload, dict)
        body = json.dumps(payload).encode() if is_command else payload
        topic = f"{self._topics.root}/cmd/{verb}"
        info = self._client.publish(topic, body, qos=1, retain=retain)  # type: ignore[arg-type]
        info.wait_for_publish(LIMIT_S)
        if not isinstance(payload, dict) or "id" not in payload:
            return ""
        self._sent.add(str(payload["id"]))
        return str(payload["id"])

    def answer_to(self, command_id: str) -> CommandReply:
        """Wait for the answer to a command."""
        until(lambda: command_id in self.replies, f"reply {command_id}", LIMIT_S)
        return self.replies[command_id][-1]

    def ask(self, verb: str, payload: dict[str, Any]) -> CommandReply:
        """Send a command and wait for its answer."""
        return self.answer_to(self.send(verb, payload))

    def wait_for_reply_count(self, command_id: str, count: int) -> None:
        """Wait until a command was answered so often."""
        until(
            lambda: len(self.replies.get(command_id, ())) >= count,
            f"{count} replies to {command_id}",
            LIMIT_S,
        )

    def wait_for_all(self) -> None:
        """Wait until every command that was sent with an id was answered."""
        until(lambda: self._sent <= self.replies.keys(), "all replies", LIMIT_S)

    def wait_for_station(self) -> None:
        """Wait until the station listens: it answers what it does not know."""
        deadline = time.monotonic() + LIMIT_S
        while not self.replies:
            assert time.monotonic() < deadline, "the station never listened"
            self.send("hello", command())
            time.sleep(0.1)
        self._sent &= self.replies.keys()  # those before it listened

    def _note(self, _: Client, __: object, message: MQTTMessage) -> None:
        reply = CommandReply.model_validate_json(message.payload)
        assert message.topic == self._topics.reply(reply.verb, reply.id)
        self.replies.setdefault(reply.id, []).append(reply)

    def _when_subscribed(self, *_: object) -> None:
        self._is_subscribed = True

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._client.subscribe(f"{self._topics.root}/cmd/+/reply/+", qos=1)
        until(lambda: self._is_subscribed, "subscribed")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
