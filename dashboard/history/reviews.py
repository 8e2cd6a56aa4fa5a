"""Reviews of alerts: acknowledgements, comments and verdicts of people.

Every review is kept; the latest of its kind is in force. Of two different verdicts
about an alert both are kept, and the later one counts.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, exists, func, insert, literal, select, update

from dashboard.history.tables.received import alerts
from dashboard.history.tables.reviews import alert_states, reviews
from models.heat_map import UNKNOWN_LABEL

COMMENT_MAX_CHARS = 1000
LABEL_MAX_CHARS = 100
AT_ONCE = 400  # ids in one statement: older versions of SQLite allow 999 values


class ReviewKind(StrEnum):
    """What a review is."""

    ACKNOWLEDGE = "acknowledge"
    WITHDRAW = "withdraw"  # the acknowledgement
    COMMENT = "comment"
    VERDICT = "verdict"


class OperatorVerdict(StrEnum):
    """What a person says that an alert shows."""

    REAL = "real-defect"
    FALSE_ALARM = "false-alarm"
    OTHER_CLASS = "other-class"
    NONE = "none"  # withdrawn


def renamed_labels(labels: Collection[str]) -> set[str]:
    """Return which classes of an alert the verdict ``other-class`` renames.

    Where named defects are beside unknown ones, the class is that of the unknown ones.
    """
    return {UNKNOWN_LABEL} if UNKNOWN_LABEL in labels else set(labels)


def reviewed_since(connection: Connection, k: int, limit: int) -> tuple[int, list[str]]:
    """Return the cursor of the last review, and the alerts of those after a cursor.

    Args:
        k: ``reviews.k``.
        limit: Number of alerts to return, each once, by their first review.
    """
    newest = connection.scalar(select(func.max(reviews.c.k))) or 0
    if newest <= k:
        return newest, []
    query = (
        select(reviews.c.event_id)
        .where(reviews.c.k > k, reviews.c.k <= newest)
        .group_by(reviews.c.event_id)
        .order_by(func.min(reviews.c.k))
        .limit(limit)
    )
    return newest, list(connection.scalars(query))


class UnknownAlertError(Exception):
    """No such alert; the text is its id."""


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody does with alerts.

    Attributes:
        verdict: For the kind ``verdict`` only.
        label: The right class, for ``other-class`` only.
        text: For the kind ``comment`` only.
    """

    kind: ReviewKind
    verdict: OperatorVerdict | None = None
    label: str = ""
    text: str = ""

    def fault(self) -> str:
        """Return why it cannot be stored; empty = it can."""
        is_verdict = self.kind is ReviewKind.VERDICT
        is_other = is_verdict and self.verdict is OperatorVerdict.OTHER_CLASS
        fault = ""
        if is_verdict != (self.verdict is not None):
            fault = "a verdict needs one of: " + ", ".join(OperatorVerdict)
        elif is_other != bool(self.label.strip()):
            fault = "other-class, and only that, needs the name of the class"
        elif (self.kind is ReviewKind.COMMENT) != bool(self.text.strip()):
            fault = "a comment, and only that, needs a text"
        elif len(self.text) > COMMENT_MAX_CHARS or len(self.label) > LABEL_MAX_CHARS:
            fault = (
                f"at most {COMMENT_MAX_CHARS} characters of comment and "
                f"{LABEL_MAX_CHARS} of class"
            )
        return fault


def add_review(
    connection: Connection,
    user: str,
    event_ids: Sequence[str],
    review: Review,
    *,
    at_ms: int,
) -> list[str]:
    """Add one review to each alert.

    Args:
        connection: From ``Database.write``.
        event_ids: Each once.
        review: Without a fault.
        at_ms: Wall clock, UTC.

    Returns:
        The alerts that were changed: to acknowledge what is acknowledged already
        changes nothing.

    Raises:
        UnknownAlertError: One of them does not exist; nothing was changed.
    """
    changed: list[str] = []
    for ids in _chunks(event_ids):
        _add_states(connection, ids)
        changed += _changing(connection, ids, review.kind)
    for ids in _chunks(changed):
        _write(connection, user, ids, review, at_ms)
    return changed


def reviews_of(connection: Connection, event_id: str) -> list[dict[str, Any]]:
    """Return all reviews of an alert, the oldest first."""
    rows = connection.execute(
        select(reviews).where(reviews.c.event_id == event_id).order_by(reviews.c.k)
    )
    return [dict(row) for row in rows.mappings()]


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


def _add_states(connection: Connection, ids: Iterable[str]) -> None:
    """Add the states of alerts that were never reviewed."""
    wanted = tuple(ids)
    known = exists().where(alert_states.c.n == alerts.c.n)
    new = select(alerts.c.n, alerts.c.id, alerts.c.happened_ms, literal(0), literal(0))
    columns = ["n", "event_id", "happened_ms", "verdicts", "comments"]
    connection.execute(
        insert(alert_states).from_select(
            columns, new.where(alerts.c.id.in_(wanted), ~known)
        )
    )
    found = connection.execute(
        select(alert_states.c.event_id).where(alert_states.c.event_id.in_(wanted))
    )
    missing = set(wanted) - set(found.scalars())
    if missing:
        raise UnknownAlertError(min(missing))


def _changing(
    connection: Connection, ids: Iterable[str], kind: ReviewKind
) -> list[str]:
    """Return the alerts whose state a review changes, in the given order."""
    wanted = tuple(ids)
    if kind not in (ReviewKind.ACKNOWLEDGE, ReviewKind.WITHDRAW):
        return list(wanted)
    is_acknowledged = alert_states.c.acknowledged_ms.is_not(None)
    rows = connection.execute(
        select(alert_states.c.event_id).where(
            alert_states.c.event_id.in_(wanted), is_acknowledged
        )
    )
    acknowledged = set(rows.scalars())
    is_withdrawn = kind is ReviewKind.WITHDRAW
    return [each for each in wanted if (each in acknowledged) == is_withdrawn]


def _write(
    connection: Connection, user: str, ids: Sequence[str], review: Review, at_ms: int
) -> None:
    row = {
        "at_ms": at_ms,
        "reviewer": user,
        "kind": review.kind,
        "verdict": review.verdict,
        "label": review.label or None,
        "text": review.text or None,
    }
    connection.execute(insert(reviews), [{**row, "event_id": each} for each in ids])
    connection.execute(
        update(alert_states)
        .where(alert_states.c.event_id.in_(ids))
        .values(_state_values(user, review, at_ms))
    )


def _state_values(user: str, review: Review, at_ms: int) -> dict[str, Any]:
    values: dict[str, Any]
    match review.kind:
        case ReviewKind.ACKNOWLEDGE:
            values = {"acknowledged_ms": at_ms, "acknowledged_by": user}
        case ReviewKind.WITHDRAW:
            values = {"acknowledged_ms": None, "acknowledged_by": None}
        case ReviewKind.COMMENT:
            values = {"comments": alert_states.c.comments + 1}
        case ReviewKind.VERDICT:
            is_withdrawn = review.verdict is OperatorVerdict.NONE
            values = {
                "verdict": None if is_withdrawn else review.verdict,
                "verdict_label": review.label or None,
                "judged_ms": None if is_withdrawn else at_ms,
                "judged_by": None if is_withdrawn else user,
                "verdicts": alert_states.c.verdicts + 1,
            }
    return values
