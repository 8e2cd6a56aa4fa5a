"""kill -9 at every step of commands on keys (row 47 of the fault list), full disks."""

import errno
import shutil
from pathlib import Path

import pytest

from models.errors import ConfigError
from models.package import Package
from tests.simulators.key_steps import (
    STEPS,
    count_steps,
    disturbed,
    keys_in,
    prepare,
    receive,
    sign,
)
from tests.simulators.target import POWER_CUT


def some(steps: int, points: int) -> list[int]:
    """Return steps spread over an action, each of its last ones included."""
    last = points // 2
    stride = max(1, (steps - last) // (points - last))
    return sorted({*range(1, steps + 1, stride), *range(max(1, steps - last), steps)})


@pytest.fixture(scope="module")
def prepared(
    builds: list[Package], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A workshop before and after everything was made."""
    empty = tmp_path_factory.mktemp("empty") / "place"
    empty.mkdir()
    shutil.copytree(builds[0].folder, empty / "package")
    full = tmp_path_factory.mktemp("full") / "place"
    shutil.copytree(empty, full)
    prepare(full)
    return {"empty": empty, "full": full}


def fresh(prepared: dict[str, Path], action: str, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    before = prepared["empty" if action == "init" else "full"]
    shutil.copytree(before, place, symlinks=True)
    return place


def repeat(action: str, root: Path) -> None:
    """Run an action again; keys that are complete are not made a second time."""
    if action == "init" and (root / "keys").is_dir() and not leftovers(root):
        with pytest.raises(ConfigError, match="keys were made there already"):
            STEPS[action](root)
    else:
        STEPS[action](root)


def leftovers(root: Path) -> list[str]:
    names = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    marks = (".tmp", ".partial", ".previous", "to-offline", ".staging")
    return [name for name in names if any(mark in name for mark in marks)]


@pytest.mark.fault(47)
@pytest.mark.parametrize("action", STEPS)
@pytest.mark.parametrize(
    "points",
    [8, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
)
def test_command_on_keys_that_was_cut_converges_when_it_is_repeated(
    points: int, action: str, prepared: dict[str, Path], tmp_path: Path
) -> None:
    steps = count_steps(action, fresh(prepared, action, tmp_path / "counted"))
    for step in some(steps, points):
        root = fresh(prepared, action, tmp_path / "place")
        assert disturbed(action, root, cut_at=step) == POWER_CUT, step
        if action in {"sign", "rotate", "revoke"}:
            receive(root)  # a stick holds the old release or the new one, no part
        repeat(action, root)
        assert leftovers(root) == [], step
        assert keys_in(root).is_signed()
        assert len(list(root.glob("*/*.pem"))) == 5
        if action != "init":
            sign(root)
            receive(root)


@pytest.mark.fault(54)
@pytest.mark.parametrize("action", STEPS)
def test_step_that_fails_is_an_error_and_the_next_call_converges(
    action: str, prepared: dict[str, Path], tmp_path: Path
) -> None:
    steps = count_steps(action, fresh(prepared, action, tmp_path / "counted"))
    for step in some(steps, 5):
        root = fresh(prepared, action, tmp_path / "place")
        disturbed(action, root, fail_at=step, error=errno.ENOSPC)
        repeat(action, root)
        assert leftovers(root) == [], step
        assert keys_in(root).is_signed()
