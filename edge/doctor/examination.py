"""All checks of one line PC, side by side, each with a deadline.

A check that does not come back (a name server that is silent, a disk that hangs) is
left behind in its thread and reported as such: the report comes in time whatever
happens.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.config.station import EdgeSettings
from edge.doctor.broker_check import check_broker
from edge.doctor.camera_check import check_camera
from edge.doctor.disk_check import check_folder, check_outbox, is_daemon_running
from edge.doctor.finding import CheckResult, Grade
from edge.doctor.model_check import check_model
from edge.monitoring.status import is_clock_synchronized
from models.errors import (
    CameraError,
    ConfigError,
    DeliveryError,
    ExitCode,
    GraftlineError,
    PackageError,
)

LIMIT_S = 4.0  # of the whole examination; Python needs the rest of five seconds
SPARE_S = 0.4  # a check ends so much sooner by itself, to say more than "too slow"
BROKER_LIMIT_S = 1.5
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before this was never set


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: In the report.
        exit_code: Of the command, where it does not come back.
        look: Looks.
    """

    name: str
    exit_code: int
    look: Callable[[], CheckResult]


def examine(settings: EdgeSettings, limit_s: float = LIMIT_S) -> list[CheckResult]:
    """Return what was found, what matters most first.

    Args:
        settings: The configuration.
        limit_s: Longest time for everything.
    """
    deadline_s = time.monotonic() + limit_s
    return run_checks(_checks(settings, deadline_s - SPARE_S), deadline_s)


def run_checks(checks: list[Check], deadline_s: float) -> list[CheckResult]:
    """Return the finding of every check, in order.

    Args:
        checks: What to look at.
        deadline_s: Monotonic clock; who is not back by then is reported as such.
    """
    answers: queue.SimpleQueue[tuple[int, CheckResult]] = queue.SimpleQueue()
    for number, check in enumerate(checks):
        threading.Thread(
            target=_look,
            args=(number, check, answers),
            name=f"doctor-{check.name}",
            daemon=True,
        ).start()
    found: dict[int, CheckResult] = {}
    while len(found) < len(checks):
        try:
            left_s = max(0.0, deadline_s - time.monotonic())
            number, finding = answers.get(timeout=left_s)
        except queue.Empty:
            break
        found[number] = finding
    return [
        found.get(number) or _too_slow(check) for number, check in enumerate(checks)
    ]


def _checks(settings: EdgeSettings, deadline_s: float) -> list[Check]:
    """Return what to look at; cameras need their time, and start first."""
    daemon_runs = is_daemon_running(settings.outbox.path)
    cameras = [
        Check(
            f"camera {camera.name}",
            CameraError.exit_code,
            lambda camera=camera: check_camera(  # type: ignore[misc]
                camera, deadline_s, daemon_runs=daemon_runs
            ),
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
            f"disk {name}",
            ConfigError.exit_code,
            lambda name=name, folder=folder, wanted=wanted: check_folder(  # type: ignore[misc]
                name, folder, wanted
            ),
        )
        for name, folder, wanted in folders
    ]
    topics, broker = settings.station.topics, settings.broker
    return [
        *cameras,
        Check("model", PackageError.exit_code, lambda: check_model(settings.model)),
        Check(
            "broker",
            DeliveryError.exit_code,
            lambda: check_broker(broker, topics, BROKER_LIMIT_S),
        ),
        *disks,
        Check(
            "disk outbox file",
            DeliveryError.exit_code,
            lambda: check_outbox(settings, deadline_s),
        ),
        Check("clock", ConfigError.exit_code, check_clock),
    ]


def check_clock() -> CheckResult:
    """Return whether the time of alerts can be believed."""
    now = datetime.now(UTC)
    what = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < EARLIEST:
        raise ConfigError(
            f"the clock says {what}.",
            why="It was never set; certificates look as if they began in the future.",
            fix="Set the clock, and let chrony or systemd-timesyncd keep it.",
        )
    if not is_clock_synchronized():
        return CheckResult(
            "clock",
            Grade.WARN,
            f"{what}, not synchronized",
            "No time server has been heard; alerts say so, and are kept in order.",
            "Start chrony or systemd-timesyncd.",
        )
    return CheckResult("clock", Grade.OK, f"{what}, synchronized")


def _look(
    number: int, check: Check, answers: "queue.SimpleQueue[tuple[int, CheckResult]]"
) -> None:
    """Run one check and hand over what came of it."""
    try:
        finding = check.look()
    except GraftlineError as error:
        finding = CheckResult.of_error(check.name, error)
    except Exception as error:  # noqa: BLE001 - top of the thread: reported as our bug
        what = f"the check itself failed: {type(error).__name__}: {error}"
        finding = CheckResult(
            check.name, Grade.FAIL, what, fix="Send us this.", exit_code=ExitCode.BUG
        )
    answers.put((number, finding))


def _too_slow(check: Check) -> CheckResult:
    """Return the finding of a check that did not come back."""
    return CheckResult(
        check.name,
        Grade.FAIL,
        "no answer in time.",
        "It hangs, or the machine is too busy.",
        "Run the doctor again; look at what hangs.",
        check.exit_code,
    )
