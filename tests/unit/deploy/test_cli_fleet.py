"""Arguments, output and exit codes of ``fleet``."""

import argparse
import json
from pathlib import Path

import pytest

from deploy.cli_fleet import add_fleet_arguments, run_fleet
from models.errors import ConfigError
from models.package import Package
from tests.simulators.target import SimTarget


def fleet(*typed: object) -> int:
    parser = argparse.ArgumentParser()
    add_fleet_arguments(parser)
    return run_fleet(parser.parse_args(list(map(str, typed))))


@pytest.fixture
def inventory(tmp_path: Path, line_pc: SimTarget, builds: list[Package]) -> Path:
    line_pc.flash(builds[0])
    path = tmp_path / "plant.toml"
    path.write_text(
        f'[hall.hosts]\npc1 = {{ graftline_target = "local:{line_pc.root}" }}\n'
        'pc2 = { graftline_target = "local:away/slot" }\n'
        "[hall.vars]\nansible_user = 'x'\n"
    )
    return path


def test_status_prints_a_row_for_each_pc_and_the_reasons(
    inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet("status", "--inventory", inventory) == 7
    heading, first, second, reason = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["PC", "state", "model", "build"]
    assert first.split()[:4] == ["pc1", "good", "bright-cells", "1"]
    assert second.split()[:3] == ["pc2", "unknown", "-"]
    assert reason.startswith("pc2: unknown: ")


def test_status_of_a_part_has_its_own_exit_code(
    inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet("status", "--inventory", inventory, "--limit", "pc1", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [pc["state"] for pc in document["pcs"]] == ["good"]
    assert not inventory.with_suffix(".state").exists()  # status makes no state


def test_dry_run_shows_the_waves_and_makes_nothing(
    inventory: Path, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    package = builds[1].folder
    assert fleet("flash", package, "--inventory", inventory, "--dry-run") == 0
    assert capsys.readouterr().out == "wave 1: pc1\nunknown: pc2\n"
    assert not inventory.with_suffix(".state").exists()


def test_package_in_force_everywhere_needs_no_flash(
    inventory: Path,
    builds: list[Package],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "keys"))
    words = ("--inventory", inventory, "--limit", "pc1")
    assert fleet("flash", builds[0].folder, *words) == 0
    out = capsys.readouterr().out
    assert out.endswith("1 good; 0 PCs flashed now\n")


@pytest.mark.parametrize("number", ["0", "65", "x"])
def test_number_at_the_same_time_has_bounds(inventory: Path, number: str) -> None:
    with pytest.raises(SystemExit):
        fleet("status", "--inventory", inventory, "--parallel", number)


def test_unknown_name_is_refused(inventory: Path) -> None:
    with pytest.raises(ConfigError, match="no PC and no group"):
        fleet("status", "--inventory", inventory, "--limit", "pc9")
