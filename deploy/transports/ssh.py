"""Brings a release to a line PC with ssh and sftp, and runs verbs there.

::

    graftline agent --missing    what the line PC lacks
    sftp                         those files, from where they were cut; then the entry
    graftline agent --follow     steps and result

A transfer that is cut is tried again at once, and continued by the next command
otherwise: files of the inbox are named by their content.
"""

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from deploy.results import RollbackReport, StatusReport
from deploy.sbom import Sbom, parse_sbom
from deploy.target import SshTarget
from deploy.transports.delivery import (
    PackageDelivery,
    SentFiles,
    describe_amount,
    request_file,
)
from deploy.transports.openssh import SshAnswer, run_graftline, run_sftp, run_ssh
from deploy.transports.sftp_batch import PutFile, quoted, send_entry, send_files
from deploy.transports.ssh_errors import (
    TargetError,
    TargetProblem,
    explain_answer,
    named_as_here,
    shown,
)
from deploy.trust.enrolment import EnrollReport
from models.errors import ExitCode, GraftlineError, InstallError
from models.files import regular_chunks, write_atomically
from models.inbox_files import (
    FlashRequest,
    MissingFile,
    MissingFiles,
    ResultLine,
    WantedFiles,
    parse_log_line,
)

ANSWER_LIMIT_S = 120.0  # a slow line PC hashes what it has received
VERB_LIMIT_S = 600.0  # a rollback may run the self-test
SILENCE_S = 60.0  # ``--follow`` writes a line every 5 s
MIN_BYTES_PER_S = 16 << 10  # slower than a modem of 1998: given up
TRANSFER_MIN_S = 60.0
CUT_RETRIES = 2
RETRY_PAUSE_S = 2.0
# The root metadata comes on stdin; the verb wants a file.
ENROLL = (
    'f=$(mktemp) || exit 1; trap "rm -f \\"$f\\"" EXIT; cat >"$f" || exit 1; '
    'PATH="$PATH:/opt/graftline/bin:/usr/local/bin:$HOME/.local/bin"; '
    'graftline enroll "$@" --root "$f"'
)
logger = logging.getLogger(__name__)


def plan_transfer(target: SshTarget, delivery: PackageDelivery) -> SentFiles:
    """Return what a transfer would send; nothing is changed on the line PC.

    Raises:
        GraftlineError: The line PC cannot be reached, or refuses.
    """
    return _amount(delivery, _ask_missing(target, delivery, "--dry-run").missing)


def send_release(
    target: SshTarget,
    delivery: PackageDelivery,
    request: FlashRequest,
    on_step: Callable[[str], None],
) -> SentFiles:
    """Send what the line PC lacks, then the entry.

    Args:
        on_step: Called with a sentence at each step.

    Raises:
        GraftlineError: The line PC cannot be reached, or refuses; what was sent stays
            there, and is not sent again.
    """
    count = size_bytes = 0
    for retry in range(CUT_RETRIES + 1):
        answer = _ask_missing(target, delivery)
        amount = _amount(delivery, answer.missing)
        if not retry:
            count, size_bytes = amount.count, amount.size_bytes
        have = len(delivery.sizes()) - amount.count
        on_step(f"send: {describe_amount(amount)}; the line PC has {have} others")
        try:
            _send_files(target, delivery, answer, amount)
            break
        except TargetError as exc:
            if exc.problem is not TargetProblem.CUT or retry == CUT_RETRIES:
                raise
            logger.warning("transfer_cut target=%s why=%s", target.name, exc.why)
            time.sleep(RETRY_PAUSE_S)
    _send_entry(target, delivery, answer.inbox, request)
    return SentFiles(count, size_bytes)


def follow(
    target: SshTarget, entry_id: str, on_text: Callable[[str], None]
) -> ResultLine:
    """Wait for the result of an entry, and pass its steps on.

    Raises:
        GraftlineError: The connection was cut, or the line PC gave no result.
    """
    results: list[ResultLine] = []

    def note(line: bytes) -> None:
        parsed = parse_log_line(line)
        if isinstance(parsed, ResultLine):
            results.append(parsed)
        elif parsed is not None:
            on_text(named_as_here(parsed.text, target))

    arguments = ("agent", "--slot", target.slot, "--follow", entry_id)
    answer = run_graftline(target, arguments, limit_s=SILENCE_S, on_line=note)
    if not results:
        raise _refused(target, answer)
    return _as_here(results[-1], target)


def _as_here(line: ResultLine, target: SshTarget) -> ResultLine:
    """Return a result of the line PC with the target as the operator wrote it."""
    texts = {each: getattr(line, each) for each in ("message", "why", "fix")}
    return line.model_copy(
        update={key: named_as_here(text, target) for key, text in texts.items()}
    )


