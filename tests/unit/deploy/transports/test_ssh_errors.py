"""What OpenSSH prints, as it was seen, and what it means."""

import pytest

from deploy.target import SshTarget
from deploy.transports.ssh_errors import (
    TargetError,
    TargetProblem,
    explain_answer,
    explain_sftp,
    explain_ssh,
)
from models.errors import InstallError, PackageError

TARGET = SshTarget("ssh://pc@line-3", "pc", "line-3", None, "/srv/slot")
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in /home/a/.ssh/known_hosts:3
Host key for line-3 has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("errors", "problem"),
    [
        (
            "ssh: Could not resolve hostname line-3: Name or service not known",
            TargetProblem.UNKNOWN_HOST,
        ),
        (CHANGED, TargetProblem.HOST_KEY_CHANGED),
        ("Host key verification failed.", TargetProblem.HOST_KEY_UNKNOWN),
        (
            "No ED25519 host key is known for line-3\nHost key verification failed.",
            TargetProblem.HOST_KEY_UNKNOWN,
        ),
        ("pc@line-3: Permission denied (publickey).", TargetProblem.KEY_REFUSED),
        (
            "Received disconnect from pc port 22:2: Too many authentication failures",
            TargetProblem.KEY_REFUSED,
        ),
        (
            "ssh: connect to host line-3 port 22: Connection refused",
            TargetProblem.UNREACHABLE,
        ),
        (
            "ssh: connect to host line-3 port 22: No route to host",
            TargetProblem.UNREACHABLE,
        ),
        (
            "ssh: connect to host line-3 port 22: Connection timed out",
            TargetProblem.UNREACHABLE,
        ),
        (
            "Connection timed out during banner exchange",
            TargetProblem.UNREACHABLE,
        ),
        ("Connection closed by remote host\r\n", TargetProblem.CUT),
        ("client_loop: send disconnect: Broken pipe", TargetProblem.CUT),
        ("Timeout, server line-3 not responding.", TargetProblem.CUT),
        ("Connection closed.  \nConnection closed", TargetProblem.CUT),
        ("something else", TargetProblem.OTHER),
        ("", TargetProblem.OTHER),
    ],
)
def test_message_of_openssh_is_recognized(errors: str, problem: TargetProblem) -> None:
    error = explain_ssh(TARGET, errors)
    assert error.problem is problem
    assert error.what.startswith(f"{TARGET.name}: ")
    assert error.why
    assert error.fix
    assert error.exit_code == InstallError.exit_code


def test_fix_of_a_changed_host_key_names_the_commands() -> None:
    error = explain_ssh(TARGET, CHANGED)
    assert "ssh-keygen -R line-3" in error.fix
    assert "`ssh pc@line-3`" in error.fix


def test_message_of_the_line_pc_cannot_command_the_terminal() -> None:
    error = explain_ssh(TARGET, "\x1b]0;a\x07 evil")
    assert "\x1b" not in error.why


def test_transfer_into_a_slot_of_another_user_names_the_fix() -> None:
    text = 'dest open "/srv/slot/inbox/.files/aa": Permission denied'
    error = explain_sftp(TARGET, text)
    assert error.problem is TargetProblem.SLOT_NOT_WRITABLE
    assert "user of the daemon" in error.fix


@pytest.mark.parametrize(
    "text",
    [
        "Connection to 10.0.0.7 closed by remote host.\nConnection closed",
        'resume "files/aa": destination file same size or larger',
    ],
)
def test_transfer_that_was_cut_or_runs_twice_is_worth_another_try(text: str) -> None:
    assert explain_sftp(TARGET, text).problem is TargetProblem.CUT


def test_full_disk_of_the_line_pc_is_a_failed_transfer() -> None:
    error = explain_sftp(TARGET, 'write remote "/srv/slot/inbox": Failure')
    assert error.problem is TargetProblem.OTHER
    assert "full" in error.fix


def test_error_of_the_line_pc_is_passed_on_with_the_name_that_is_typed_here() -> None:
    text = (
        "2026-11-30 12:00:00 INFO deploy.agent: x\n"
        "error: local:/srv/slot: not enrolled.\n"
        "  This line PC trusts no keys yet.\n"
        "  Fix: graftline enroll local:/srv/slot --keys DIR\n"
    )
    error = explain_answer(TARGET, PackageError.exit_code, text)
    assert isinstance(error, PackageError)
    assert error.what == "ssh://pc@line-3: not enrolled."
    assert error.why == "This line PC trusts no keys yet."
    assert error.fix == "graftline enroll ssh://pc@line-3 --keys DIR"


@pytest.mark.parametrize(
    ("slot", "there"),
    [("slot", "/home/pc/slot"), ("slot", "slot"), ("a/b c", "/home/pc/a/b c")],
)
def test_slot_below_the_home_folder_is_named_as_on_the_workstation(
    slot: str, there: str
) -> None:
    target = SshTarget(f"ssh://line-3/~/{slot}", "", "line-3", None, slot)
    text = (
        f"error: local:{there}: not enrolled.\n  local:{there}-2 is another one.\n"
        f"  Fix: graftline enroll local:{there} --keys DIR\n"
    )
    error = explain_answer(target, InstallError.exit_code, text)
    assert error.what == f"ssh://line-3/~/{slot}: not enrolled."
    assert error.why == f"local:{there}-2 is another one."
    assert error.fix == f"graftline enroll ssh://line-3/~/{slot} --keys DIR"


def test_slot_that_the_user_may_not_write_is_recognized() -> None:
    text = "error: /srv/slot: the slot cannot be written.\n  Permission denied\n"
    error = explain_answer(TARGET, InstallError.exit_code, text)
    assert isinstance(error, TargetError)
    assert error.problem is TargetProblem.SLOT_NOT_WRITABLE


def test_silence_of_the_line_pc_is_an_error_too() -> None:
    assert "graftline failed" in explain_answer(TARGET, 1, "").what
