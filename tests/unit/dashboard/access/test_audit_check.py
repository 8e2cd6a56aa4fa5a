"""What the check of the audit trail finds, and what only a head finds."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from dashboard.access import audit
from dashboard.access.audit_check import (
    AuditHead,
    TrailCheck,
    check_trail,
    describe_head,
    read_heads,
)
from dashboard.history.tables.audit import entries
from models.errors import ConfigError
from tests.unit.dashboard.sim_site import SimSite

COLUMNS = ("at_ms", "user", "action", "subject", "details", "digest")


@pytest.fixture
def trail(site: SimSite) -> SimSite:
    """Five entries."""
    with site.database.write() as connection:
        for number in range(1, 6):
            audit.append(connection, "ann", "alert.acknowledge", f"s:{number}", {})
    return site


def check(site: SimSite, *heads: AuditHead) -> TrailCheck:
    with site.database.read() as connection:
        return check_trail(connection, heads)


def write_again(connection: Connection, first: int) -> None:
    """Compute the digests again from an entry on, as somebody with the code can."""
    rows = connection.execute(select(entries).order_by(entries.c.n)).mappings().all()
    previous = rows[first - 2]["digest"] if first > 1 else ""
    for row in rows[first - 1 :]:
        previous = audit.entry_digest(previous, dict(row))
        changed = update(entries).where(entries.c.n == row["n"])
        connection.execute(changed.values(digest=previous))


def test_trail_as_it_was_written_is_unbroken(trail: SimSite) -> None:
    found = check(trail)
    assert (found.count, found.fault) == (5, None)
    assert found.head is not None
    assert check(trail, found.head).fault is None


def test_empty_trail_is_unbroken(site: SimSite) -> None:
    assert check(site) == TrailCheck(0, None)


@pytest.mark.parametrize("column", COLUMNS)
def test_change_of_any_column_is_found(trail: SimSite, column: str) -> None:
    value = 1 if column == "at_ms" else "forged"
    with trail.database.write() as connection:
        connection.execute(
            update(entries).where(entries.c.n == 3).values({column: value})
        )
    found = check(trail)
    assert found.count == 2
    assert found.fault is not None
    assert found.fault.n == 3


def test_entry_that_was_removed_is_found(trail: SimSite) -> None:
    with trail.database.write() as connection:
        connection.execute(delete(entries).where(entries.c.n == 1))
    fault = check(trail).fault
    assert fault is not None
    assert (fault.n, fault.reason) == (1, "It is missing; the next one is 2.")


def test_entry_that_was_put_in_between_is_found(trail: SimSite) -> None:
    with trail.database.write() as connection:
        connection.execute(
            update(entries).where(entries.c.n == 5).values(n=entries.c.n + 1)
        )
        row = {"n": 5, "at_ms": 1, "user": "x", "action": "y", "subject": "z"}
        connection.execute(insert(entries).values(**row, details="{}", digest="0" * 64))
    fault = check(trail).fault
    assert fault is not None
    assert fault.n == 5


def test_end_that_was_removed_is_found_with_a_head_only(trail: SimSite) -> None:
    head = check(trail).head
    assert head is not None
    with trail.database.write() as connection:
        connection.execute(delete(entries).where(entries.c.n > 3))
    assert check(trail).fault is None
    fault = check(trail, head).fault
    assert fault is not None
    assert (fault.n, fault.reason) == (4, "It is missing; an earlier head is entry 5.")


def test_trail_that_was_written_again_is_found_with_a_head_only(trail: SimSite) -> None:
    head = check(trail).head
    assert head is not None
    with trail.database.write() as connection:
        connection.execute(
            update(entries).where(entries.c.n == 2).values(user="forged")
        )
        write_again(connection, 2)
    assert check(trail).fault is None
    fault = check(trail, head).fault
    assert fault is not None
    assert fault.n == 5


def test_heads_are_read_as_they_are_written(tmp_path: Path) -> None:
    heads = [AuditHead(1, "a" * 64), AuditHead(20, "b" * 64)]
    file = tmp_path / "heads"
    assert read_heads(file) == []
    file.write_text("".join(f"{describe_head(each)}\n" for each in heads))
    assert read_heads(file) == heads


@pytest.mark.parametrize(
    "line", ["0 " + "a" * 64, "1 " + "A" * 64, "1", "", "-1 " + "a" * 64, "ä"]
)
def test_line_that_is_no_head_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "heads"
    file.write_text(f"1 {'a' * 64}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="--head"):
        read_heads(file)