def read_remote_status(target: SshTarget) -> StatusReport:
    """Return the status of a line PC.

    Raises:
        GraftlineError: The line PC cannot be reached, or has no slot there.
    """
    answer = _run_verb(target, ("status", f"local:{target.slot}", "--json"))
    try:
        report = StatusReport.model_validate_json(answer.output)
    except ValidationError as exc:
        raise _refused(target, answer) from exc
    last = report.last_delivery
    update = {
        "target": target.name,
        "last_delivery": _as_here(last, target) if last else None,
        "faults": tuple(named_as_here(fault, target) for fault in report.faults),
    }
    return report.model_copy(update=update)


def read_remote_sbom(target: SshTarget) -> Sbom:
    """Return the bill of materials of the package in force on a line PC.

    Raises:
        GraftlineError: The line PC cannot be reached, or has none.
    """
    arguments = ("status", f"local:{target.slot}", "--sbom", "--json")
    answer = _run_verb(target, arguments)
    if answer.code != ExitCode.OK:
        raise _refused(target, answer)
    return parse_sbom(answer.output, target.name)


def roll_back_remote(target: SshTarget) -> RollbackReport:
    """Switch a line PC back to its previous package.

    Raises:
        GraftlineError: The line PC cannot be reached, or refuses.
    """
    answer = _run_verb(target, ("rollback", f"local:{target.slot}", "--json"))
    try:
        report = RollbackReport.model_validate_json(answer.output)
    except ValidationError as exc:
        raise _refused(target, answer) from exc
    return report.model_copy(update={"target": target.name})


def enroll_remote(
    target: SshTarget, root: bytes, options: Sequence[str]
) -> EnrollReport:
    """Pin a root on a line PC, and return the report of its ``graftline enroll``.

    Args:
        root: Root metadata to trust.
        options: Further options of the verb.

    Raises:
        GraftlineError: The line PC cannot be reached, or refuses.
    """
    arguments = (f"local:{target.slot}", "--json", *options)
    command = ("sh", "-c", ENROLL, "enroll", *arguments)
    answer = run_ssh(target, command, stdin=root, limit_s=ANSWER_LIMIT_S)
    try:
        report = EnrollReport.model_validate_json(answer.output)
    except ValidationError as exc:
        raise _refused(target, answer) from exc
    return report.model_copy(update={"target": target.name})


def _run_verb(target: SshTarget, arguments: Sequence[str]) -> SshAnswer:
    return run_graftline(target, arguments, limit_s=VERB_LIMIT_S)


def _ask_missing(
    target: SshTarget, delivery: PackageDelivery, *options: str
) -> MissingFiles:
    wanted = WantedFiles(files=delivery.sizes()).model_dump_json().encode()
    arguments = ("agent", "--slot", target.slot, "--missing", *options)
    answer = run_graftline(target, arguments, stdin=wanted, limit_s=ANSWER_LIMIT_S)
    if answer.code != ExitCode.OK:
        raise _refused(target, answer)
    try:
        missing = MissingFiles.model_validate_json(answer.output)
        quoted(missing.inbox)
    except (ValidationError, ValueError) as exc:
        raise InstallError(
            f"{target.name}: the answer of the line PC is not readable.",
            why=shown(answer.output.decode(errors="replace")),
            fix="Does its shell print a greeting? Keep stdout empty in ~/.bashrc.",
        ) from exc
    return missing


def _amount(delivery: PackageDelivery, missing: Sequence[MissingFile]) -> SentFiles:
    sizes = delivery.sizes()
    rest = [sizes.get(each.sha256, 0) - each.have_bytes for each in missing]
    return SentFiles(len(rest), sum(rest))


def _send_files(
    target: SshTarget,
    delivery: PackageDelivery,
    answer: MissingFiles,
    amount: SentFiles,
) -> None:
    sizes = delivery.sizes()
    files = [
        PutFile(each.sha256, is_resumed=_is_same_start(delivery, each))
        for each in answer.missing
        if sizes.get(each.sha256)  # an empty file is there already
    ]
    if files:
        limit_s = TRANSFER_MIN_S + amount.size_bytes / MIN_BYTES_PER_S
        batch = send_files(answer.inbox, files)
        run_sftp(target, batch, folder=delivery.folder, limit_s=limit_s)


def _is_same_start(delivery: PackageDelivery, missing: MissingFile) -> bool:
    """Return whether the bytes on the line PC are the start of the file."""
    if not missing.have_bytes:
        return True
    digest, left = hashlib.sha256(), missing.have_bytes
    for chunk in regular_chunks(delivery.file(missing.sha256)):
        digest.update(chunk[:left])
        left -= len(chunk[:left])
        if not left:
            break
    return digest.hexdigest() == missing.have_sha256


def _send_entry(
    target: SshTarget, delivery: PackageDelivery, inbox: str, request: FlashRequest
) -> None:
    name, content = request_file(request)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write_atomically(path, content, durable=False)
        files = [(each, each) for each in delivery.entry_names()]
        batch = send_entry(inbox, request.id, [*files, (str(path), name)])
        run_sftp(target, batch, folder=delivery.folder, limit_s=TRANSFER_MIN_S)


def _refused(target: SshTarget, answer: SshAnswer) -> GraftlineError:
    return explain_answer(target, answer.code, answer.errors)
