"""Records ``docs/tutorials/flashing-session.md``: every command in it really runs.

The line PC is an sshd of this machine with an unprivileged user, a daemon that inspects
a video, and a real broker; the fleet is twenty folders. All of them are removed at the
end. It takes some minutes, and needs root, sshd and mosquitto: ``make docs`` leaves the
page as it is.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from models.package import Package  # noqa: E402 (after the path to it)
from models.slot_files import Health, SlotFolder, read_file  # noqa: E402
from tests.command import environment  # noqa: E402
from tests.simulators.broker import Broker  # noqa: E402
from tests.simulators.daemon import camera_table  # noqa: E402
from tests.simulators.live import FPS, VIDEO_FRAMES, line_picture  # noqa: E402
from tests.simulators.packages import make_package  # noqa: E402
from tests.simulators.resealed import reseal  # noqa: E402
from tests.simulators.sshd import UID, SimSshd  # noqa: E402
from tests.simulators.videos import write_video  # noqa: E402
from tests.waiting import until  # noqa: E402
from trainer.ship.sbom import FILE, bill_of_materials, library_versions  # noqa: E402

PAGE = REPOSITORY / "docs" / "tutorials" / "flashing-session.md"
NAME, LABELS = "plate", ("scratch", "stain")
LARGE_BYTES = 3_000_000
LIMIT_KBYTE_S = 1000  # the large package takes 3 s: time to cut it
LIMIT_S = 1200
COLUMNS = "92"
PREFIX = "graftline-session-"
WRAP: dict[str, Any] = {
    "width": 92,
    "break_long_words": False,
    "break_on_hyphens": False,
}
LINE_PCS, FAILS, IS_OFF = 20, 7, 17
EDGE_TOML = """
[station]
site = "plant"
line = "hall-1"
station = "line-1"
[model]
slot = "slot"
poll_interval_s = 0.1
[broker]
port = {port}
[outbox]
path = "outbox.sqlite"
[evidence]
folder = "evidence"
[health]
interval_s = 0.2
"""
HEADER = """\
# The whole story in one terminal

Recorded by `docs/record_flashing.py` on {cpus} cores: every command ran, and what is
below it is what it printed. Folders that were made for the recording are shortened.
`line-1` is a line PC behind ssh with an unprivileged user, whose daemon inspects a
video of a belt; the model is a small one, so that it can be watched. Nothing here needs
the Internet, a server or a cloud.
"""


class Session:
    """A terminal in a folder, and the page that records it.

    Args:
        folder: Where the commands are typed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shortened = {str(folder.parent / "tmp"): "/tmp", str(folder): "/home/me"}
        (folder.parent / "tmp").mkdir()
        program = folder.parent / "graftline"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m graftline "$@"\n')
        program.chmod(0o755)
        self._parts = [HEADER.format(cpus=len(os.sched_getaffinity(0)))]

    def say(self, text: str) -> None:
        """Write a paragraph or a heading."""
        paragraphs = (textwrap.fill(part, **WRAP) for part in text.split("\n\n"))
        self._parts += [f"{part}\n" for part in paragraphs]

    def type(self, command: str, expected: int = 0) -> None:
        """Run a command, and record it with all that it printed.

        Raises:
            RuntimeError: It ended with another exit code.
        """
        sys.stderr.write(f"$ {command}\n")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        sys.stderr.write(done.stdout)
        if done.returncode != expected:
            raise RuntimeError(f"{command}: exit code {done.returncode}")
        self._parts.append(f"```sh\n{command}\n```\n")
        if output := self._shorten(done.stdout).rstrip():
            self._parts.append(f"```text\n{output}\n```\n")
        if expected:
            self._parts.append(f"Exit code {expected}.\n")

    def show(self, name: str) -> None:
        """Record a file."""
        text = (self.folder / name).read_text("utf-8").rstrip()
        self._parts.append(f"`{name}`:\n\n```toml\n{text}\n```\n")

    def write(self, page: Path) -> None:
        """Write the page.

        Raises:
            RuntimeError: It names this machine.
        """
        text = "\n".join(self._parts)
        machine = (PREFIX, "graftline-sshd-", str(REPOSITORY), socket.gethostname())
        for secret in machine:
            if secret in text:
                raise RuntimeError(f"the page has {secret!r} in it")
        page.write_text(text, "utf-8")

    def _environment(self) -> dict[str, str]:
        """Return the variables of the terminal."""
        return {
            **environment(),
            "COLUMNS": COLUMNS,
            "PATH": f"{self.folder.parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.folder.parent / "tmp"),
        }

    def _shorten(self, text: str) -> str:
        for long, short in self.shortened.items():
            text = text.replace(long, short)
        return "\n".join(line.rstrip() for line in text.splitlines())


