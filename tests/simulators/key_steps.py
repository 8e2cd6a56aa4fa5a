"""Commands on keys that lose power at a step; see ``tests.simulators.target``."""

import os
from pathlib import Path

from deploy.trust.enrolment import enroll_slot
from deploy.trust.key_changes import NewKeys, make_keys, revoke_keys, rotate_keys
from deploy.trust.key_folder import open_keys
from deploy.trust.key_repository import ROLES, KeyRepository
from deploy.trust.release import root_to_carry, write_release
from deploy.trust.verification import receive_package
from models.errors import GraftlineError
from models.package import open_package
from models.slot_files import SlotFolder
from tests.simulators.target import LIMIT_S, StepMeter, forks

SECRET = b"correct horse battery"


def keys_in(root: Path) -> KeyRepository:
    return open_keys(root / "keys", lambda: SECRET, (root / "stick",))


def init(root: Path) -> None:
    make_keys(NewKeys(root / "keys", SECRET, (root / "stick",)))


def sign(root: Path) -> None:
    write_release(open_package(root / "package"), keys_in(root), root / "release")


def rotate(root: Path) -> None:
    rotate_keys(keys_in(root), ROLES)


def revoke(root: Path) -> None:
    """Revoke the first key of targets: the same one at each call."""
    keys = keys_in(root)
    revoke_keys(keys, set(keys.roots()[0].signed.roles["targets"].keyids))


def enroll(root: Path) -> None:
    roots = root_to_carry(keys_in(root))
    enroll_slot(SlotFolder(root / "slot"), roots, target_name="x", replace=True)


def receive(root: Path) -> None:
    slot, sha256 = SlotFolder(root / "slot"), open_package(root / "package").sha256
    with receive_package(slot, root / "release", sha256, root / "slot" / "incoming"):
        pass


def prepare(root: Path) -> None:
    """Make keys, a release and an enrolled slot, then rotate the keys."""
    for step in (init, sign, enroll, receive, rotate, sign):
        step(root)


STEPS = {step.__name__: step for step in (init, sign, rotate, revoke, enroll, receive)}


def disturbed(action: str, root: Path, **disturbance: int) -> int:
    """Run an action in a child, with ``cut_at`` or ``fail_at`` a step.

    Returns:
        ``POWER_CUT``, or the exit code of the command.
    """
    meter = StepMeter(str(root), **disturbance)
    child = forks().Process(target=_run, args=(action, root, meter))
    child.start()
    child.join(LIMIT_S)
    code = child.exitcode
    child.close()
    assert code is not None, "the child hangs"
    return code


def count_steps(action: str, root: Path) -> int:
    """Return how many steps an action takes; it is done after that."""
    assert disturbed(action, root) == 0
    return int(root.with_suffix(".steps").read_text())


def _run(action: str, root: Path, meter: StepMeter) -> None:
    meter.watch()
    try:
        STEPS[action](root)
    except GraftlineError as exc:
        os._exit(exc.exit_code)
    except OSError:
        os._exit(GraftlineError.exit_code)
    meter.is_off = True
    root.with_suffix(".steps").write_text(str(meter.steps))
    os._exit(0)
