import pytest
from sqlalchemy import select

from dashboard.access import audit
from dashboard.history.tables.audit import entries
from tests.unit.dashboard.sim_site import SimSite


def test_entry_is_chained_to_the_one_before(site: SimSite) -> None:
    with site.database.write() as connection:
        audit.append(connection, "ann", "alert.acknowledge", "s:1", {"note": "ö"})
        audit.append(connection, "bob", "alert.acknowledge", "s:2", {})
    with site.database.read() as connection:
        rows = [*connection.execute(select(entries).order_by(entries.c.n)).mappings()]
    assert [row["n"] for row in rows] == [1, 2]
    assert rows[0]["digest"] == audit.entry_digest("", rows[0])
    assert rows[1]["digest"] == audit.entry_digest(rows[0]["digest"], rows[1])
    assert audit.entry_digest("another", rows[1]) != rows[1]["digest"]
    for name in ("n", "at_ms", "user", "action", "subject", "details"):
        changed = {**rows[1], name: "changed"}
        assert audit.entry_digest(rows[0]["digest"], changed) != rows[1]["digest"]


def test_entry_of_a_change_that_failed_is_not_kept(site: SimSite) -> None:
    def fail_at_the_end() -> None:
        with site.database.write() as connection:
            audit.append(connection, "ann", "alert.acknowledge", "s:1", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at_the_end()
    with site.database.read() as connection:
        assert not connection.execute(select(entries)).all()
