"""Keeps the states, models and orders of line PCs, from what the collector receives.

It runs in the writer's thread after each commit, in transactions of its own. What the
history cannot hold is skipped; it never blocks the rest.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history.database import Database, is_bad_row
from dashboard.history.forget import forget_sender
from dashboard.history.model_orders import note_answer, note_foreign_order
from dashboard.history.state_log import StateLog
from dashboard.messages import STATE_MAX_BYTES, Message, Record, is_retirement
from models.messages import SCHEMA_VERSION, DesiredModel, ReportedModel
from models.topics import ParsedTopic, parse_topic

DESIRED, REPORTED = "model/desired", "model/reported"
EARLY_MAX = 512  # two of each station that the pages can show
logger = logging.getLogger(__name__)


class OperationsWriter:
    """Keeps what the pages show of line PCs. Used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = StateLog(database)
        # Retained messages about models may come before the first one of their station.
        self._early: dict[str, Message] = {}

    def note(self, messages: Sequence[Message], records: Sequence[Record]) -> None:
        """Keep what a batch shows; called after its commit.

        To call it again with the same batch changes nothing.

        Args:
            messages: All of the batch.
            records: Those of them that are valid.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It cannot be written now.
        """
        if not _is_storable(lambda: self._log.note(records)):
            for record in records:
                if not _is_storable(partial(self._log.note, [record])):
                    _warn_unstorable(record.sender.topics.root)
        heard = {record.sender.topics for record in records}
        early = [
            message
            for topic, message in self._early.items()
            if (parsed := parse_topic(topic)) and parsed.topics in heard
        ]
        for message in (*early, *messages):
            if not _is_storable(partial(self._note_message, message)):
                _warn_unstorable(message.topic)

    def _note_message(self, message: Message) -> None:
        parsed = parse_topic(message.topic)
        if parsed is None:
            return
        if is_retirement(parsed, message.payload):
            self._retire(parsed)
        elif not parsed.camera and parsed.leaf in {DESIRED, REPORTED}:
            self._note_model(parsed, message)

    def _note_model(self, parsed: ParsedTopic, message: Message) -> None:
        layout = DesiredModel if parsed.leaf == DESIRED else ReportedModel
        found: DesiredModel | ReportedModel | None = None
        if message.payload or parsed.leaf == REPORTED:
            found = _read(message, layout)
            if found is None:
                return
        with self._database.write() as connection:
            if isinstance(found, ReportedModel):
                is_shown = note_answer(
                    connection, parsed.topics, message.received_ms, found
                )
            else:
                is_shown = note_foreign_order(
                    connection, parsed.topics, message.received_ms, found
                )
        if is_shown:
            self._early.pop(message.topic, None)
        elif message.topic in self._early or len(self._early) < EARLY_MAX:
            self._early[message.topic] = message

    def _retire(self, parsed: ParsedTopic) -> None:
        """Remove a sender from the pages whose retained state was deleted."""
        with self._database.write() as connection:
            forget_sender(connection, parsed.topics, parsed.camera)


def _is_storable(write: Callable[[], None]) -> bool:
    """Write something; return false if the history cannot hold its values."""
    try:
        write()
    except (SQLAlchemyError, OverflowError, UnicodeEncodeError) as exc:
        if isinstance(exc, SQLAlchemyError) and not is_bad_row(exc):
            raise
        return False
    return True


def _warn_unstorable(topic: str) -> None:
    logger.warning("operation_unstorable topic=%r", topic[:200])


def _read(
    message: Message, layout: type[DesiredModel] | type[ReportedModel]
) -> DesiredModel | ReportedModel | None:
    """Return a message about a model; None if it is not valid."""
    if not message.payload or len(message.payload) > STATE_MAX_BYTES:
        return None
    try:
        found = layout.model_validate_json(message.payload, extra="ignore")
    except (ValidationError, RecursionError) as exc:
        logger.warning(
            "model_message_rejected topic=%r reason=%.200s", message.topic[:200], exc
        )
        return None
    return found if found.schema_version <= SCHEMA_VERSION else None
