"""Arguments, output and exit codes of ``graftline run`` and ``graftline doctor``."""

import argparse
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from edge import cli
from edge.daemon import RunResult
from edge.doctor.check_result import CheckResult, Grade
from models.errors import ConfigError, DeliveryError, ExitCode, GraftlineError
from tests.simulators.edge_config import MINIMAL


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def run_arguments(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_run_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


def doctor_arguments(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_doctor_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


def daemon_that_returns(
    monkeypatch: pytest.MonkeyPatch,
    signal_number: int = 0,
    error: GraftlineError | None = None,
) -> None:
    """Replace the daemon, which needs cameras and a model."""
    result = RunResult({"state": "disconnected"}, signal_number, error)
    monkeypatch.setattr("edge.daemon.run_daemon", lambda *_, **__: result)


def doctor_that_finds(monkeypatch: pytest.MonkeyPatch, *results: CheckResult) -> None:
    """Replace the checks, which need the machine of a line PC."""
    monkeypatch.setattr("edge.doctor.checks.run_doctor_checks", lambda *_: [*results])


def test_run_is_endless_and_quiet_by_default(config: Path) -> None:
    args = run_arguments("--config", config)
    assert args.config == config
    assert [args.exit_at_end, args.json, args.print_config] == [False] * 3


@pytest.mark.parametrize("parse", [run_arguments, doctor_arguments])
def test_configuration_is_required(
    parse: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(parse)
    with pytest.raises(SystemExit) as caught:
        parse()
    assert caught.value.code == ExitCode.USAGE
    assert "--config" in capsys.readouterr().err


def test_print_config_names_what_hides_every_defect_on_stderr(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MINIMAL + (
        '[[camera.region]]\nname = "clamp"\nkind = "mask"\n'
        "polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n"
    )
    config.write_text(text, encoding="utf-8")
    assert cli.run_run(run_arguments("--config", config, "--print-config")) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["camera"][0]["region"][0]["name"] == "clamp"
    assert shown.err == (
        "degraded: camera top: mask clamp leaves next to nothing of the frame to "
        "inspect. Fix: Draw smaller masks.\n"
    )


def test_print_config_names_a_package_that_it_cannot_read(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slot" / "store" / "abc").mkdir(parents=True)
    (tmp_path / "slot" / "current").symlink_to(Path("store") / "abc")
    assert cli.run_run(run_arguments("--config", config, "--print-config")) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["camera"][0]["name"] == "top"
    assert "The rules are not compared with the model." in shown.err


def test_doctor_is_not_fit_to_inspect_with_a_silent_rule(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    silent = CheckResult("rules top", Grade.WARN, "degraded: region body inspects only")
    doctor_that_finds(monkeypatch, CheckResult("clock", Grade.WARN, "slow"), silent)
    assert cli.run_doctor(doctor_arguments("--config", config)) == 0
    out = capsys.readouterr().out
    assert "Degraded: rules top." in out
    assert "Fit to inspect" not in out


def test_print_config_shows_the_defaults_and_starts_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_run(run_arguments("--config", config, "--print-config")) == 0
    printed = capsys.readouterr().out
    assert "port = 1883" in printed or '"port": 1883' in printed


def test_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        cli.run_run(run_arguments("--config", tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0, ExitCode.OK),
        (signal.SIGTERM, ExitCode.OK),
        (signal.SIGINT, ExitCode.INTERRUPTED),
    ],
)
def test_exit_code_of_run_depends_on_the_signal(
    config: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode
) -> None:
    daemon_that_returns(monkeypatch, number)
    assert cli.run_run(run_arguments("--config", config)) == code


def test_summary_is_printed_before_the_error_of_the_daemon_is_raised(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DeliveryError("3 events are not delivered.", fix="Start it again.")
    daemon_that_returns(monkeypatch, error=error)
    with pytest.raises(DeliveryError):
        cli.run_run(run_arguments("--config", config, "--json"))
    assert json.loads(capsys.readouterr().out) == {"state": "disconnected"}


def test_doctor_prints_a_table_and_the_number_of_failed_checks(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DeliveryError("broker: refused.", why="No login.", fix="Check it.")
    doctor_that_finds(
        monkeypatch,
        CheckResult("clock", Grade.OK, "synchronized"),
        CheckResult.of_error("broker", error),
    )
    code = cli.run_doctor(doctor_arguments("--config", config))
    printed = capsys.readouterr().out
    assert code == DeliveryError.exit_code
    assert "1 of 2 checks failed." in printed
    assert "Fix: Check it." in printed


def test_doctor_prints_one_json_and_nothing_else(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_that_finds(monkeypatch, CheckResult("clock", Grade.WARN, "not synchronized"))
    assert cli.run_doctor(doctor_arguments("--config", config, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0
    assert [each["check"] for each in document["findings"]] == ["clock"]


def test_progress_on_a_terminal_that_is_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stderr", broken)
    cli._print_progress("ready")  # noqa: SLF001 - it ended the daemon without order
    with contextlib.suppress(BrokenPipeError):
        broken.close()