def package(folder: Path, build: int, size_bytes: int = 0, **options: float) -> Package:
    """Write a package as ``graftline pack`` does, with its bill of materials."""
    raw = make_package(
        folder.with_suffix(".raw"), name=NAME, labels=LABELS, build=build, **options
    )  # type: ignore[arg-type]

    def add_files(copy: Path) -> None:
        manifest = raw.manifest.model_copy(update={"lineage": lineage})
        (copy / FILE).write_text(bill_of_materials(manifest, raw.sha256))
        if size_bytes:
            (copy / "reference.bin").write_bytes(os.urandom(size_bytes))

    lineage = raw.manifest.lineage.model_copy(update={"versions": library_versions()})
    packed = reseal(raw, folder, add_files, lineage=lineage)
    shutil.rmtree(raw.folder)
    return packed


@contextmanager
def line_pc(session: Session) -> Iterator[SimSshd]:
    """Run a line PC that is reached as ``ssh://line-1``."""
    with SimSshd(LIMIT_KBYTE_S) as sshd:
        with (sshd.folder / "ssh_config").open("a") as config:
            config.write(
                f"Host line-1\nHostName 127.0.0.1\nPort {sshd.port}\nUser {sshd.user}\n"
            )
        os.environ["PATH"] = f"{sshd.bin}:{os.environ['PATH']}"
        session.shortened[str(sshd.home)] = "/home/line"
        yield sshd


