"""A real sshd on loopback is flashed by an unprivileged user: cut, and resumed.

The line PC is a process of its own with the real self-test; the workstation is this
process, with the system's ssh and sftp.
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graftline import main
from models.errors import InstallError
from models.files import sha256_of
from models.package import Package
from models.slot_files import SlotFolder
from tests.simulators.packages import make_large_package, make_package
from tests.simulators.sshd import SFTP, SSHD, UID, SimSshd
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(SSHD is None or SFTP is None, reason="needs sshd and sftp"),
]
LARGE_BYTES = 1_600_000  # more than fits on the full disk of the simulator
LIMIT_KBYTE_S = 1000  # the large file takes 1.6 s: time to cut it


@pytest.fixture(scope="module")
def line_pc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimSshd]:
    """A line PC that trusts the keys of this workstation."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GRAFTLINE_KEYS", str(tmp_path_factory.mktemp("keys") / "keys"))
    with SimSshd(LIMIT_KBYTE_S) as line_pc:
        line_pc.use(patch)
        assert main(["keys", "init", "--no-passphrase"]) == 0
        yield line_pc
    patch.undo()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    """Build 1, and build 2 with a large file."""
    folder = tmp_path_factory.mktemp("packages")
    small = make_package(folder / "1", build=1)
    return [small, make_large_package(folder / "2", LARGE_BYTES, build=2)]


def flash(*arguments: object) -> int:
    return main(["flash", *map(str, arguments)])


@pytest.mark.fault(48)
def test_line_pc_is_enrolled_flashed_cut_resumed_and_rolled_back(
    line_pc: SimSshd, packages: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = packages
    target = line_pc.target('a slot\'s "name" *')
    slot = SlotFolder(line_pc.home / 'a slot\'s "name" *')
    assert flash(small.folder, target) == InstallError.exit_code
    assert f"graftline enroll {target} --keys DIR" in capsys.readouterr().err
    assert main(["enroll", target]) == 0
    assert flash(small.folder, target) == 0, capsys.readouterr().err
    assert slot.package_of(slot.current) == small.sha256
    if os.geteuid() == 0 and line_pc.user != "root":
        assert slot.current.lstat().st_uid == UID
    capsys.readouterr()

    big = sha256_of(large.folder / "reference.bin")
    part = slot.inbox / ".files" / big
    codes: list[int] = []
    sender = threading.Thread(
        target=lambda: codes.append(flash(large.folder, target, "--json"))
    )
    sender.start()
    until(lambda: part.exists() and part.stat().st_size > LARGE_BYTES // 5)
    line_pc.cut()
    sender.join(100)
    printed = capsys.readouterr()
    assert codes == [0], printed.err
    report = json.loads(printed.out)
    assert (report["target"], report["outcome"]) == (target, "committed")
    assert slot.package_of(slot.current) == large.sha256
    # The rest was sent, and of the other files only what build 1 had not.
    assert 0 < line_pc.written_bytes(big)[-1] < LARGE_BYTES * 9 // 10
    sent = [line for line in printed.err.splitlines() if line.startswith("send: ")]
    counts = [int(line.split()[1]) for line in sent]
    assert len(packages[1].manifest.files) > counts[0] > counts[1]

    assert main(["rollback", target, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["current"]["build"] == 1
    assert main(["status", target, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["target"], status["current"]["build"]) == (target, 1)


def test_flash_without_waiting_leaves_an_entry_for_the_agent(
    line_pc: SimSshd, packages: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    target = line_pc.target("no-wait")
    slot = SlotFolder(line_pc.home / "no-wait")
    assert main(["enroll", target]) == 0
    capsys.readouterr()
    assert flash(packages[0].folder, target, "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["outcome"] == "planned"
    assert planned["sent_bytes"] > 0
    assert not slot.inbox.exists()
    assert flash(packages[0].folder, target, "--no-wait", "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "sent"
    (entry,) = (path for path in slot.inbox.iterdir() if not path.name.startswith("."))
    assert (entry / "request.json").is_file()
    assert slot.package_of(slot.current) == ""


@pytest.mark.fault(54)
def test_transfer_into_a_full_disk_fails_and_the_same_command_goes_on(
    line_pc: SimSshd, packages: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    target = line_pc.target("full")
    slot = SlotFolder(line_pc.home / "full")
    assert main(["enroll", target]) == 0
    capsys.readouterr()
    line_pc.fill_disk(True)
    assert flash(packages[1].folder, target, "--no-wait") == InstallError.exit_code
    error = capsys.readouterr().err
    assert "the transfer failed" in error
    assert "full" in error
    big = sha256_of(packages[1].folder / "reference.bin")
    assert 0 < (slot.inbox / ".files" / big).stat().st_size < LARGE_BYTES
    line_pc.fill_disk(False)
    assert flash(packages[1].folder, target, "--no-wait") == 0
    assert sha256_of(slot.inbox / ".files" / big) == big
    assert 0 < line_pc.written_bytes(big)[-1] < LARGE_BYTES


def test_several_targets_get_one_line_each(
    line_pc: SimSshd,
    packages: list[Package],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    targets = [
        line_pc.target("not-enrolled"),
        "ssh://127.0.0.1:1",
        f"usb:{tmp_path}",
        f"usb:{tmp_path}/absent",
    ]
    assert flash(packages[0].folder, *targets, "--json") == InstallError.exit_code
    printed = capsys.readouterr()
    results = json.loads(printed.out)["results"]
    assert [each["target"] for each in results] == targets
    assert [each["outcome"] for each in results] == [
        "failed",
        "unreachable",
        "sent",
        "unreachable",
    ]
    for result in results:
        assert result["message"] in printed.err


@pytest.fixture
def other_pc(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimSshd]:
    """A line PC for faults."""
    with SimSshd() as line_pc:
        line_pc.use(monkeypatch)
        yield line_pc


def outcome_of(
    line_pc: SimSshd, capsys: pytest.CaptureFixture[str], target: str = ""
) -> str:
    capsys.readouterr()
    code = main(["status", target or line_pc.target()])
    assert code == InstallError.exit_code
    return capsys.readouterr().err


def test_each_fault_of_the_connection_has_its_own_message(
    line_pc: SimSshd, other_pc: SimSshd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line_pc.port != other_pc.port
    unknown = outcome_of(other_pc, capsys, "ssh://no-such-host.invalid")
    assert "the host is unknown" in unknown
    off = outcome_of(other_pc, capsys, "ssh://127.0.0.1:1")
    assert "cannot be reached" in off
    other_pc.remove_graftline()
    assert "graftline was not found" in outcome_of(other_pc, capsys)
    other_pc.new_user_key()
    assert "refuses the key" in outcome_of(other_pc, capsys)
    other_pc.stop()
    other_pc.new_host_key()
    other_pc.start()
    changed = outcome_of(other_pc, capsys)
    assert "the host key has changed" in changed
    assert "ssh-keygen -R" in changed
    other_pc.forget_host()
    assert "not known yet" in outcome_of(other_pc, capsys)


def test_slot_that_the_user_may_not_write_is_named(
    line_pc: SimSshd, capsys: pytest.CaptureFixture[str]
) -> None:
    if line_pc.user == "root":
        pytest.skip("needs root and a mount namespace, or a user who is not root")
    target = f"ssh://{line_pc.user}@127.0.0.1:{line_pc.port}/no-such-slot"
    assert main(["enroll", target]) == InstallError.exit_code
    error = capsys.readouterr().err
    assert "the slot cannot be written" in error
    assert "user of the daemon" in error
