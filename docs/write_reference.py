"""Writes the pages that are made from the code: ``make docs``.

``docs/reference/slot-states.md`` is drawn from the table in ``deploy/slots.py``,
``docs/reference/commands.md`` holds the help of every verb, as the command prints it,
and the table of limits in ``docs/explanation/trial.md`` is made from
``deploy/trial.py``;
``tests/contract/test_docs.py`` compares them.
"""

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from deploy.slots import draw_states
from deploy.trial import limit_table
from graftline import VERBS, main

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS_PAGE = REPOSITORY / "docs" / "reference" / "commands.md"
SLOT_STATES_PAGE = REPOSITORY / "docs" / "reference" / "slot-states.md"
TRIAL_PAGE = REPOSITORY / "docs" / "explanation" / "trial.md"
LIMITS_START, LIMITS_END = "<!-- limits -->\n", "<!-- end of limits -->"
HELP_COLUMNS = "80"


@functools.cache
def help_of(*words: str) -> str:
    """Return what ``graftline WORDS --help`` prints on a terminal of 80 columns.

    Raises:
        RuntimeError: It printed nothing; its own message is on stderr.
    """
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = HELP_COLUMNS
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()) as output,
            contextlib.suppress(SystemExit),
        ):
            main([*words, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    if not output.getvalue():
        raise RuntimeError(f"graftline {' '.join(words)} --help printed nothing")
    return output.getvalue()


def commands_page() -> str:
    """Return the page: the command, then each verb in the order of its help."""

    def parts() -> Iterator[str]:
        yield "# Commands\n\nMade by `make docs` from the command itself.\n"
        yield f"```text\n{help_of()}```\n"
        for verb in VERBS:
            yield f"## graftline {verb.name}\n\n```text\n{help_of(verb.name)}```\n"
            for action in verb.actions:
                text = help_of(verb.name, action)
                yield f"### graftline {verb.name} {action}\n\n```text\n{text}```\n"

    return re.sub(r"[ \t]+\n", "\n", "\n".join(parts()))


def slot_states_page() -> str:
    """Return the page with the state diagram of a flash."""
    return (
        "# States of a flash\n\n"
        "Drawn from the table in `deploy/slots.py`; `state.json` on the line PC holds "
        "the state.\nAfter `interrupted` the old package is in force as before: flash "
        "again.\n\nThe slot belongs to the user of the daemon, who also runs `flash` "
        "and `rollback`; root is\nrefused there. See [who owns "
        "what](../how-to/line-pc.md#who-owns-what).\n\n"
        f"```mermaid\n{draw_states()}\n```\n"
    )


def trial_page() -> str:
    """Return the page on trials with the present table of limits."""
    before, _, rest = TRIAL_PAGE.read_text("utf-8").partition(LIMITS_START)
    after = rest.partition(LIMITS_END)[2]
    return f"{before}{LIMITS_START}{limit_table()}\n{LIMITS_END}{after}"


if __name__ == "__main__":
    COMMANDS_PAGE.parent.mkdir(exist_ok=True)
    COMMANDS_PAGE.write_text(commands_page(), encoding="utf-8")
    SLOT_STATES_PAGE.write_text(slot_states_page(), encoding="utf-8")
    TRIAL_PAGE.write_text(trial_page(), encoding="utf-8")
