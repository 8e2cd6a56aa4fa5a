"""What the pages send to stations, through the session of the collector.

A page waits for the answer of the broker, and for the reply of a station to a command.
The network thread calls ``open``, ``send``, ``note_answer``, ``note_reply`` and
``close``; all other methods may be called from any thread.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from models.commands import Command, CommandReply, CommandVerb
from models.topics import StationTopics, parse_topic

WAITING_MAX = 200  # of messages, and of replies: beyond, a page gets a refusal at once
REPLY_MAX_BYTES = 256 * 1024  # a reply with a picture of 128 kB in base64
NO_BROKER = "there is no connection to the broker"
ANSWER_UNKNOWN = "the broker may have the message"
CROWDED = "too many messages wait for the broker"
logger = logging.getLogger(__name__)

Publish = Callable[[str, bytes, bool], int]
AnyResult = TypeVar("AnyResult")


class NotSentError(Exception):
    """A command did not reach the broker; the text names the reason."""


@dataclass(frozen=True, slots=True)
class _Message:
    """One message.

    Attributes:
        answer: Gets why the broker refused it; empty = it was accepted.
    """

    topic: str
    payload: bytes
    retain: bool
    answer: "Future[str]" = field(default_factory=Future)


class Outgoing:
    """The messages of the pages to the stations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None
        self._closed_reason = NO_BROKER  # empty: there is a connection
        self._queue: deque[_Message] = deque()
        self._in_flight: dict[int, _Message] = {}  # by packet id
        self._asked: dict[str, Future[CommandReply]] = {}  # by topic of the reply

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False
    ) -> "Future[str]":
        """Send a message at QoS 1.

        Args:
            payload: With ``retain``, an empty one deletes what the broker keeps.

        Returns:
            Gets why the broker did not accept it; empty = it did.
        """
        message = _Message(topic, payload, retain)
        with self._lock:
            refusal = self._closed_reason
            if len(self._queue) + len(self._in_flight) >= WAITING_MAX:
                refusal = refusal or CROWDED
            if not refusal:
                self._queue.append(message)
        if refusal:
            message.answer.set_result(refusal)
        else:
            self._wake()
        return message.answer

    def ask(
        self, topics: StationTopics, verb: CommandVerb, command: Command
    ) -> "Future[CommandReply]":
        """Send a command.

        Returns:
            Gets the reply of the station, or ``NotSentError``. A station that is away
            never replies: wait with a limit, and cancel.
        """
        reply: Future[CommandReply] = Future()
        place = topics.reply(verb.value, command.id)
        with self._lock:
            self._asked = {k: v for k, v in self._asked.items() if not v.done()}
            if len(self._asked) >= WAITING_MAX:
                reply.set_exception(NotSentError(CROWDED))
                return reply
            self._asked[place] = reply
        topic = f"{topics.root}/cmd/{verb.value}"
        sent = self.publish(topic, command.model_dump_json().encode())
        sent.add_done_callback(lambda answer: self._note_sent(place, answer.result(0)))
        return reply

    # --- called by the network thread ------------------------------------------------

    def open(self, wake: Callable[[], None]) -> None:
        """Note that there is a connection.

        Args:
            wake: Lets the network thread call ``send``; called from any thread.
        """
        with self._lock:
            self._wake, self._closed_reason = wake, ""

    def close(self, reason: str) -> None:
        """Note that there is none, and answer everything that waits."""
        with self._lock:
            self._closed_reason = f"{NO_BROKER}: {reason}" if reason else NO_BROKER
            reason = self._closed_reason
            sent, unsent = [*self._in_flight.values()], [*self._queue]
            self._in_flight.clear()
            self._queue.clear()
        for message in sent:
            _resolve(message.answer, f"{reason}; {ANSWER_UNKNOWN}")
        for message in unsent:
            _resolve(message.answer, reason)

    def send(self, publish: Publish) -> None:
        """Send what waits, without messages whose answer was cancelled.

        An answer cannot be cancelled once its message is sent.

        Args:
            publish: Takes topic, payload and retain; returns the packet id.
        """
        while True:
            with self._lock:
                if not self._queue:
                    return
                message = self._queue[0]
                if not _is_wanted(message.answer):
                    self._queue.popleft()
                    continue
                mid = publish(message.topic, message.payload, message.retain)
                self._in_flight[mid] = self._queue.popleft()

    def note_answer(self, mid: int, refusal: str) -> None:
        """Take the broker's answer to a packet, of this class or not."""
        with self._lock:
            message = self._in_flight.pop(mid, None)
        if message is not None:
            reason = refusal and f"the broker refused it: {refusal}"
            _resolve(message.answer, reason)

    def note_reply(self, topic: str, payload: bytes) -> None:
        """Take a received message if it is a reply that a page waits for."""
        with self._lock:
            waiting = self._asked.get(topic)
        if waiting is None or waiting.done() or len(payload) > REPLY_MAX_BYTES:
            return
        reply = read_reply(topic, payload)
        if reply is not None:
            with self._lock:
                self._asked.pop(topic, None)
            _resolve(waiting, reply)

    def _note_sent(self, place: str, refusal: str) -> None:
        if not refusal:
            return
        with self._lock:
            waiting = self._asked.pop(place, None)
        if waiting is not None:
            _fail(waiting, NotSentError(refusal))


def read_reply(topic: str, payload: bytes) -> CommandReply | None:
    """Return the reply of a station to a command; None if it is not valid.

    Args:
        topic: It names the verb and the id, which the payload must have too.
    """
    parsed = parse_topic(topic)
    try:
        reply = CommandReply.model_validate_json(payload, extra="ignore")
    except (ValidationError, RecursionError) as exc:
        logger.warning("reply_rejected topic=%r reason=%.200s", topic[:200], exc)
        return None
    if parsed is None or parsed.leaf != f"cmd/{reply.verb}/reply/{reply.id}":
        return None
    return reply


def _resolve(future: "Future[AnyResult]", result: AnyResult) -> None:
    """Give a result to a page that may have stopped waiting."""
    if _is_wanted(future):
        future.set_result(result)


def _is_wanted(future: "Future[AnyResult]") -> bool:
    """Return whether an answer is still waited for; then it cannot be cancelled."""
    return future.running() or future.set_running_or_notify_cancel()


def _fail(future: "Future[CommandReply]", error: Exception) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
