"""Takes a release from a stick or a file share, and leaves the result there."""

import logging
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from deploy.agent.agent import Agent
from deploy.agent.inbox import read_request
from deploy.transports.usb import release_on
from models.errors import InstallError
from models.files import write_atomically
from models.inbox_files import REQUEST_NAME, FlashRequest, ResultLine
from models.topics import plain_name

ID_START_CHARS = 40
logger = logging.getLogger(__name__)


def queue_stick(agent: Agent, stick: Path) -> FlashRequest:
    """Put the request of a stick into the inbox, even if it was taken before.

    Args:
        stick: Where it is mounted, or the release itself.

    Raises:
        InstallError: There is no complete release.
        OSError: The inbox cannot be written.
    """
    folder = release_on(stick)
    if folder.is_symlink() or not folder.is_dir():
        raise InstallError(
            f"{stick}: there is no release.",
            why=f"Expected the folder {folder}.",
            fix="Write the stick: graftline flash PACKAGE usb:DIR",
        )
    request = read_request(folder)
    new_id = f"{request.id[:ID_START_CHARS]}-{secrets.token_hex(4)}"
    return _queue(agent, folder, request, new_id)


def queue_new_stick(agent: Agent, mount: Path) -> FlashRequest | None:
    """Put the request of a stick into the inbox if it was not taken before.

    Args:
        mount: Watched folder; a stick may be mounted there, or in a folder below it.
    """
    with suppress(OSError):
        for stick in [mount, *sorted(mount.iterdir())]:
            folder = release_on(stick)
            if folder.is_symlink() or not (folder / REQUEST_NAME).is_file():
                continue
            try:
                request = read_request(folder)
            except InstallError as exc:
                logger.warning("stick_not_taken folder=%s why=%s", folder, exc)
                continue
            if agent.inbox.log(request.id).path.exists():
                continue
            if request.id not in agent.inbox.waiting():
                return _queue(agent, folder, request, request.id)
    return None


def _queue(
    agent: Agent, folder: Path, request: FlashRequest, entry_id: str
) -> FlashRequest:
    update = {"id": entry_id, "source": str(folder.absolute())}
    queued = request.model_copy(update=update)
    agent.inbox.add(queued)
    return queued


def leave_result(request: FlashRequest, result: ResultLine) -> None:
    """Write a result onto the stick, for the person who carries it; if possible."""
    host = plain_name(socket.gethostname()) or "line-pc"
    path = Path(request.source, f"result-{host}.json")
    text = result.model_dump_json(indent=1, exclude={"report"}).encode()
    try:
        write_atomically(path, text + b"\n")
    except OSError as exc:
        logger.warning("result_not_left path=%s why=%s", path, exc)
