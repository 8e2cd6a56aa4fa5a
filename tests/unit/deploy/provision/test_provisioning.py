"""What is sent to a line PC, and what its installer answers."""

from pathlib import Path

import pytest

from deploy.provision.provisioning import (
    InstallerOptions,
    files_there,
    provision,
    send_batch,
)
from deploy.target import parse_target
from deploy.transports.openssh import SshAnswer
from models.errors import ConfigError, InstallError
from tests.simulators.wheelhouse import make_wheelhouse


def test_files_that_are_there_are_listed_by_their_hash() -> None:
    listed = f"{'a' * 64}  ./wheels/a b.whl\nnoise\n{'b' * 64}  ./install.sh\n"
    answer = SshAnswer(code=0, output=listed.encode(), errors="")
    assert files_there(answer) == {"wheels/a b.whl": "a" * 64, "install.sh": "b" * 64}


def test_batch_makes_the_folders_first() -> None:
    files = [(Path("/w/wheels/a.whl"), "wheels/a.whl"), (Path("/w/m.json"), "m.json")]
    assert send_batch(files).splitlines() == [
        '-mkdir "graftline-wheelhouse"',
        'cd "graftline-wheelhouse"',
        '-mkdir "wheels"',
        'put "/w/wheels/a.whl" "wheels/a.whl"',
        'put "/w/m.json" "m.json"',
    ]


def test_options_reach_the_installer_with_the_places_of_their_files() -> None:
    options = InstallerOptions(("--user", "me"), Path("e.toml"), Path("k.pub"), "/r")
    assert options.arguments(lambda option, path: f"{option}:{path}") == [
        *("--user", "me", "--json"),
        *("--config", "--config:e.toml"),
        *("--ssh-key", "--ssh-key:k.pub"),
        *("--root", "/r"),
    ]


def test_stick_gets_the_wheelhouse_and_nothing_is_installed(tmp_path: Path) -> None:
    wheelhouse, stick = make_wheelhouse(tmp_path / "source"), tmp_path / "stick"
    target = parse_target(f"usb:{stick}")
    report = provision(wheelhouse, target, InstallerOptions(), lambda _: None)
    assert report is None
    assert (stick / "graftline-wheelhouse" / "install.sh").is_file()


def test_missing_wheelhouse_is_an_error_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    target = parse_target(f"local:{tmp_path / 'root'}")
    with pytest.raises(ConfigError, match="no wheelhouse") as caught:
        provision(tmp_path, target, InstallerOptions(), lambda _: None)
    assert "graftline wheelhouse" in caught.value.fix


def test_refusal_of_the_installer_is_the_error_of_the_command(tmp_path: Path) -> None:
    wheelhouse = make_wheelhouse(tmp_path / "source", machine="riscv64")
    target = parse_target(f"local:{tmp_path / 'root'}")
    with pytest.raises(InstallError, match="was not set up") as caught:
        provision(wheelhouse, target, InstallerOptions(), lambda _: None)
    assert "riscv64" in caught.value.why
