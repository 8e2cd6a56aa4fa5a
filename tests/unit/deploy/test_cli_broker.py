"""``graftline broker-config``: defaults, and what a dry run prints."""

import argparse
from pathlib import Path

import pytest

from deploy.cli_broker import add_broker_config_arguments, run_broker_config
from models.errors import ConfigError, ExitCode


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


def make(folder: Path, *names: str, out: str = "out") -> int:
    args = ("--out", folder / out, "--certificates", folder / "tls")
    return run_broker_config(arguments(*args, "--make-certificates", *names))


def test_made_certificates_are_those_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(tmp_path, "a/b/c", "a/b/c/model") == 0
    printed = capsys.readouterr().out
    assert printed.count("made: ") == 5
    assert "until 20" in printed
    text = (tmp_path / "out" / "mosquitto.conf").read_text()
    for key, name in (("cafile", "ca"), ("keyfile", "broker-key")):
        assert f"{key} {tmp_path}/tls/{name}.pem" in text
    assert "listener 8883 127.0.0.1" in text
    assert "user a/b/c\n" in (tmp_path / "out" / "stations.acl").read_text()
    assert make(tmp_path, "a/b/d") == 0
    added = capsys.readouterr().out
    assert added.count("kept: ") == 3
    assert "its PC needs ca.pem, a.b.d.pem, a.b.d-key.pem" in added
    acl = (tmp_path / "out" / "stations.acl").read_text()
    assert [f"user a/b/{name}\n" in acl for name in "cd"] == [True, True]


def test_authority_broker_and_dashboard_need_no_station(tmp_path: Path) -> None:
    assert make(tmp_path) == 0
    stems = {path.stem for path in (tmp_path / "tls").iterdir()}
    assert {"ca", "broker", "collector"} < stems


def test_dry_run_makes_no_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--out", tmp_path / "out", "--certificates", tmp_path / "tls", "--dry-run")
    assert run_broker_config(arguments(*args, "--make-certificates", "a/b/c")) == 0
    assert f"cafile {tmp_path}/tls/ca.pem" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["a/b", "a/b/c/d", "A/b/c", "a/+/c", "a/b/#"])
def test_name_of_no_station_makes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        make(tmp_path, name)
    assert not [*tmp_path.iterdir()]


def test_file_of_another_hand_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mosquitto.conf").write_text("listener 1883\n")
    with pytest.raises(ConfigError, match="exists already"):
        make(tmp_path, "a/b/c")
    assert not (tmp_path / "tls").exists()


def test_included_folder_gets_a_part_and_the_broker_is_restarted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "mosquitto.conf").write_text(f"include_dir {tmp_path}/conf.d\n")
    assert make(tmp_path, "a/b/c", out="conf.d") == 0
    assert "next: systemctl restart mosquitto" in capsys.readouterr().out
    assert (tmp_path / "conf.d" / "graftline.conf").is_file()
    assert make(tmp_path, "a/b/d", out="conf.d") == 0
    assert "next: systemctl reload mosquitto" in capsys.readouterr().out


def test_file_of_the_broker_that_cannot_be_read_is_a_config_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "mosquitto.conf").write_text(f"include_dir {tmp_path}/conf.d\n")
    (tmp_path / "conf.d" / "other.conf").mkdir()  # root may read any file
    with pytest.raises(ConfigError, match=r"other\.conf: cannot be read"):
        make(tmp_path, "a/b/c", out="conf.d")
    assert not (tmp_path / "tls").exists()