@contextmanager
def daemon(sshd: SimSshd, port: int) -> Iterator[None]:
    """Run the daemon of the line PC, as its unprivileged user."""
    write_video(sshd.home / "belt.avi", VIDEO_FRAMES, FPS, line_picture)
    camera = camera_table("belt", "file:belt.avi", loops=True, cool_down_s=0.0)
    (sshd.home / "edge.toml").write_text(EDGE_TOML.format(port=port) + camera)
    for path in (sshd.home / "belt.avi", sshd.home / "edge.toml"):
        os.chown(path, UID, UID)
    # Not a child of sshd: the connection is cut while it inspects.
    run = "echo $$ >daemon.pid; exec graftline run --config edge.toml 2>daemon.log"
    words = f"cd {sshd.home} && setsid sh -c '{run}' >&- <&- &"
    subprocess.run(["ssh", "line-1", words], check=True, timeout=30)
    try:
        until(lambda: health(sshd, lambda now: now.fps > FPS / 2), limit_s=60)
        yield
    finally:
        pid = int((sshd.home / "daemon.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())


def health(sshd: SimSshd, check: Callable[[Health], bool]) -> bool:
    """Return whether the daemon reports what is waited for."""
    now = read_file(SlotFolder(sshd.home / "slot").health, Health)
    return now is not None and check(now)


def cut_once(sshd: SimSshd) -> threading.Thread:
    """Cut the connection when a part of the large file has arrived."""

    def cut() -> None:
        pool = SlotFolder(sshd.home / "slot").inbox / ".files"
        while not any(
            path.stat().st_size > LARGE_BYTES // 3 for path in pool.glob("*")
        ):
            time.sleep(0.02)
        sshd.cut()

    thread = threading.Thread(target=cut, name="cut", daemon=True)
    thread.start()
    return thread


def record_keys(session: Session) -> None:
    """Keys and trust."""
    session.say("## Keys, once on the workstation")
    session.type("graftline keys init --passphrase-file passphrase")
    session.say("## Trust, once for each line PC")
    session.say("A line PC that trusts no keys refuses, and names the command:")
    session.type("graftline flash plate-1 ssh://line-1/~/slot --passphrase-file "
                 "passphrase", 8)  # fmt: skip
    session.type("graftline enroll ssh://line-1/~/slot")


def record_line_pc(session: Session, sshd: SimSshd, port: int) -> None:
    """One line PC: flashed, cut and resumed, and a bad model rolled back."""
    flash = "graftline flash {} ssh://line-1/~/slot --passphrase-file passphrase"
    trial = " --trial-frames 120 --trial-minutes 0.1"
    session.say("## Flash over ssh")
    session.type(flash.format("plate-1"))
    session.say(
        "Now the daemon of the line runs. The next package has three megabytes more. "
        "While they travel, **the connection is cut**: the same command connects "
        "again, and sends the rest. The new model then observes the line beside the "
        "old one, "
        "and decides in the second half of its trial; for the recording the trial is "
        "short (the usual one has 300 frames and a minute)."
    )
    with daemon(sshd, port):
        cut = cut_once(sshd)
        session.type(flash.format("plate-2") + trial)
        cut.join(10)
        session.type("graftline status ssh://line-1/~/slot")
        session.say(
            "## A bad model is rolled back by itself\n\nThe next model is correctly "
            "signed and passes its own golden frames, and it finds no defect on this "
            "line:"
        )
        session.type(flash.format("plate-3") + trial, 8)
        session.type("graftline status ssh://line-1/~/slot")
    session.say("## Parts and licences of what runs there")
    session.type("graftline status ssh://line-1/~/slot --sbom")


def record_fleet(session: Session) -> None:
    """Twenty line PCs, of which one fails and one is off."""
    hosts = [
        f'pc{n:02} = {{ graftline_target = "local:pcs/{n:02}/slot" }}'
        for n in range(1, LINE_PCS + 1)
    ]
    inventory = "\n".join(["[hall.hosts]", *hosts, ""])
    (session.folder / "plant.toml").write_text(inventory)
    for number in range(1, LINE_PCS + 1):
        if number != IS_OFF:
            (session.folder / "pcs" / f"{number:02}").mkdir(parents=True)
    broken = session.folder / "pcs" / f"{FAILS:02}" / "slot"
    broken.write_text("not a folder")
    flash = (
        "graftline fleet flash plate-4 --inventory plant.toml --passphrase-file "
        "passphrase --parallel 2 2>steps.log"
    )
    session.say(
        f"## A fleet\n\nTwenty line PCs, here folders of one machine. "
        f"`pc{FAILS:02}` will fail (a file is in the place of its slot), and "
        f"`pc{IS_OFF}` is off."
    )
    session.show("plant.toml")
    session.type(flash, 8)
    session.say("The waves: one PC, a quarter, the rest.")
    session.type("grep -E '^(wave|asking)|: (bad|unknown):' steps.log")
    session.say("The first failure stops it. It is repaired, and **the same command** "
                "goes on:")  # fmt: skip
    session.type(f"rm pcs/{FAILS:02}/slot")
    session.type(flash, 7)
    session.say(
        f"Later `pc{IS_OFF}` is switched on, and the same command catches it up:"
    )
    (session.folder / "pcs" / f"{IS_OFF}").mkdir()
    session.type(flash)
    session.type("graftline fleet status --inventory plant.toml")


def main() -> int:
    """Record the session and write the page."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
        folder = Path(temporary, "workstation")
        folder.mkdir()
        os.environ["GRAFTLINE_KEYS"] = str(folder / "keys")
        session = Session(folder)
        (folder / "passphrase").write_text("correct horse battery staple\n")
        (folder / "passphrase").chmod(0o600)
        now = int(time.time())
        package(folder / "plate-1", now - 3000)
        package(folder / "plate-2", now - 2000, LARGE_BYTES)
        package(folder / "plate-3", now - 1000, score_threshold=1.0)
        package(folder / "plate-4", now - 900)
        (folder / "broker").mkdir()
        with line_pc(session) as sshd, Broker(folder / "broker") as broker:
            record_keys(session)
            record_line_pc(session, sshd, broker.port)
        record_fleet(session)
        session.say(
            "Next: [your first line PC](../how-to/flash-first-line-pc.md), "
            "[a fleet](../how-to/fleet.md), [USB only](../how-to/usb-only.md), "
            "[lost keys](../how-to/lost-keys.md)."
        )
        session.write(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
