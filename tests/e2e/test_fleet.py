"""A fleet of local line PCs with real self-tests, by the command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import graftline
from tests.simulators.packages import make_package

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PLANT = """
[hall.hosts]
pc1 = { graftline_target = "local:pcs/1" }
pc2 = { graftline_target = "local:pcs/2" }
pc3 = { graftline_target = "local:away/3" }
"""


def fleet(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    answer = graftline(
        *("fleet", *words, "--inventory", "plant.toml", "--json"), cwd=folder
    )
    assert answer.code in {0, 7, 8}, answer.errors
    return answer.code, json.loads(answer.output)


def values(report: dict[str, Any], key: str) -> list[str]:
    return [pc[key] for pc in report["pcs"]]


@pytest.mark.slow
def test_fleet_stops_at_a_failure_goes_on_and_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "keys"))
    make_package(tmp_path / "plate")
    (tmp_path / "plant.toml").write_text(PLANT)
    (tmp_path / "pcs").mkdir()
    (tmp_path / "pcs" / "2").write_text("no folder")  # a PC that fails
    code, report = fleet(tmp_path, "flash", "plate")
    assert (code, report["stopped_by"]) == (8, "pc2")
    assert values(report, "result") == ["good", "bad", "unknown"]
    (tmp_path / "pcs" / "2").unlink()
    code, report = fleet(tmp_path, "flash", "plate")
    assert (code, values(report, "is_new")) == (7, [False, True, False])
    code, status = fleet(tmp_path, "status")
    assert (code, values(status, "state")) == (7, ["good", "good", "unknown"])
    assert status["pcs"][0]["package"]["name"] == "bright-cells"
    (tmp_path / "away").mkdir()
    shutil.copytree(tmp_path / "pcs" / "1", tmp_path / "away" / "3", symlinks=True)
    code, report = fleet(tmp_path, "flash", "plate")  # its disk came with a model
    assert (code, values(report, "result")) == (0, ["good"] * 3)
    assert not any(values(report, "is_new"))
