"""``graftline broker-config``: defaults, and what a dry run prints."""

import argparse
from pathlib import Path

import pytest

from deploy.cli_broker import add_broker_config_arguments, run_broker_config
from models.errors import ExitCode


def arguments(*typed: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_broker_config_arguments(parser)
    return parser.parse_args(list(map(str, typed)))


def test_plain_broker_listens_on_this_machine_only(tmp_path: Path) -> None:
    args = arguments("--out", tmp_path)
    assert (args.listen, args.tls, args.port) == ("127.0.0.1", None, None)


def test_tls_takes_three_files(capsys: pytest.CaptureFixture[str]) -> None:
    args = arguments("--out", "out", "--tls", "ca.pem", "cert.pem", "key.pem")
    assert args.tls == [Path("ca.pem"), Path("cert.pem"), Path("key.pem")]
    with pytest.raises(SystemExit) as caught:
        arguments("--out", "out", "--tls", "ca.pem")
    assert caught.value.code == ExitCode.USAGE
    assert "--tls" in capsys.readouterr().err


def test_dry_run_prints_the_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_broker_config(arguments("--out", out, "--dry-run")) == 0
    assert "listener 1883 127.0.0.1" in capsys.readouterr().out
    assert not out.exists()


def test_given_port_replaces_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_broker_config(arguments("--out", out, "--port", 2883)) == 0
    written = "".join(path.read_text("utf-8") for path in out.iterdir())
    assert "listener 2883 127.0.0.1" in written
    assert str(out) in capsys.readouterr().out
