"""Flashes one target of any kind: a folder, a line PC behind ssh, or a stick.

A release is signed once for all targets (``prepared_delivery``). ``flash_target`` then
brings it to one of them; every expected failure is a result, so that one line PC that
is off does not end the flash of the others.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from deploy.agent.agent import slot_not_writable
from deploy.agent.inbox import Inbox
from deploy.agent.installation import Installation
from deploy.agent.lock import prepare_inbox
from deploy.installer import StepCallback
from deploy.results import (
    FlashOutcome,
    FlashReport,
    PackageName,
    StatusReport,
    TargetOutcome,
    TargetResult,
)
from deploy.status import read_status
from deploy.target import FlashTarget, SshTarget, Target, UsbTarget, not_a_line_pc
from deploy.transports.delivery import (
    FlashOptions,
    PackageDelivery,
    SentFiles,
    describe_amount,
)
from deploy.transports.ssh import (
    follow,
    plan_transfer,
    read_remote_status,
    send_release,
)
from deploy.transports.ssh_errors import TargetError, TargetProblem, error_of_code
from deploy.transports.usb import write_stick
from deploy.trust.enrolment import enroll_slot, enrolment_of
from deploy.trust.key_repository import KeyRepository
from deploy.trust.release import root_to_carry, write_release
from deploy.trust.sources import FolderSource
from models.errors import ExitCode, GraftlineError, InstallError
from models.inbox_files import InboxFolder, ResultLine
from models.package import Package

# Worth another try later, without a change by a person.
LATER = {TargetProblem.UNREACHABLE, TargetProblem.CUT}
OUTCOMES = {
    FlashOutcome.COMMITTED: "flashed: {} is in force on {}",
    FlashOutcome.ALREADY_IN_FORCE: "nothing to do: {} is already in force on {}",
    FlashOutcome.REPAIRED: "repaired and tested again: {} was already in force on {}",
}


@contextmanager
def prepared_delivery(
    package: Package, keys: KeyRepository
) -> Iterator[PackageDelivery]:
    """Yield a signed release with a package; it is removed after the block.

    Raises:
        ConfigError: The keys cannot be used.
        InstallError: The release cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="graftline-release-") as folder:
        try:
            write_release(package, keys, Path(folder), durable=False)
        except OSError as exc:
            raise InstallError(
                f"{package.folder}: the release cannot be written.",
                why=f"{exc.strerror or exc}: {exc.filename or folder}",
                fix="Check free space and rights of the temporary folder and the keys.",
            ) from exc
        yield PackageDelivery(package, Path(folder), root_to_carry(keys))


def flash_target(
    delivery: PackageDelivery,
    target: Target,
    options: FlashOptions,
    on_step: StepCallback,
) -> TargetResult:
    """Bring a package to one target, and wait for its result if asked to.

    It may run in several threads at once.

    Args:
        on_step: Called with a sentence at each step.

    Returns:
        How it ended; expected failures too.
    """
    started_s = time.monotonic()
    try:
        match target:
            case FlashTarget():
                result = _flash_local(delivery, target, options, on_step)
            case SshTarget():
                result = _flash_ssh(delivery, target, options, on_step)
            case UsbTarget():
                result = _flash_usb(delivery, target, options, on_step)
    except GraftlineError as exc:
        result = _failure(delivery, target, exc)
    seconds = round(time.monotonic() - started_s, 2)
    return result.model_copy(update={"seconds": seconds})


def read_target_status(target: Target) -> StatusReport:
    """Return what a line PC runs, and its faults.

    Raises:
        GraftlineError: It cannot be reached, or there is no slot.
    """
    match target:
        case FlashTarget():
            inbox = Inbox(InboxFolder(target.slot.inbox))
            update = {
                "waiting": len(inbox.waiting()),
                "last_delivery": inbox.last_result(),
            }
            return read_status(target).model_copy(update=update)
        case SshTarget():
            return read_remote_status(target)
        case UsbTarget():
            raise not_a_line_pc(target)


def error_of(result: TargetResult) -> GraftlineError | None:
    """Return the error of a result, to end a command with; None: it succeeded."""
    if not result.exit_code:
        return None
    return error_of_code(result.exit_code)(
        result.message, why=result.why, fix=result.fix
    )


