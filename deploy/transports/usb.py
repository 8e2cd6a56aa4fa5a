"""A stick, or a file share: a folder that is carried to the line PC.

::

    STICK/graftline/     the release, and request.json, written last

On the line PC ``graftline agent --from STICK`` takes it. A stick that is pulled out
half-way has no request: nothing is taken from it, and the same command again goes on.
"""

from pathlib import Path

from deploy.target import UsbTarget
from deploy.transports.delivery import PackageDelivery, SentFiles, request_file
from deploy.transports.ssh_errors import TargetError, TargetProblem
from models.files import (
    fsync_file,
    fsync_folder,
    make_folder,
    open_new,
    read_regular,
    regular_chunks,
    sha256_of,
    write_atomically,
)
from models.inbox_files import FILES_NAME, METADATA_NAME, REQUEST_NAME, FlashRequest

STICK_FOLDER = "graftline"
METADATA_MAX_BYTES = 64 << 20  # of our own release


def release_on(stick: Path) -> Path:
    """Return the release on a stick; ``graftline`` itself may be given too.

    It may be a link, which no caller may follow: the result is written there.
    """
    if stick.name != STICK_FOLDER and not (stick / REQUEST_NAME).exists():
        return stick / STICK_FOLDER
    return stick


def write_stick(
    target: UsbTarget, delivery: PackageDelivery, request: FlashRequest
) -> SentFiles:
    """Write a release onto a stick, and the request last.

    Files that are there are checked and kept.

    Raises:
        TargetError: The stick is not there, cannot be written, or was removed.
    """
    if not target.folder.is_dir():
        raise TargetError(
            f"{target.name}: there is no such folder.",
            why="The stick is not mounted there.",
            fix="Mount the stick, and give its folder: usb:/media/stick.",
            problem=TargetProblem.UNREACHABLE,
        )
    folder = target.folder / STICK_FOLDER
    name, content = request_file(request)
    try:
        for part in ("", METADATA_NAME, FILES_NAME):
            make_folder(folder / part)
        # A line PC takes nothing from a stick that is being written.
        (folder / name).unlink(missing_ok=True)
        fsync_folder(folder)
        sent = _copy_files(delivery, folder)
        # The timestamp leads to all other metadata: it is the last one.
        entry = sorted(delivery.entry_names(), key=lambda each: "timestamp" in each)
        for each in entry:
            source = read_regular(delivery.folder / each, METADATA_MAX_BYTES)
            write_atomically(folder / each, source)
        fsync_folder(folder / METADATA_NAME)
        write_atomically(folder / name, content)
    except OSError as exc:
        raise stick_not_writable(target, exc) from exc
    return sent


def _copy_files(delivery: PackageDelivery, folder: Path) -> SentFiles:
    """Copy the files that the stick lacks, and remove those of older packages."""
    sizes, count, size_bytes = delivery.sizes(), 0, 0
    for path in (folder / FILES_NAME).iterdir():
        if path.name not in sizes:
            path.unlink()
    for sha256, size in sizes.items():
        path = folder / FILES_NAME / sha256
        is_whole = path.is_file() and path.stat().st_size == size
        if is_whole and sha256_of(path) == sha256:
            continue
        temporary = path.with_name(f".{sha256}.tmp")
        with open_new(temporary) as file:
            for chunk in regular_chunks(delivery.file(sha256)):
                file.write(chunk)
        fsync_file(temporary)
        temporary.replace(path)
        count, size_bytes = count + 1, size_bytes + size
    fsync_folder(folder / FILES_NAME)
    return SentFiles(count, size_bytes)


def stick_not_writable(target: UsbTarget, error: OSError) -> TargetError:
    """Return the error of a stick that cannot be written."""
    return TargetError(
        f"{target.name}: the stick cannot be written.",
        why=error.strerror or str(error),
        fix="Is it full, write-protected or pulled out? Run the same command again.",
        problem=TargetProblem.SLOT_NOT_WRITABLE,
    )
