"""The audit trail: append-only, each entry with the digest of all before it."""

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from dashboard.history.tables.audit import entries
from dashboard.status import now_ms


def append(
    connection: Connection,
    user: str,
    action: str,
    subject: str,
    details: Mapping[str, object],
) -> None:
    """Add an entry, in the transaction of the change that it describes.

    Args:
        connection: A writing transaction, from ``Database.write``.
        user: Name of the user.
        action: What was done, ``<subject>.<verb>``, for example ``alert.acknowledge``.
        subject: Id of what was changed.
        details: What JSON can hold.
    """
    last = connection.execute(
        select(entries.c.n, entries.c.digest).order_by(entries.c.n.desc()).limit(1)
    ).first()
    row = {
        "n": last.n + 1 if last else 1,
        "at_ms": now_ms(),
        "user": user,
        "action": action,
        "subject": subject,
        "details": json.dumps(details, sort_keys=True, ensure_ascii=False),
    }
    digest = entry_digest(last.digest if last else "", row)
    connection.execute(insert(entries).values(**row, digest=digest))


def entry_digest(previous: str, row: Mapping[str, object]) -> str:
    """Return the digest of an entry and of all before it, SHA-256 in hex.

    Args:
        previous: Digest of the entry before; empty for the first one.
        row: All columns except ``digest``.
    """
    columns = ("n", "at_ms", "user", "action", "subject", "details")
    content = json.dumps([previous, *(row[each] for each in columns)])
    return hashlib.sha256(content.encode()).hexdigest()
