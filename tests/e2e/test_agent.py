"""USB only, as two people type it: one on the workstation, one on the line PC."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.slot_files import SlotFolder
from tests.command import environment, graftline, graftline_here
from tests.simulators.agent_pc import Workstation
from tests.simulators.packages import make_package
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The keys folder of the workstation."""
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_stick_is_written_carried_and_installed(
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    first = make_package(tmp_path / "first", build=1)
    second = make_package(tmp_path / "second", build=2)
    stick, slot = tmp_path / "stick", SlotFolder(tmp_path / "line-pc")
    stick.mkdir()
    Workstation.make(keys)
    root = graftline_here(capsys, "keys", "show", "--root", "stick/root.json")
    assert root.code == 0, root.errors
    written = graftline_here(capsys, "flash", first.folder, "usb:stick")
    assert written.code == 0, written.errors
    assert "graftline agent --slot DIR --from STICK" in written.output

    take = ("agent", "--slot", "line-pc", "--from", "stick")
    refused = graftline_here(capsys, *take)
    assert refused.code == 8
    assert "not enrolled" in refused.errors
    enroll = ("enroll", "local:line-pc", "--root", "stick/root.json")
    assert graftline_here(capsys, *enroll).code == 0
    taken = graftline(*take, cwd=tmp_path)
    assert taken.code == 0, taken.errors
    assert "committed" in taken.output
    assert "self-test" in taken.errors
    assert slot.package_of(slot.current) == first.sha256
    (result,) = (stick / "graftline").glob("result-*.json")
    assert json.loads(result.read_text())["exit_code"] == 0

    # The service takes a stick that is mounted below a watched folder.
    command = [sys.executable, "-m", "graftline", "agent", "--slot", "line-pc"]
    command += ["--watch", str(tmp_path)]
    with (tmp_path / "agent.log").open("wb") as log:
        service = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=log)
    try:
        again = graftline_here(capsys, "flash", second.folder, "usb:stick")
        assert again.code == 0, again.errors
        until(
            lambda: slot.package_of(slot.current) == second.sha256,
            (tmp_path / "agent.log").read_text,
            60,
        )
        busy = graftline_here(capsys, "agent", "--slot", "line-pc", "--once")
        assert busy.code == 8
        assert "busy" in busy.errors
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0, (tmp_path / "agent.log").read_text()


@pytest.mark.fault(53)
def test_two_flashes_of_local_slots_at_once(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = make_package(tmp_path / "package")
    targets = [f"local:{tmp_path / name}" for name in ("a", "b")]
    answer = graftline_here(capsys, "flash", package.folder, *targets, "--json")
    assert answer.code == 0, answer.errors
    results = answer.json["results"]
    assert [each["outcome"] for each in results] == ["committed", "committed"]
    one = graftline_here(capsys, "flash", package.folder, targets[0], "--json")
    assert one.json["outcome"] == "already-in-force"


@pytest.mark.fault(48)
def test_installation_goes_on_when_the_workstation_is_gone(tmp_path: Path) -> None:
    workstation = Workstation.make(tmp_path / "keys")
    line_pc = workstation.line_pc(tmp_path / "line-pc")
    package = make_package(tmp_path / "package")
    with workstation.delivery(package) as delivery:
        request = line_pc.bring(delivery)
    command = [sys.executable, "-m", "graftline", "agent", "--slot", "line-pc"]
    follower = subprocess.Popen(
        [*command, "--follow", request.id],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    assert b"taken from the inbox" in follower.stdout.readline()
    follower.stdout.close()  # as sshd does when the connection is cut
    assert follower.wait(60) == 0
    assert line_pc.current() == package.sha256
    assert line_pc.agent.inbox.log(request.id).result() is not None
