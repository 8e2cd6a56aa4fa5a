"""Checks that the audit trail is the one that was written.

Each entry holds the digest of all before it: a change, a gap or another order is found
from the trail alone. Two things are not: entries removed at the end, and a trail that
was computed again from the place of a change on. Both are found with heads, the number
and digest of the last entry at an earlier time, which are kept where those who can
write in the history cannot write. What happened since the last head that was kept can
be lost.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from dashboard.access.audit import entry_digest
from dashboard.history.tables.audit import entries
from models.errors import ConfigError
from models.files import read_regular

HEAD: Final = re.compile(r"([1-9][0-9]{0,17}) ([0-9a-f]{64})")
HEADS_MAX_BYTES: Final = 16 << 20
ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last entry at some time.

    Attributes:
        n: Its number, from 1.
        digest: Stands for it and all before it.
    """

    n: int
    digest: str


@dataclass(frozen=True, slots=True)
class AuditFault:
    """The first entry that is not as it was written.

    Attributes:
        n: Its number.
    """

    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class TrailCheck:
    """What a check has found.

    Attributes:
        count: Intact entries, from the first one on.
        head: The last of them; None = there is none.
        fault: None = the trail is unbroken.
    """

    count: int
    head: AuditHead | None
    fault: AuditFault | None = None


def check_trail(connection: Connection, heads: Sequence[AuditHead] = ()) -> TrailCheck:
    """Check the whole trail.

    Args:
        connection: One that reads, of ``Database``.
        heads: From earlier checks.
    """
    kept = {head.n: head.digest for head in heads}
    last = AuditHead(0, "")
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        select(entries).order_by(entries.c.n)
    )
    for row in found.mappings():
        n = last.n + 1
        reason = ""
        if row["n"] != n:
            reason = f"It is missing; the next one is {row['n']}."
        elif entry_digest(last.digest, dict(row)) != row["digest"]:
            reason = "It or its digest was changed."
        elif kept.get(n, row["digest"]) != row["digest"]:
            reason = (
                "It is not the one of an earlier head: the trail was written again."
            )
        if reason:
            found.close()
            return TrailCheck(last.n, last if last.n else None, AuditFault(n, reason))
        last = AuditHead(n, row["digest"])
    newest = max(kept, default=0)
    if newest > last.n:
        reason = f"It is missing; an earlier head is entry {newest}."
        return TrailCheck(
            last.n, last if last.n else None, AuditFault(last.n + 1, reason)
        )
    return TrailCheck(last.n, last if last.n else None)


def describe_head(head: AuditHead) -> str:
    """Return the line that stands for a head in a file: number and digest."""
    return f"{head.n} {head.digest}"


def read_heads(file: Path) -> list[AuditHead]:
    """Return the heads in a file; one that does not exist has none yet.

    Raises:
        ConfigError: It cannot be read, or a line is no head.
    """
    try:
        lines = read_regular(file, HEADS_MAX_BYTES).decode("ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"--head {file}: cannot be read.",
            why=str(exc),
            fix="Give the file of an earlier run, or the name of a new one.",
        ) from exc
    found = [HEAD.fullmatch(line) for line in lines]
    if None in found:
        raise ConfigError(
            f"--head {file}: line {found.index(None) + 1} is no head.",
            why="A line is the number of an entry and its digest.",
            fix="Give the file of an earlier run.",
        )
    return [AuditHead(int(each[1]), each[2]) for each in found if each]
