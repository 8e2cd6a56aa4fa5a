"""A line PC in a folder that can lose power, or fail to write, at any step.

The flash runs in a child that is forked for it. Every change of the file system and
every fsync is one step. At the chosen step the child either dies, and then all that
was written but never synchronized is lost in part, as after a real power cut; or the
step fails with an error of the operating system.
"""

import errno
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from deploy.installer import (
    DEFAULT_TRIAL,
    Installer,
    StepCallback,
    open_installer,
)
from deploy.results import FlashReport
from deploy.selftest.process import Selftest
from deploy.store import PackageStore
from deploy.target import FlashTarget
from deploy.trial import TrialSettings
from models.errors import GraftlineError
from models.machine import machine_name, this_platform
from models.package import Package, open_package
from models.slot_files import SlotFolder, SlotRecord, read_file

POWER_CUT = 137  # exit code, as after kill -9
LIMIT_S = 60
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

# Plays the self-test: any package passes with its first variant, in no time. It must
# not import much.
RECORDED_SELFTEST = """
import hashlib, json, pathlib, sys
content = (pathlib.Path(sys.argv[2]) / "manifest.json").read_bytes()
manifest = json.loads(content)
variant = next(iter(manifest["variants"]))
mode = dict(variant=variant, precision_hint="f32", passed=True, reason="",
            latency_ms_p50=1.0, latency_ms_p99=2.0)
print(json.dumps(dict(package_sha256=hashlib.sha256(content).hexdigest(),
    name=manifest["name"], build=manifest["build"], at="2026-01-01T00:00:00Z",
    **json.loads(sys.argv[1]), golden_frames=16, modes=[mode], chosen=mode)))
"""


def open_passing_installer(target: FlashTarget, on_step: StepCallback) -> Installer:
    """Return an installer whose self-test passes every package, in no time."""
    here = this_platform()
    recorded = {
        "machine": machine_name(),
        "instruction_set": here.instruction_set,
        "runtimes": here.runtimes,
    }
    command = (sys.executable, "-I", "-S", "-c", RECORDED_SELFTEST)
    command = (*command, json.dumps(recorded))
    return open_installer(target, on_step, Selftest(command))


@dataclass(frozen=True)
class SimTarget:
    """A line PC whose self-test always passes.

    Args:
        root: Its slot folder; need not exist yet.
    """

    root: Path

    @property
    def slot(self) -> SlotFolder:
        return SlotFolder(self.root)

    @property
    def installer(self) -> Installer:
        target = FlashTarget(f"local:{self.root}", self.slot)
        return open_passing_installer(target, lambda _: None)

    def flash(
        self, package: Package, trial: TrialSettings = DEFAULT_TRIAL
    ) -> FlashReport:
        return self.installer.flash(package, trial)

    def current(self) -> str:
        """Return the package in force, after it was verified byte by byte."""
        sha256 = self.slot.package_of(self.slot.current)
        if sha256:
            PackageStore(self.slot.store).open(sha256)
            assert open_package(self.slot.current).sha256 == sha256
        return sha256

    def previous(self) -> str:
        return self.slot.package_of(self.slot.previous)

    def record(self) -> SlotRecord:
        record = read_file(self.slot.state, SlotRecord)
        assert record is not None
        return record

    def proven(self) -> set[str]:
        return set(json.loads(self.slot.proof.read_text())["proofs"])

    def names(self) -> set[str]:
        """Return the names in the slot folder and in its store."""
        stored = {f"store/{path.name}" for path in self.slot.store.iterdir()}
        return {path.name for path in self.root.iterdir()} | stored

    def disturbed(
        self, verb: str, package: Package | None = None, **disturbance: int
    ) -> int:
        """Run a verb in a child, with ``cut_at`` or ``fail_at`` a step.

        Returns:
            ``POWER_CUT``, or the exit code of the command.
        """
        folder = str(package.folder) if package else ""
        meter = StepMeter(str(self.root), **disturbance)
        child = forks().Process(
            target=_run_disturbed, args=(verb, self.root, folder, meter)
        )
        child.start()
        child.join(LIMIT_S)
        code = child.exitcode
        child.close()
        assert code is not None, "the child hangs"
        return code

    def steps(self, verb: str, package: Package | None = None) -> int:
        """Return how many steps a verb takes here; it is done after that."""
        assert self.disturbed(verb, package) == 0
        return int(self.root.with_suffix(".steps").read_text())


@dataclass
class StepMeter:
    """Counts the steps of this process; at one of them disaster strikes.

    Args:
        root: Only what is written below this folder counts.
        cut_at: Step at which power is lost; 0 = never.
        fail_at: Step that fails; 0 = never.
        error: Message of the failing step.
    """

    root: str
    cut_at: int = 0
    fail_at: int = 0
    error: int = errno.ENOSPC
    steps: int = 0
    unsynced: set[str] = field(default_factory=set)
    is_off: bool = False

    def watch(self) -> None:
        """Begin; there is no end, the process is for this alone."""
        fsync = os.fsync

        def counted_fsync(descriptor: int) -> None:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            self.step()
            fsync(descriptor)
            self.unsynced.discard(path)

        os.fsync = counted_fsync
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.is_off:
            return
        if event == "open" and isinstance(args[0], str) and args[2] & WRITING:
            if args[0].startswith(self.root):
                self.step()
                self.unsynced.add(args[0])
        elif event in CHANGES:
            self.step()
            if event == "os.rename":
                self._renamed(os.fspath(args[0]), os.fspath(args[1]))

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.cut_at:
            self.is_off = True
            for path in map(Path, self.unsynced):
                if path.is_file():
                    os.truncate(path, path.stat().st_size // 2)
            os._exit(POWER_CUT)
        if self.steps == self.fail_at:
            raise OSError(self.error, os.strerror(self.error))

    def _renamed(self, before: str, after: str) -> None:
        self.unsynced = {
            after + path[len(before) :]
            if path == before or path.startswith(before + "/")
            else path
            for path in self.unsynced
        }


def forks() -> ForkServerContext:
    """Return a context whose server has imported what the children run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.simulators.target", "tests.simulators.key_steps"]
    )
    return context


def _run_disturbed(verb: str, root: Path, folder: str, meter: StepMeter) -> None:
    installer = SimTarget(root).installer
    package = open_package(Path(folder)) if folder else None
    meter.watch()
    try:
        if package:
            assert verb == "flash"
            installer.flash(package)
        elif verb == "take":
            from tests.simulators.agent_pc import AgentPc

            AgentPc(root).agent.take_waiting()
        else:
            assert verb == "rollback"
            installer.rollback()
    except GraftlineError as exc:
        os._exit(exc.exit_code)
    meter.is_off = True
    root.with_suffix(".steps").write_text(str(meter.steps))
    os._exit(0)
