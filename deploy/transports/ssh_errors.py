"""What a failure of ``ssh`` or ``sftp`` means, and what to do about it. Pure.

OpenSSH ends with 255 for every failure of its own; only its message on stderr shows
which one it was. The messages are not translated.

Source:
    OpenSSH 9.2: sshconnect.c, sshconnect2.c, packet.c, readconf.c.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from deploy.target import SshTarget
from models.errors import GraftlineError, InstallError
from models.shown_text import on_one_line

SSH_FAILED = 255  # exit code of ssh and sftp where the connection failed
NO_PROGRAM = (126, 127)  # of a shell: it cannot be run, or is not found
SHOWN_CHARACTERS = 300
SLOT_FAULT = "the slot cannot be written"  # in the message of ``deploy.agent``


class TargetProblem(StrEnum):
    """Why a line PC cannot be used."""

    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"  # off, or the network is
    HOST_KEY_UNKNOWN = "host-key-unknown"
    HOST_KEY_CHANGED = "host-key-changed"
    KEY_REFUSED = "key-refused"
    NO_GRAFTLINE = "no-graftline"
    OLD_GRAFTLINE = "old-graftline"
    SLOT_NOT_WRITABLE = "slot-not-writable"
    NO_OPENSSH = "no-openssh"  # on the workstation
    CUT = "cut"
    OTHER = "other"


class TargetError(InstallError):
    """A line PC cannot be reached or used.

    Attributes:
        problem: Which failure it is.
    """

    def __init__(
        self, what: str, *, why: str, fix: str, problem: TargetProblem
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Case:
    """One failure: how OpenSSH names it, and what a person can do."""

    pattern: str
    problem: TargetProblem
    what: str
    fix: str


# The first one that fits counts: a changed host key also fails the verification.
CASES = (
    _Case(
        r"Could not resolve hostname|Name or service not known",
        TargetProblem.UNKNOWN_HOST,
        "the host is unknown",
        "Correct the name, or add it to ~/.ssh/config or to DNS.",
    ),
    _Case(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|[Hh]ost key .* has changed"
        r"|is marked as revoked",
        TargetProblem.HOST_KEY_CHANGED,
        "the host key has changed",
        "If the line PC was installed again: ssh-keygen -R {host}, then connect once "
        "with `{ssh}` and compare the fingerprint. Else another machine answers.",
    ),
    _Case(
        r"Host key verification failed|No \S+ host key is known",
        TargetProblem.HOST_KEY_UNKNOWN,
        "the host key is not known yet",
        "Connect once with `{ssh}`, and compare the fingerprint with the one that "
        "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the line PC.",
    ),
    _Case(
        r"Permission denied \(|Too many authentication failures"
        r"|No more authentication methods|no mutual signature",
        TargetProblem.KEY_REFUSED,
        "the line PC refuses the key",
        "Let `{ssh}` work without a password: ssh-copy-id, or the right user and "
        "IdentityFile in ~/.ssh/config.",
    ),
    _Case(
        r"Connection refused|No route to host|Network is unreachable"
        r"|Connection timed out|Operation timed out|Host is down"
        r"|banner exchange|kex_exchange_identification",
        TargetProblem.UNREACHABLE,
        "the line PC cannot be reached",
        "Is it on, and in this network? Run the same command again later; what was "
        "sent before is not sent again.",
    ),
    _Case(
        r"Connection (reset|closed|to \S+ closed)|[Bb]roken pipe|not responding"
        r"|closed by remote host|Connection lost|client_loop",
        TargetProblem.CUT,
        "the connection was cut",
        "Run the same command again; what was sent before is not sent again.",
    ),
)


def explain_ssh(target: SshTarget, errors: str) -> TargetError:
    """Return the error of a connection that failed.

    Args:
        errors: What OpenSSH wrote on stderr.
    """
    name, login, host = target.name, target.login, target.host
    for case in CASES:
        if re.search(case.pattern, errors):
            fix = case.fix.format(host=host, ssh=f"ssh {login}")
            why = shown(errors)
            return TargetError(
                f"{name}: {case.what}.", why=why, fix=fix, problem=case.problem
            )
    return TargetError(
        f"{name}: ssh failed.",
        why=shown(errors) or "It printed nothing.",
        fix=f"Let `ssh {login}` work first.",
        problem=TargetProblem.OTHER,
    )


def explain_sftp(target: SshTarget, errors: str) -> TargetError:
    """Return the error of a transfer that failed.

    A connection that is cut ends a batch with the same exit code as a command that the
    line PC refused.

    Args:
        errors: What sftp wrote on stderr.
    """
    name, slot = target.name, target.slot
    if any(re.search(case.pattern, errors) for case in CASES):
        return explain_ssh(target, errors)
    if re.search("Permission denied|Read-only|not permitted", errors):
        return TargetError(
            f"{name}: the slot cannot be written.",
            why=f"{slot}: {shown(errors)}",
            fix="Log in as the user of the daemon, who owns the slot.",
            problem=TargetProblem.SLOT_NOT_WRITABLE,
        )
    if "same size or larger" in errors:
        return TargetError(
            f"{name}: another transfer of the same package runs.",
            why=f"{slot}: {shown(errors)}",
            fix="Run the same command again when it has ended.",
            problem=TargetProblem.CUT,
        )
    return TargetError(
        f"{name}: the transfer failed.",
        why=f"{slot}: {shown(errors)}",
        fix="Check the disk of the line PC: full, or over a quota? Then run the same "
        "command again; what was sent before is not sent again.",
        problem=TargetProblem.OTHER,
    )


def explain_answer(target: SshTarget, exit_code: int, errors: str) -> GraftlineError:
    """Return the error that ``graftline`` on the line PC has printed.

    Args:
        exit_code: Its exit code.
        errors: Its stderr: ``error: what``, why, and ``Fix: ...`` on a line each.
    """
    start = errors.rfind("error: ")
    text = named_as_here(errors[max(0, start) :], target)
    lines = [line.strip() for line in text.splitlines()]
    what = lines[0].removeprefix("error: ") if lines else "graftline failed."
    if not what.startswith(target.name):
        what = f"{target.name}: {what}"
    why = " ".join(line for line in lines[1:] if not line.startswith("Fix: "))
    fix = " ".join(line[5:] for line in lines[1:] if line.startswith("Fix: "))
    if SLOT_FAULT in what:
        return TargetError(
            on_one_line(what),
            why=on_one_line(why)[:SHOWN_CHARACTERS],
            fix="Log in as the user of the daemon, who owns the slot.",
            problem=TargetProblem.SLOT_NOT_WRITABLE,
        )
    return error_of_code(exit_code)(
        on_one_line(what),
        why=on_one_line(why)[:SHOWN_CHARACTERS],
        fix=on_one_line(fix),
    )


def named_as_here(text: str, target: SshTarget) -> str:
    """Return a text of the line PC with the target as the operator wrote it."""
    slot = re.escape(target.slot)
    # A slot below the home folder is there under its whole path.
    place = slot if target.slot.startswith("/") else rf"(?:/[^\n]*?/)?{slot}"
    return re.sub(rf"local:{place}(?![\w/-]|\.\w)", lambda _: target.name, text)


def error_of_code(exit_code: int) -> type[GraftlineError]:
    """Return the class of errors that ends a command with an exit code."""
    known = {kind.exit_code: kind for kind in GraftlineError.__subclasses__()}
    return known.get(exit_code, InstallError)


def no_graftline(name: str, errors: str) -> TargetError:
    """Return the error of a line PC without the command."""
    return TargetError(
        f"{name}: graftline was not found on the line PC.",
        why=shown(errors) or "There is no such command in its PATH.",
        fix="Install it there, in the PATH or as /opt/graftline/bin/graftline.",
        problem=TargetProblem.NO_GRAFTLINE,
    )


def old_graftline(name: str, errors: str) -> TargetError:
    """Return the error of a line PC whose version lacks a verb or an option."""
    return TargetError(
        f"{name}: graftline on the line PC is too old.",
        why=shown(errors),
        fix="Update Graftline on the line PC.",
        problem=TargetProblem.OLD_GRAFTLINE,
    )


def shown(errors: str) -> str:
    """Return the end of stderr on one line, without decoration."""
    lines = [line.strip(" @") for line in errors.splitlines()]
    kept = [line for line in lines if line and not line.startswith("debug")]
    return on_one_line(" ".join(kept))[-SHOWN_CHARACTERS:]
