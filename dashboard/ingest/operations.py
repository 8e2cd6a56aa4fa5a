"""Keeps the states, models and orders of line PCs, from what the collector receives.

It runs in the writer's thread after each commit, in a transaction of its own. What
cannot be written is written with a later message that shows it: a status comes every
10 s, and the broker repeats what is retained at each connect.
"""

import logging
from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from dashboard.history.database import Database
from dashboard.history.forget import forget_sender
from dashboard.history.model_orders import note_answer, note_foreign_order
from dashboard.history.state_log import StateLog
from dashboard.messages import STATE_MAX_BYTES, Message, Record, is_retirement
from models.messages import SCHEMA_VERSION, DesiredModel, ReportedModel
from models.topics import ParsedTopic, parse_topic

DESIRED, REPORTED = "model/desired", "model/reported"
logger = logging.getLogger(__name__)


class OperationsWriter:
    """Keeps what the pages show of line PCs. Used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = StateLog(database)
        self._is_failing = False

    def note(self, messages: Sequence[Message], records: Sequence[Record]) -> None:
        """Keep what a batch shows; called after its commit.

        Args:
            messages: All of the batch.
            records: Those of them that are valid.
        """
        try:
            self._log.note(records)
            self._note_messages(messages)
        except SQLAlchemyError as exc:
            if not self._is_failing:
                logger.warning("operations_not_written reason=%.300s", exc)
            self._is_failing = True
        else:
            self._is_failing = False

    def _note_messages(self, messages: Sequence[Message]) -> None:
        for message in messages:
            parsed = parse_topic(message.topic)
            if parsed is None:
                continue
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
                note_answer(connection, parsed.topics, message.received_ms, found)
            else:
                note_foreign_order(
                    connection, parsed.topics, message.received_ms, found
                )

    def _retire(self, parsed: ParsedTopic) -> None:
        """Remove a sender from the pages whose retained state was deleted."""
        with self._database.write() as connection:
            forget_sender(connection, parsed.topics, parsed.camera)


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
