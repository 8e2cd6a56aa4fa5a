"""The one command: its help, its verbs, and how each kind of failure ends."""

import ast
import logging
import os
import re
import resource
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from graftline import (
    EXIT_OUTPUT_CLOSED,
    VERBS,
    Verb,
    VerbGroup,
    _PlainFormatter,
    _print_failure,
    main,
)
from models.errors import ExitCode, GraftlineError

HELP_BUDGET_S = 0.3  # architecture.md section 2
VERBS_BY_USER = {
    "try it, on one machine": ["demo", "synth"],
    "on the workstation, from photos to a model package": [
        *("check", "merge", "train", "evaluate", "pack", "keys", "sign")
    ],
    "on the line PC, from a package to alerts": [
        *(
            "enroll",
            "flash",
            "status",
            "rollback",
            "agent",
            "selftest",
            "capture",
            "doctor",
            "run",
            "service",
        )
    ],
    "on the shop floor, for all lines": [
        *("wheelhouse", "provision", "fleet", "broker-config"),
        *("dashboard", "dashboard-user", "verify-audit"),
    ],
}

GROUP = VerbGroup.WORKSTATION
MODULE = "tests.unit.verbs_of_the_test"
NAMES = ("greet", "refuse", "two-words", "interrupt", "crash", "socket", "heavy")
TEST_VERBS = (
    *(Verb(GROUP, name, MODULE, "edge,deploy", f"{name} a person") for name in NAMES),
    Verb(GROUP, "gone", "edge.module_that_was_deleted", "edge", "a module is missing"),
    Verb(GROUP, "extra", "library_that_is_missing.cli", "trainer", "no extra"),
)


def run(*arguments: str) -> int:
    return main(arguments, TEST_VERBS)


def start(*arguments: str, repository: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "graftline.py", *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_the_verbs_by_who_uses_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])
    assert exit_info.value.code == 0
    printed = capsys.readouterr().out
    sections = dict(re.findall(r"^(\S.*):\n((?:  .*\n)+)", printed, re.MULTILINE))
    listed = {
        title: re.findall(r"^    ([a-z-]+) ", text, re.MULTILINE)
        for title, text in sections.items()
        if title != "options"
    }
    assert listed == VERBS_BY_USER
    names = sorted(verb.name for verb in VERBS)
    assert sorted(chain.from_iterable(listed.values())) == names
    assert max(map(len, printed.splitlines())) <= 80


def test_help_answers_within_its_budget(repository: Path) -> None:
    def processor_seconds_of_help() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert start("--help", repository=repository).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, and the best of five: other processes on the machine do not
    # count, and the command waits for nothing.
    assert min(processor_seconds_of_help() for _ in range(5)) < HELP_BUDGET_S


def test_command_imports_no_library_before_the_verb_is_parsed(repository: Path) -> None:
    code = "import sys, graftline; print(*{m.partition('.')[0] for m in sys.modules})"
    listing = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    foreign = set(listing.stdout.split()) - sys.stdlib_module_names
    assert foreign == {"__main__", "graftline", "models"}


def test_every_verb_has_its_two_functions(repository: Path) -> None:
    missing = []
    for verb in VERBS:
        file = repository / (verb.module.replace(".", "/") + ".py")
        defined = {
            node.name
            for node in ast.parse(file.read_text("utf-8")).body
            if isinstance(node, ast.FunctionDef)
        }
        wanted = {f"add_{verb.function_name}_arguments", f"run_{verb.function_name}"}
        missing += [f"{verb.module}.{name}" for name in wanted - defined]
    assert not missing


def test_verb_gets_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("greet", "world", "--times", "2") == 0
    assert capsys.readouterr().out == "hello world\nhello world\n"


def test_exit_code_of_the_verb_is_that_of_the_command() -> None:
    assert run("two-words") == 5


def test_verbose_is_accepted_before_and_after_the_verb() -> None:
    assert run("-v", "greet", "a") == run("greet", "a", "--verbose") == 0


def test_help_of_a_verb_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("greet", "--help")
    out = capsys.readouterr().out
    assert "--times" in out
    assert "graftline greet" in out


