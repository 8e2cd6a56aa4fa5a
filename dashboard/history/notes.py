"""Notes that one shift leaves for the next."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, insert, select

from dashboard.history.tables.notes import handover_notes

NOTE_MAX_CHARS = 4000


@dataclass(frozen=True, slots=True)
class HandoverNote:
    """The note of a shift.

    Attributes:
        at_ms: When it was written, UTC.
        versions: How often the note of this shift was written.
    """

    text: str
    author: str
    at_ms: int
    versions: int


def add_note(
    connection: Connection,
    day: date,
    shift: str,
    line: str,
    text: str,
    *,
    author: str,
    at_ms: int,
) -> None:
    """Put a note in the place of the shift's last one, which is kept.

    Args:
        connection: For writing.
        day: The day on which the shift starts.
        line: Empty: all lines.
        text: At most ``NOTE_MAX_CHARS``; empty: there is no note.
    """
    connection.execute(
        insert(handover_notes).values(
            at_ms=at_ms,
            author=author,
            date=day.isoformat(),
            shift=shift,
            line=line,
            text=text.replace("\0", "\ufffd"),  # PostgreSQL holds no NUL
        )
    )


def note_of(
    connection: Connection, day: date, shift: str, line: str
) -> HandoverNote | None:
    """Return the note of a shift; None where there is none."""
    c = handover_notes.c
    rows = connection.execute(
        select(c.text, c.author, c.at_ms)
        .where(c.date == day.isoformat(), c.shift == shift, c.line == line)
        .order_by(c.k.desc())
    ).all()
    if not rows or not rows[0].text:
        return None
    return HandoverNote(rows[0].text, rows[0].author, rows[0].at_ms, len(rows))
