import pytest

from tests.simulators.records import make_record
from trainer.cli.output import print_metrics, print_text
from trainer.cli.progress import print_status

NAME = "good\x1b[2J\n0 errors, 0 warnings"


def test_names_command_no_terminal_and_forge_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_text(f"class {NAME}")
    print_status(f"class {NAME}")
    out, err = capsys.readouterr()
    assert out == err == "class good\\x1b[2J\\n0 errors, 0 warnings\n"


def test_name_of_a_split_forges_no_line_of_the_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = make_record([], [], ("dot",))
    metrics = record.metrics.model_copy(update={"split": NAME})
    print_metrics(metrics, record.thresholds)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("good\\x1b[2J\\n0 errors, 0 warnings: ")
    assert not any(line.startswith("0 errors") for line in lines)
    assert all(line.isprintable() for line in lines)
