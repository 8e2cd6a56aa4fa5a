"""The demo's own folder: emptied at each start, never a foreign one, never shared.

A marker file identifies the folder of a demo; a lock on it shows that one is running.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from models.errors import ConfigError

MARKER = ".graftline-demo"
OTHER_FOLDER = "Name another folder with --out."


@contextlib.contextmanager
def demo_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that is locked for this demo inside the block.

    Args:
        out: The folder; the files of an earlier demo are removed.

    Raises:
        ConfigError: It holds other files, is in use, or cannot be written.
    """
    # Not models.files.replaced_folder: the children write here while the demo runs,
    # and the lock in the folder must last as long.
    _refuse_foreign(out)
    with contextlib.ExitStack() as files:
        try:
            out.mkdir(parents=True, exist_ok=True)
            marker = files.enter_context((out / MARKER).open("ab"))
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _empty(out)
            (out / "logs").mkdir()
        except BlockingIOError as exc:
            raise ConfigError(
                f"--out {out}: another demo uses this folder.",
                why="Its page may still be up.",
                fix=f"Stop it with Ctrl-C. Or: {OTHER_FOLDER}",
            ) from exc
        except OSError as exc:
            raise ConfigError(
                f"--out {out}: cannot be written.",
                why=f"{exc.strerror or exc}: {exc.filename or out}.",
                fix="Choose a folder that you may write to.",
            ) from exc
        yield out


def _refuse_foreign(out: Path) -> None:
    # What cannot be read is reported when the folder is written.
    with contextlib.suppress(OSError):
        if out.exists() and not out.is_dir():
            raise ConfigError(
                f"--out {out} is a file.", why="A folder is needed.", fix=OTHER_FOLDER
            )
        if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
            raise ConfigError(
                f"--out {out} is not empty and not from an earlier demo.",
                why=f"It holds no {MARKER}; its files would be lost.",
                fix=OTHER_FOLDER,
            )


def _empty(out: Path) -> None:
    for path in out.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()
