"""Parts of the installer: files, links, owners and programs of this PC.

The standard library is all that it needs. It knows nothing of Graftline.
"""

import contextlib
import fcntl
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUN_LIMIT_S = 900


class SetupError(Exception):
    """The line PC cannot be set up."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one installer run at a time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise SetupError(
            "another installer is running.", f"It holds {path}.", "Wait until it ends."
        ) from exc
    else:
        yield
    finally:
        os.close(descriptor)


def own(
    path: Path,
    user: pwd.struct_passwd | None,
    mode: int,
    *,
    is_of_root: bool = False,
) -> None:
    """Set owner and mode; a link that was planted there is not followed."""
    if path.is_symlink():
        raise SetupError(
            f"{path}: is a link, expected a file or folder.",
            "Its target would get another owner.",
            "Remove the link.",
        )
    if user:
        os.chown(path, 0 if is_of_root else user.pw_uid, user.pw_gid)
    path.chmod(mode)


def find_user(name: str) -> pwd.struct_passwd | None:
    """Return a user of this PC; None if there is none of that name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def run(*command: object, is_pip: bool = False) -> None:
    """Run a program; its failure ends the installation."""
    words = list(map(str, command))
    try:
        answer = answer_of(words, RUN_LIMIT_S, is_pip=is_pip)
        reason = answer.stderr.strip() or answer.stdout.strip() or "It printed nothing."
        is_failure = answer.returncode != 0
    except OSError as exc:
        is_failure, reason = True, str(exc)
    if is_failure:
        raise SetupError(
            f"{' '.join(words[:6])} failed.",
            " ".join(reason.split())[-600:],
            "Correct that, and run this again; what was there is in force.",
        )


def succeeds(*command: str) -> bool:
    """Run a program that answers by its exit code."""
    return not subprocess.call(command)


def answer_of(
    words: list[str], limit_s: float, *, is_pip: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; settings of the user's own Python do not reach it."""
    own = ("PYTHON", "VIRTUAL_ENV", *(() if is_pip else ("PIP_",)))
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
            cwd="/",
            env={k: v for k, v in os.environ.items() if not k.startswith(own)},
        )
    except subprocess.TimeoutExpired as exc:
        raise TimeoutError(str(exc)) from exc


def replace_link(link: Path, target: Path) -> None:
    """Point a link at a target, by one rename."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def write(path: Path, text: str, mode: int) -> None:
    """Replace a file by one rename; a link of its name is replaced too."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def step(text: str) -> None:
    """Report a step on stderr."""
    print(text, file=sys.stderr, flush=True)
