"""The commands of an ``sftp`` batch. Pure.

Source:
    OpenSSH's sftp(1) and sftp.c (makeargv): an argument in double quotes keeps blanks
    and wildcards; a backslash escapes a quote or another backslash.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.inbox_files import FILES_NAME, METADATA_NAME, PARTIAL, POOL_NAME


@dataclass(frozen=True, slots=True)
class PutFile:
    """One file of the pool to send.

    Attributes:
        is_resumed: Its start is on the line PC.
    """

    sha256: str
    is_resumed: bool


def quoted(name: str) -> str:
    r"""Return a name as one argument.

    Raises:
        ValueError: It has a character that no batch can hold.

    >>> print(quoted('a "b"*'))
    "a \"b\"*"
    """
    if not name.isprintable():
        message = f"{name!r} has a character that cannot be printed"
        raise ValueError(message)
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def send_files(inbox: str, files: Iterable[PutFile]) -> str:
    """Return the commands that send files into the pool of an inbox.

    Args:
        inbox: Path on the line PC.
    """
    lines = [f"cd {quoted(inbox)}", f"cd {quoted(POOL_NAME)}"]
    for file in files:
        verb = "reput" if file.is_resumed else "put"
        local = PurePosixPath(FILES_NAME, file.sha256)
        lines.append(f"{verb} {quoted(str(local))} {quoted(file.sha256)}")
    return "\n".join(lines) + "\n"


def send_entry(inbox: str, entry_id: str, files: Iterable[tuple[str, str]]) -> str:
    """Return the commands that write an entry, and rename it last.

    Args:
        inbox: Path on the line PC.
        files: Local path, as sftp finds it, and name in the entry of each file.
    """
    partial = f"{PARTIAL}{entry_id}"
    lines = [
        f"cd {quoted(inbox)}",
        f"mkdir {quoted(partial)}",
        f"mkdir {quoted(f'{partial}/{METADATA_NAME}')}",
        *(
            f"put {quoted(local)} {quoted(f'{partial}/{name}')}"
            for local, name in files
        ),
        f"rename {quoted(partial)} {quoted(entry_id)}",
    ]
    return "\n".join(lines) + "\n"
