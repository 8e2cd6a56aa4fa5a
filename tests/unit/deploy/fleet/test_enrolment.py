"""Enrolling all PCs of an inventory."""

from pathlib import Path

import pytest

from deploy.fleet.enrolment import enroll_fleet
from deploy.fleet.inventory import FleetPc
from deploy.fleet.state import FleetState
from deploy.trust.key_changes import NewKeys, make_keys
from deploy.trust.key_folder import open_keys
from deploy.trust.release import root_to_carry


def root_of(folder: Path) -> bytes:
    make_keys(NewKeys(folder, secret=b""))
    return root_to_carry(open_keys(folder, lambda: b""))


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The root of a workshop, and of another one."""
    folder = tmp_path_factory.mktemp("keys")
    return root_of(folder / "ours"), root_of(folder / "others")


def test_each_pc_is_enrolled_once_and_other_keys_are_refused(
    tmp_path: Path, roots: tuple[bytes, bytes]
) -> None:
    state = FleetState(tmp_path / "state", "me")
    pcs = [FleetPc(name, f"local:{tmp_path / name}") for name in ("pc1", "pc2")]
    pcs.append(FleetPc("pc3", f"local:{tmp_path}/away/slot"))
    with state.locked():
        first = enroll_fleet(pcs[:1], roots[0], state, 2)
        both = enroll_fleet(pcs, roots[0], state, 2)
        foreign = enroll_fleet(pcs[:1], roots[1], state, 2)
    assert first.exit_code == 0
    assert [pc.is_new for pc in both.pcs] == [False, True, False]
    assert [pc.state for pc in both.pcs] == ["good", "good", "unknown"]
    assert both.exit_code == 7
    assert (foreign.pcs[0].state, foreign.exit_code) == ("bad", 8)
    assert foreign.pcs[0].fix
    rows = (tmp_path / "state" / "audit.jsonl").read_text().splitlines()
    assert len(rows) == 2
    assert not (tmp_path / "away").exists()
