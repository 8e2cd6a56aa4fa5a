"""The broker's and the stations' side of what the pages send."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime

from dashboard.outgoing import Outgoing
from models.commands import CommandReply

Reply = Callable[[str, dict[str, object]], CommandReply | bytes | None]


class SimBroker:
    """Answers every message at once.

    Attributes:
        sent: Topic, payload and whether it is retained.
        refusal: Why it refuses topics that start with ``refused``.
        reply: The station's reply to a command; None = it does not reply.
    """

    def __init__(self, outgoing: Outgoing) -> None:
        self.sent: list[tuple[str, bytes, bool]] = []
        self.refused: str | None = None
        self.reply: Reply = lambda _topic, _command: None
        self._outgoing = outgoing
        outgoing.open(self._wake)

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _, _ in self.sent]

    def _wake(self) -> None:
        start = len(self.sent)
        self._outgoing.send(self._publish)
        for mid in range(start, len(self.sent)):
            topic, payload, _ = self.sent[mid]
            is_refused = self.refused is not None and topic.startswith(self.refused)
            self._outgoing.note_answer(mid, "Not authorized" if is_refused else "")
            if "/cmd/" in topic and not is_refused:
                self._answer(topic, json.loads(payload))

    def _answer(self, topic: str, command: dict[str, object]) -> None:
        reply = self.reply(topic, command)
        if reply is not None:
            content = reply if isinstance(reply, bytes) else dump(reply)
            self._outgoing.note_reply(f"{topic}/reply/{command['id']}", content)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> int:
        self.sent.append((topic, payload, retain))
        return len(self.sent) - 1


def dump(reply: CommandReply) -> bytes:
    return reply.model_dump_json().encode()


def picture_reply(jpeg: bytes) -> Reply:
    """Return a station that replies to every command with a picture."""

    def reply(topic: str, command: dict[str, object]) -> CommandReply:
        return CommandReply.model_construct(
            id=str(command["id"]),
            verb=topic.rpartition("/")[2],
            accepted=True,
            picture=base64.b64encode(jpeg).decode(),
            at=datetime.now(UTC),
        )

    return reply
