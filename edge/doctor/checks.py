"""All checks of one line PC, in parallel, with one deadline; a camera has its own.

A check that does not return (a silent name server, a hanging disk) is left in its
thread and reported as such: the report is always in time.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from edge.config.station import EdgeSettings
from edge.doctor.broker_check import check_broker
from edge.doctor.camera_check import check_camera, opening_limit_s
from edge.doctor.check_result import CheckResult, Grade
from edge.doctor.disk_check import (
    check_folder,
    check_outbox,
    check_private_files,
    is_daemon_running,
)
from edge.doctor.model_check import bit_depth_in_force, check_model
from edge.doctor.rules_check import check_rules
from edge.monitoring.status import CLOCK_MIN_S, is_clock_synchronized
from models.errors import (
    CameraError,
    ConfigError,
    DeliveryError,
    ExitCode,
    GraftlineError,
    InstallError,
    PackageError,
)
from models.slot_files import Health, SlotFolder, read_file

# Of all checks but those of cameras that do not answer; the start of Python takes the
# rest of five seconds.
LIMIT_S = 4.0
# A check ends this long before the deadline, to report more than "too slow".
SPARE_S = 0.4
BROKER_LIMIT_S = 1.5
RULES_LIMIT_S = 0.5  # they read two small files
CLOCK_MIN = datetime.fromtimestamp(CLOCK_MIN_S, UTC)


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    name: str
    exit_code: int  # exit code of the command, where the check does not return
    run: Callable[[], CheckResult]  # returns the result; may raise a `GraftlineError`
    extra_s: float = 0  # how much longer than other checks it may take


def run_doctor_checks(
    settings: EdgeSettings, config: Path, limit_s: float = LIMIT_S
) -> list[CheckResult]:
    """Return the results of all checks within a limit, the most important first.

    Args:
        config: The file of these settings.
    """
    deadline_s = time.monotonic() + limit_s
    results = run_checks(_checks(settings, config, deadline_s - SPARE_S), deadline_s)
    return results + run_checks(
        _rules_checks(settings, results), time.monotonic() + RULES_LIMIT_S
    )


def run_checks(checks: list[Check], deadline_s: float) -> list[CheckResult]:
    """Return the result of every check, in order.

    Args:
        deadline_s: Monotonic clock; a check that is not done by then, or by its own
            later deadline, has failed.
    """
    answers: queue.SimpleQueue[tuple[int, CheckResult]] = queue.SimpleQueue()
    for number, check in enumerate(checks):
        threading.Thread(
            target=_run_check,
            args=(number, check, answers),
            name=f"doctor-{check.name}",
            daemon=True,
        ).start()
    results: dict[int, CheckResult] = {}
    while len(results) < len(checks):
        try:
            waiting = [c for n, c in enumerate(checks) if n not in results]
            latest_s = deadline_s + max(check.extra_s for check in waiting)
            left_s = max(0.0, latest_s - time.monotonic())
            number, result = answers.get(timeout=left_s)
        except queue.Empty:
            break
        results[number] = result
    return [
        results.get(number) or _too_slow(check) for number, check in enumerate(checks)
    ]


def _checks(settings: EdgeSettings, config: Path, deadline_s: float) -> list[Check]:
    """Return all checks; cameras take longest, so they start first."""
    daemon_runs = is_daemon_running(settings.outbox.path)
    bit_depth = bit_depth_in_force(settings.model)
    cameras = [
        Check(
            f"camera {camera.name}",
            CameraError.exit_code,
            partial(
                check_camera,
                camera,
                daemon_runs=daemon_runs,
                bit_depth=bit_depth,
            ),
            # A camera opens in time if it does so for the daemon.
            extra_s=opening_limit_s(camera),
        )
        for camera in settings.camera
    ]
    outbox, evidence = settings.outbox, settings.evidence
    folders = (
        ("outbox", outbox.path.parent, outbox.max_bytes),
        ("evidence", evidence.folder, evidence.max_bytes),
        ("slot", settings.model.slot, 0),
    )
    disks = [
        Check(
            f"disk {folder[0]}", ConfigError.exit_code, partial(check_folder, *folder)
        )
        for folder in folders
    ]
    broker = partial(
        check_broker,
        settings.broker,
        settings.station.topics,
        BROKER_LIMIT_S,
        daemon_is_connected=daemon_runs and _is_daemon_connected(settings),
    )
    private = partial(check_private_files, settings, config)
    outbox_file = partial(check_outbox, settings, deadline_s)
    return [
        *cameras,
        Check("model", PackageError.exit_code, partial(check_model, settings.model)),
        Check("broker", DeliveryError.exit_code, broker),
        *disks,
        Check("disk outbox file", DeliveryError.exit_code, outbox_file),
        Check("disk rights", ConfigError.exit_code, private),
        Check("clock", ConfigError.exit_code, check_clock),
    ]


def _is_daemon_connected(settings: EdgeSettings) -> bool:
    """Return whether the running daemon has a connection, as far as its file shows."""
    try:
        health = read_file(SlotFolder(settings.model.slot).health, Health)
    except InstallError:
        return True  # unknown: its connection must not be ended
    faults = health.reason.split(", ") if health else []  # those of cameras come first
    return not any(fault.startswith("broker") for fault in faults)


def _rules_checks(settings: EdgeSettings, results: list[CheckResult]) -> list[Check]:
    """Return the checks of each camera's rules, at the size of the frames that came."""
    slot = SlotFolder(settings.model.slot)
    sizes_px = {
        result.check: (
            int(result.figures["width_px"]),
            int(result.figures["height_px"]),
        )
        for result in results
        if "width_px" in result.figures
    }
    return [
        Check(
            f"rules {camera.name}",
            ConfigError.exit_code,
            partial(check_rules, camera, slot, sizes_px.get(f"camera {camera.name}")),
        )
        for camera in settings.camera
    ]


def check_clock() -> CheckResult:
    """Check whether the time of alerts can be trusted.

    Raises:
        ConfigError: The clock was never set.
    """
    now = datetime.now(UTC)
    what = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < CLOCK_MIN:
        raise ConfigError(
            f"the clock shows {what}.",
            why="It was never set; certificates seem to be valid only in the future.",
            fix="Set the clock, and let chrony or systemd-timesyncd keep it.",
        )
    if not is_clock_synchronized():
        what += ", not synchronized"
        why = "No time server answered; alerts are marked, and stay in order."
        fix = "Start chrony or systemd-timesyncd."
        return CheckResult("clock", Grade.WARN, what, why, fix)
    return CheckResult("clock", Grade.OK, f"{what}, synchronized")


def _run_check(
    number: int, check: Check, answers: "queue.SimpleQueue[tuple[int, CheckResult]]"
) -> None:
    try:
        result = check.run()
    except GraftlineError as error:
        result = CheckResult.of_error(check.name, error)
    except Exception as error:  # noqa: BLE001 - top of the thread: reported as our bug
        what = f"the check itself failed: {type(error).__name__}: {error}"
        fix, code = "Report this as a bug.", ExitCode.BUG
        result = CheckResult(check.name, Grade.FAIL, what, fix=fix, exit_code=code)
    answers.put((number, result))


def _too_slow(check: Check) -> CheckResult:
    what, why = "no answer in time.", "It hangs, or the machine is too busy."
    fix = "Run the doctor again; if it fails again, check what hangs."
    return CheckResult(check.name, Grade.FAIL, what, why, fix, check.exit_code)
