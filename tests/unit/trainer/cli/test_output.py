import pytest

from trainer.cli.output import print_text
from trainer.cli.progress import print_status


def test_names_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("class \x1b[2J\nnext")
    print_status("class \x1b[2J\nnext")
    out, err = capsys.readouterr()
    assert out == err == "class \\x1b[2J\nnext\n"
