import io
import sys

import pytest

from deploy.cli_shared import print_line, print_step


class Writes(io.StringIO):
    """A stream that keeps each write: threads may write between two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces += [text] if text else []
        return len(text)


def test_line_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    output, errors = Writes(), Writes()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", errors)
    print_line("in force: plate\n\x1b[2J")
    print_step("verify: release")
    assert output.pieces == ["in force: plate\\n\\x1b[2J\n"]
    assert errors.pieces == ["verify: release\n"]
