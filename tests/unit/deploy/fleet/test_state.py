"""The state of a fleet on the disk."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.fleet.state import (
    FleetBusyError,
    FleetState,
    PcState,
    Rollout,
    RolloutResult,
    SeenPc,
    operator_name,
)
from deploy.fleet.waves import PcOutcome
from models.errors import ConfigError
from tests.simulators.fleet import NEW

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> FleetState:
    return FleetState(tmp_path / "plant.state", "me@workstation")


def rollout() -> Rollout:
    result = RolloutResult(outcome=PcOutcome.BAD, at=NOW, reason="refused")
    return Rollout(package=NEW, started_at=NOW, by="me", results={"pc1": result})


def test_files_are_read_as_they_were_written(state: FleetState) -> None:
    seen = SeenPc(
        name="pc1", target="local:/1", state=PcState.GOOD, is_reached=True, seen_at=NOW
    )
    assert (state.rollout(), state.seen()) == (None, {})
    with state.locked():
        state.save_rollout(rollout())
        state.save_seen({"pc1": seen})
    assert state.rollout() == rollout()
    assert state.seen() == {"pc1": seen}


@pytest.mark.fault(53)
def test_second_run_with_the_same_state_is_refused(state: FleetState) -> None:
    with (
        state.locked(),
        pytest.raises(FleetBusyError, match="busy"),
        state.locked(),
    ):
        pass
    with state.locked():  # free again
        pass


def test_each_row_of_the_audit_has_who_when_and_what(state: FleetState) -> None:
    with state.locked():
        state.audit("flash started", "pc1", NEW)
        state.audit("failed", "pc1", NEW, "a\nreason")
    rows = (state.folder / "audit.jsonl").read_text().splitlines()
    first, second = map(json.loads, rows)
    assert (first["by"], first["what"], first["pc"]) == (
        "me@workstation",
        "flash started",
        "pc1",
    )
    assert first["package"]["sha256"] == NEW.sha256
    assert second["reason"] == "a\nreason"
    assert datetime.fromisoformat(second["at"]) >= datetime.fromisoformat(first["at"])


def test_torn_row_of_a_killed_writer_does_not_damage_the_next(
    state: FleetState,
) -> None:
    with state.locked():
        state.audit("one")
        with (state.folder / "audit.jsonl").open("ab") as file:
            file.write(b'{"at":"20')
        state.audit("two")
    one, torn, two = (state.folder / "audit.jsonl").read_text().splitlines()
    assert json.loads(one)["what"] == "one"
    assert torn == '{"at":"20'
    assert json.loads(two)["what"] == "two"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"package": 1}', "cannot be read"),
        ('{"schema_version": 99}', "newer"),
    ],
)
def test_damaged_file_is_an_error_that_names_it(
    state: FleetState, content: str, reason: str
) -> None:
    state.folder.mkdir()
    (state.folder / "rollout.json").write_text(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        state.rollout()
    assert "rollout.json" in caught.value.what


@pytest.mark.parametrize("name", ["plant.state", "plant.state/audit.jsonl"])
def test_planted_link_is_not_followed(
    state: FleetState, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "elsewhere"
    if "/" in name:
        state.folder.mkdir()
        target.write_text("")
    else:
        target.mkdir()
    (tmp_path / name).symlink_to(target)
    with pytest.raises(ConfigError, match="cannot be written"), state.locked():
        state.audit("x")
    assert target.is_dir() or not target.read_text()


def test_file_in_the_place_of_the_folder_is_an_error(state: FleetState) -> None:
    state.folder.write_text("")
    with pytest.raises(ConfigError, match="cannot be written"), state.locked():
        pass


def test_operator_is_user_and_workstation() -> None:
    user, _, host = operator_name().partition("@")
    assert user
    assert host == os.uname().nodename
