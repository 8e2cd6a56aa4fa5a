"""Whether an event is in the history already, and with the same content.

The same id is the same event. An event with a known id and other content is an attack,
or a disk that was copied to another station: it is refused, is never acknowledged, and
is kept in the table ``conflicts`` for a person to compare.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    case,
    cast,
    delete,
    literal,
    null,
    select,
    tuple_,
    union_all,
    update,
)

from dashboard.history.acknowledged_ranges import RecordRefusedError
from dashboard.history.database import insert_new
from dashboard.history.tables.received import (
    alerts,
    conflicts,
    images,
    losses,
    verdicts,
)
from dashboard.messages import Alert, Loss, Queued, RejectionReason
from models.messages import AlertEvent, VerdictEvent

MAX_CONFLICTS_PER_STATION = 64
IDS_AT_ONCE = 500  # of one query
IsWanted = Callable[[Any], ColumnElement[bool]]  # of a column with ids
TABLES: dict[str, Table] = {"alert": alerts, "verdict": verdicts, "loss": losses}


@dataclass(slots=True)
class KnownEvent:
    """An event of the history, or one that the transaction adds.

    Attributes:
        kind: ``alert``, ``verdict`` or ``loss``.
        n: Cursor of an alert; 0: it is not written yet.
        digest: None: a version that stored no digest has written it.
        content: The stored event as JSON, the fields of a loss record; only where
            there is no digest.
    """

    kind: str
    seq: int
    digest: str | None
    n: int = 0
    thumbnail_sha256: str | None = None
    content: str = ""


class KnownEvents:
    """Compares events with those in the history, for one transaction.

    Args:
        ids: Every event that is compared, and the event of every picture.

    Attributes:
        pictures: SHA-256 of the stored picture of each of them that has one.
    """

    def __init__(self, connection: Connection, ids: Collection[str]) -> None:
        self._db = connection
        self._events: defaultdict[str, list[KnownEvent]] = defaultdict(list)
        self.pictures: dict[str, str] = {}
        for part in _parts(ids):
            events, pictures = _QUERIES[connection.dialect.name]
            for event_id, *values in connection.execute(events, {"ids": part}):
                self._events[event_id].append(KnownEvent(*values))
            for event_id, sha256 in connection.execute(pictures, {"ids": part}):
                self.pictures[event_id] = sha256

    def has(self, record: Queued, received_ms: int) -> bool:
        """Return whether an event is in the history.

        Args:
            received_ms: Time to keep a conflict with.

        Raises:
            RecordRefusedError: One with its id and other content is; the new one was
                added to the conflicts.
        """
        event_id, kind = record.event.id, _kind_of(record)
        found = self._events.get(event_id, ())
        for known in found:
            if known.kind != kind or not _is_same(record, known):
                self._keep(record, received_ms)
                detail = (
                    f"event {event_id} is in the history with other content: it is "
                    "kept in the table conflicts and not acknowledged"
                )
                raise RecordRefusedError(RejectionReason.CONFLICT, detail)
            if known.digest is None:
                known.digest = record.digest
                t = TABLES[kind]
                self._db.execute(
                    update(t).where(t.c.id == event_id).values(digest=record.digest)
                )
        return bool(found)

    def alert(self, event_id: str) -> KnownEvent | None:
        """Return an alert; None if there is none of this id."""
        for known in self._events.get(event_id, ()):
            if known.kind == "alert":
                return known
        return None

    def add(self, record: Queued) -> KnownEvent:
        """Note an event that the transaction adds."""
        data = record.event.data
        new = KnownEvent(_kind_of(record), data.seq, record.digest)
        if isinstance(record, Alert):
            new.thumbnail_sha256 = record.event.data.thumbnail_sha256
        self._events[record.event.id].append(new)
        return new

    def _keep(self, record: Queued, received_ms: int) -> None:
        """Keep a conflict; the oldest ones of its station make room."""
        topics, c = record.sender.topics, conflicts.c
        row = {
            "id": record.event.id,
            "digest": record.digest,
            "site": topics.site,
            "line": topics.line,
            "station": topics.station,
            "received_ms": received_ms,
            "event": record.event.model_dump_json(),
        }
        self._db.execute(insert_new(conflicts), row)
        oldest = (
            select(c.id, c.digest)
            .where(c.site == topics.site, c.line == topics.line)
            .where(c.station == topics.station)
            .order_by(c.received_ms.desc(), c.id.desc(), c.digest.desc())
            .offset(MAX_CONFLICTS_PER_STATION)
        )
        self._db.execute(delete(conflicts).where(tuple_(c.id, c.digest).in_(oldest)))


def _parts(ids: Collection[str]) -> list[list[str]]:
    in_order = sorted(ids)
    return [
        in_order[start : start + IDS_AT_ONCE]
        for start in range(0, len(in_order), IDS_AT_ONCE)
    ]


def _known(is_wanted: IsWanted) -> CompoundSelect[Any]:
    a, v, lost = alerts.c, verdicts.c, losses.c
    of_loss = (
        lost.kind
        + " "
        + cast(lost.first_seq, Text)
        + " "
        + cast(lost.last_seq, Text)
        + " "
        + cast(lost.count, Text)
    )

    def of(kind: str, table: Table, *columns: Any) -> Select[Any]:  # noqa: ANN401
        c = table.c
        wanted = (c.id, literal(kind), c.seq, c.digest, *columns)
        return select(*wanted).where(is_wanted(c.id))

    no_n, no_text = cast(literal(0), BigInteger), cast(null(), Text)
    return union_all(
        of(
            *("alert", alerts, a.n, a.thumbnail_sha256),
            case((a.digest.is_(None), a.event), else_=""),
        ),
        of(
            *("verdict", verdicts, no_n, no_text),
            case((v.digest.is_(None), v.event), else_=""),
        ),
        of(
            *("loss", losses, no_n, no_text),
            case((lost.digest.is_(None), of_loss), else_=""),
        ),
    )


def _queries(is_wanted: IsWanted) -> tuple[CompoundSelect[Any], Select[Any]]:
    i = images.c
    return _known(is_wanted), select(i.event_id, i.sha256).where(is_wanted(i.event_id))


# Made once: with the ids as values in them, they would be made for each batch. One
# array is less work than 200 values, and SQLite has no arrays.
_QUERIES = {
    "sqlite": _queries(lambda column: column.in_(bindparam("ids", expanding=True))),
    "postgresql": _queries(
        lambda column: column == any_(bindparam("ids", type_=ARRAY(Text)))
    ),
}


def _kind_of(record: Queued) -> str:
    if isinstance(record, Loss):
        return "loss"
    return "alert" if isinstance(record, Alert) else "verdict"


def _is_same(record: Queued, known: KnownEvent) -> bool:
    """Return whether an event has the content of the stored one of its kind."""
    if known.digest is not None:
        return record.digest == known.digest
    if isinstance(record, Loss):
        lost = record.event.data
        fields = (lost.kind, lost.first_seq, lost.last_seq, lost.count)
        return known.content == " ".join(str(each) for each in fields)
    event = type(record.event).model_validate_json(known.content, extra="ignore")
    return _content_of(event) == _content_of(record.event)


def _content_of(event: AlertEvent | VerdictEvent) -> dict[str, object]:
    changing = {"replayed", "thumbnail_sha256"}
    return event.model_dump(include={"id", "time", "data"}, exclude={"data": changing})