def test_expected_failure_has_what_why_and_fix_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("refuse", "--json") == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: photos/train.json: 2 images cannot be read.\n"
        "  Expected JPEG or PNG.\n"
        "    a.jpg is empty\n"
        "    b.jpg is HTML\n"
        "  Fix: copy the photos again\n"
    )


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("interrupt") == ExitCode.INTERRUPTED == 130
    assert "Traceback" not in capsys.readouterr().err


def test_missing_library_is_reported_with_the_extra_that_has_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("heavy") == 3
    err = capsys.readouterr().err
    assert "'library_that_is_missing' is not installed" in err
    assert 'Fix: pip install "graftline[edge,deploy]"' in err


def test_verb_module_without_its_extra_is_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("extra") == 3
    assert 'pip install "graftline[trainer]"' in capsys.readouterr().err


def test_missing_module_of_graftline_is_a_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTLINE_DEBUG", "1")
    assert run("gone") == ExitCode.BUG
    assert "pip install" not in capsys.readouterr().err


def test_bug_is_one_sentence_and_its_traceback_is_in_a_file(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GRAFTLINE_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("crash") == ExitCode.BUG == 1
    err = capsys.readouterr().err
    assert "this is a bug in Graftline (ZeroDivisionError" in err
    assert "Traceback" not in err
    (log,) = tmp_path.glob("graftline-bug-*.log")
    assert str(log) in err
    assert "run_crash" in log.read_text("utf-8")


def test_debug_variable_prints_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTLINE_DEBUG", "1")
    assert run("crash") == ExitCode.BUG
    assert "run_crash" in capsys.readouterr().err


def test_mistyped_verb_gets_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["trian"])
    assert exit_info.value.code == ExitCode.USAGE == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


def test_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: graftline" in err
    assert "workstation" in err


def test_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        run("greet", "world", "--tmies", "2")
    assert exit_info.value.code == ExitCode.USAGE
    assert "--tmies" in capsys.readouterr().err


@pytest.mark.parametrize("before", [[], ["greet", "world"]], ids=["verb", "argument"])
def test_argument_in_an_error_commands_no_terminal_and_forges_no_line(
    before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(*before, "a\x1b[2J\nerror: 0 errors\u202e")
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("error") for line in lines)


def test_version_is_printed(repository: Path) -> None:
    result = start("--version", repository=repository)
    assert result.returncode == 0
    assert re.fullmatch(
        r"graftline (\d+\.\d+\.\d+|\(not installed.*\))\n", result.stdout
    )


def test_waiting_threads_sleep_unless_the_environment_says_otherwise(
    repository: Path,
) -> None:
    code = (
        "import graftline, os; from tests.unit.test_graftline import TEST_VERBS; "
        "graftline.main(None, TEST_VERBS); print(os.environ['OMP_WAIT_POLICY'])"
    )
    clean = {name: value for name, value in os.environ.items() if "OMP" not in name}
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        result = subprocess.run(
            [sys.executable, "-c", code, "greet", "world"],
            cwd=repository,
            env={**clean, **given},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert result.stdout.split() == ["hello", "world", expected]


def test_reader_that_closed_the_pipe_is_not_an_error(repository: Path) -> None:
    code = (
        "import graftline, sys; from tests.unit.test_graftline import TEST_VERBS; "
        "sys.exit(graftline.main(['greet', 'world', '--times', '9'], TEST_VERBS))"
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed_pipe:
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=repository,
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert (result.returncode, result.stderr) == (EXIT_OUTPUT_CLOSED, "")


def test_broken_pipe_of_a_socket_is_a_bug(repository: Path) -> None:
    code = (
        "import graftline, sys; from tests.unit.test_graftline import TEST_VERBS; "
        "sys.exit(graftline.main(['socket'], TEST_VERBS))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "GRAFTLINE_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == ExitCode.BUG
    assert "the broker hung up" in result.stderr


def test_names_in_an_error_command_no_terminal_and_forge_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = GraftlineError("a\x1b[2J", why="b\n0 errors, 0 warnings\x9b1A", fix="c\r")
    _print_failure(error)
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0] == "error: a\\x1b[2J"
    assert lines[2].startswith("    0 errors")


def test_log_has_one_line_for_each_record() -> None:
    record = logging.LogRecord(
        "a", 20, "b.py", 1, "lost %s", ("x\nERROR\x1b[2J",), None
    )
    assert _PlainFormatter("%(message)s").format(record) == "lost x\\nERROR\\x1b[2J"