def _flash_local(
    delivery: PackageDelivery,
    target: FlashTarget,
    options: FlashOptions,
    on_step: StepCallback,
) -> TargetResult:
    if options.dry_run:
        amount = SentFiles(len(delivery.sizes()), sum(delivery.sizes().values()))
        return _planned(delivery, target, amount)
    installation = Installation(target.slot, target_name=target.name)
    source = FolderSource(delivery.folder)
    request = delivery.request(options)
    try:
        prepare_inbox(target.slot)
        if enrolment_of(target.slot) is None:
            enroll_slot(target.slot, delivery.root, target_name=target.name)
            on_step(f"enrolled: {target.name} trusts these keys")
        report = installation.run(source, request, on_step, is_received=True)
    except OSError as exc:
        raise slot_not_writable(target.slot, exc) from exc
    except GraftlineError as exc:
        is_rolled_back = installation.was_rolled_back(request)
        return _failure(delivery, target, exc, is_rolled_back=is_rolled_back)
    return _success(target, report)


def _flash_ssh(
    delivery: PackageDelivery,
    target: SshTarget,
    options: FlashOptions,
    on_step: StepCallback,
) -> TargetResult:
    if options.dry_run:
        return _planned(delivery, target, plan_transfer(target, delivery))
    request = delivery.request(options)
    sent = send_release(target, delivery, request, on_step)
    sizes = {"sent_files": sent.count, "sent_bytes": sent.size_bytes}
    if not options.wait:
        text = f"sent ({describe_amount(sent)}); the agent there installs it"
        return _other(delivery, target, TargetOutcome.SENT, text, sizes)
    line = follow(target, request.id, on_step)
    return _of_line(delivery, target, line).model_copy(update=sizes)


def _flash_usb(
    delivery: PackageDelivery,
    target: UsbTarget,
    options: FlashOptions,
    on_step: StepCallback,
) -> TargetResult:
    sizes = delivery.sizes()
    if options.dry_run:
        return _planned(delivery, target, SentFiles(len(sizes), sum(sizes.values())))
    on_step(f"write: {target.folder}")
    amount = write_stick(target, delivery, delivery.request(options))
    text = "written; on the line PC: graftline agent --slot DIR --from STICK"
    counts = {"sent_files": amount.count, "sent_bytes": amount.size_bytes}
    return _other(delivery, target, TargetOutcome.SENT, text, counts)


def _success(target: Target, report: FlashReport) -> TargetResult:
    return TargetResult(
        target=target.name,
        outcome=TargetOutcome(report.outcome.value),
        exit_code=ExitCode.OK,
        message=OUTCOMES[report.outcome].format(report.package, target.name),
        package=report.package,
        previous=report.previous,
        report=report,
    )


def _of_line(
    delivery: PackageDelivery, target: Target, line: ResultLine
) -> TargetResult:
    """Return the result that the agent on a line PC gave."""
    if line.exit_code == ExitCode.OK:
        try:
            report = FlashReport.model_validate(line.report)
        except ValidationError as exc:
            raise InstallError(
                f"{target.name}: the result of the line PC is not readable.",
                why=f"It has another version of Graftline: {exc.error_count()} faults.",
                fix=f"Look there: graftline status {target.name}",
            ) from exc
        return _success(target, report.model_copy(update={"target": target.name}))
    outcome = TargetOutcome.ROLLED_BACK if line.is_rolled_back else TargetOutcome.FAILED
    return TargetResult(
        target=target.name,
        outcome=outcome,
        exit_code=line.exit_code,
        message=line.message
        if line.message.startswith(target.name)
        else f"{target.name}: {line.message}",
        why=line.why,
        fix=line.fix,
        refusal=line.refusal,
        package=PackageName.of(delivery.package),
    )


def _failure(
    delivery: PackageDelivery,
    target: Target,
    error: GraftlineError,
    *,
    is_rolled_back: bool = False,
) -> TargetResult:
    outcome = TargetOutcome.ROLLED_BACK if is_rolled_back else TargetOutcome.FAILED
    if isinstance(error, TargetError) and error.problem in LATER:
        outcome = TargetOutcome.UNREACHABLE
    return TargetResult(
        target=target.name,
        outcome=outcome,
        exit_code=error.exit_code,
        message=error.what,
        why=error.why,
        fix=error.fix,
        refusal=str(getattr(error, "refusal", "")),
        package=PackageName.of(delivery.package),
    )


def _planned(
    delivery: PackageDelivery, target: Target, amount: SentFiles
) -> TargetResult:
    text = f"would send {describe_amount(amount)}"
    counts = {"sent_files": amount.count, "sent_bytes": amount.size_bytes}
    return _other(delivery, target, TargetOutcome.PLANNED, text, counts)


def _other(
    delivery: PackageDelivery,
    target: Target,
    outcome: TargetOutcome,
    text: str,
    counts: dict[str, int],
) -> TargetResult:
    return TargetResult(
        target=target.name,
        outcome=outcome,
        exit_code=ExitCode.OK,
        message=f"{target.name}: {text}",
        package=PackageName.of(delivery.package),
        **counts,
    )
