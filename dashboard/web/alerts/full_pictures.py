"""The full picture of an alert: fetched from its line PC over MQTT, piece by piece.

An operator asks for it; a thread sends one command after the other and puts the pieces
together, while the page asks how far it is. The picture is kept in a cache. Its sha256
must be the announced one, and begin as the name of the file on the line PC does. The
heat map of an alert goes the same way, in one piece as a rule.
"""

import base64
import binascii
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import ValidationError

from dashboard.config import HistorySettings
from dashboard.history.database import Database
from dashboard.history.full_picture_cache import PictureKind, keep_full_picture
from dashboard.messages import JPEG_START
from dashboard.outgoing import NotSentError, Outgoing
from dashboard.status import now_ms
from models.commands import (
    EVIDENCE_MAX_BYTES,
    PIECE_MAX_BYTES,
    CommandRefusal,
    CommandReply,
    CommandVerb,
    EvidenceCommand,
    EvidencePiece,
)
from models.counted import counted
from models.heat_map import HEAT_MAP_MAX_BYTES, check_heat_map
from models.topics import StationTopics

COMMAND_LIFE_S = 60
REPLY_LIMIT_S = 10.0  # of a station with a slow line: a piece has 64 kB
TRIES = 3  # of a piece whose reply is lost
BUSY_TRIES = 20  # a station that serves others, too
BUSY_PAUSE_S = 0.5
AT_ONCE = 4  # pictures that are fetched
REMEMBERED = 200  # how the last requests ended
BYTES_PER_MB = 1 << 20
SHARE_OF_HISTORY = 8
OTHER_PICTURE = "what the station sent is not the picture of this alert"
SUFFIXES = {PictureKind.FULL: ".jpg", PictureKind.HEAT_MAP: ".png"}
logger = logging.getLogger(__name__)


class FetchState(StrEnum):
    """How far a picture is."""

    NONE = "none"  # not asked for
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fetch:
    """How far a picture is.

    Attributes:
        got_bytes: How much has arrived; ``size_bytes`` is 0 before the first piece.
        reason: Why it failed.
    """

    state: FetchState = FetchState.NONE
    got_bytes: int = 0
    size_bytes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One picture of one alert."""

    event_id: str
    kind: PictureKind = PictureKind.FULL


class _FailedError(Exception):
    """A picture cannot be fetched; the text says why."""


class FullPictures:
    """Fetches pictures, each in a thread of its own; from any thread.

    Args:
        outgoing: Sends the commands.
        settings: How large the cache may be, and for how long pictures are kept.
        pause: Waits for some seconds.
        reply_limit_s: How long to wait for the reply to one command.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        database: Database,
        settings: HistorySettings,
        pause: Callable[[float], None] = time.sleep,
        reply_limit_s: float = REPLY_LIMIT_S,
    ) -> None:
        self._outgoing, self._database = outgoing, database
        self._settings, self._pause = settings, pause
        self._reply_limit_s = reply_limit_s
        self._lock = threading.Lock()
        self._fetches: dict[Wanted, Fetch] = {}

    def state(self, wanted: Wanted) -> Fetch:
        """Return how far a picture is."""
        with self._lock:
            return self._fetches.get(wanted, Fetch())

    def start(self, wanted: Wanted, topics: StationTopics, path: str) -> Fetch:
        """Fetch a picture unless that is being done already; return how far it is.

        Args:
            path: On the line PC, as the alert names it.
        """
        with self._lock:
            known = self._fetches.get(wanted, Fetch())
            running = [
                each
                for each in self._fetches.values()
                if each.state is FetchState.RUNNING
            ]
            if known.state is FetchState.RUNNING:
                return known
            if len(running) >= AT_ONCE:
                reason = f"{AT_ONCE} pictures are being fetched: try again soon"
                return Fetch(FetchState.FAILED, reason=reason)
            self._forget_oldest()
            started = self._fetches[wanted] = Fetch(FetchState.RUNNING)
        threading.Thread(
            target=self._run,
            args=(wanted, topics, path),
            name="full-picture",
            daemon=True,
        ).start()
        return started

    def _forget_oldest(self) -> None:
        ended = [
            wanted
            for wanted, each in self._fetches.items()
            if each.state is not FetchState.RUNNING
        ]
        for wanted in ended[: max(0, len(self._fetches) - REMEMBERED)]:
            del self._fetches[wanted]

    def _run(self, wanted: Wanted, topics: StationTopics, path: str) -> None:
        try:
            content = self._fetch(wanted, topics, path)
            _check(wanted.kind, content)
            self._keep(wanted, content)
            ended = Fetch(FetchState.DONE, len(content), len(content))
        except _FailedError as exc:
            ended = Fetch(FetchState.FAILED, reason=str(exc))
        # The top of the thread: the page must not wait for ever.
        except Exception as exc:
            logger.exception("full_picture_failed event=%s", wanted.event_id)
            ended = Fetch(FetchState.FAILED, reason=f"{type(exc).__name__}: {exc}")
        with self._lock:
            self._fetches[wanted] = ended

    def _fetch(self, wanted: Wanted, topics: StationTopics, path: str) -> bytes:
        """Return a picture whose sha256 is the announced one."""
        content, first = bytearray(), None
        while first is None or len(content) < first.size_bytes:
            piece = self._piece(topics, path, len(content))
            first = first or piece
            part = _content_of(piece)
            is_next = piece.offset == len(content) and bool(part)
            is_same = (piece.sha256, piece.size_bytes) == (
                first.sha256,
                first.size_bytes,
            )
            if not (is_next and is_same):
                msg = "its pieces do not belong together: it was replaced meanwhile"
                raise _FailedError(msg)
            if first.size_bytes > _most_bytes(wanted.kind):
                size = counted(first.size_bytes, "byte")
                msg = f"it has {size}, more than any such picture"
                raise _FailedError(msg)
            content += part
            with self._lock:
                self._fetches[wanted] = replace(
                    self._fetches[wanted],
                    got_bytes=len(content),
                    size_bytes=first.size_bytes,
                )
        picture = bytes(content)
        sha256 = hashlib.sha256(picture).hexdigest()
        named = path.removesuffix(SUFFIXES[wanted.kind]).rpartition("-")[2]
        is_whole = len(picture) == first.size_bytes and sha256 == first.sha256
        if not (is_whole and sha256.startswith(named)):
            raise _FailedError(OTHER_PICTURE)
        return picture

    def _piece(self, topics: StationTopics, path: str, offset: int) -> EvidencePiece:
        lost = busy = 0
        while True:
            reply = self._ask(topics, path, offset)
            if reply is None:
                lost += 1
                if lost >= TRIES:
                    msg = "the station does not answer: it is away, or its line is slow"
                    raise _FailedError(msg)
            elif reply.refusal is CommandRefusal.QUEUE_FULL and busy < BUSY_TRIES:
                busy += 1
                self._pause(BUSY_PAUSE_S)
            elif reply.accepted and reply.evidence is not None:
                return reply.evidence
            else:
                raise _FailedError(_explain(reply))

    def _ask(
        self, topics: StationTopics, path: str, offset: int
    ) -> CommandReply | None:
        """Return the reply to one command; None if none came in time."""
        try:
            command = EvidenceCommand(
                id=f"page-{secrets.token_hex(16)}",
                expires_at=datetime.now(UTC) + timedelta(seconds=COMMAND_LIFE_S),
                path=path,
                offset=offset,
            )
        except ValidationError as exc:
            msg = "the station names a path that is none"
            raise _FailedError(msg) from exc
        asked = self._outgoing.ask(topics, CommandVerb.EVIDENCE, command)
        try:
            return asked.result(self._reply_limit_s)
        except FutureTimeoutError:
            asked.cancel()
            return None
        except NotSentError as exc:
            raise _FailedError(str(exc)) from exc

    def _keep(self, wanted: Wanted, content: bytes) -> None:
        most_mb = self._settings.full_pictures_mb
        if self._settings.max_mb:
            most_mb = min(most_mb, self._settings.max_mb // SHARE_OF_HISTORY)
        with self._database.write() as connection:
            is_kept = keep_full_picture(
                connection,
                wanted.event_id,
                content,
                wanted.kind,
                at_ms=now_ms(),
                most_bytes=most_mb * BYTES_PER_MB,
                keep_days=self._settings.keep_images_days,
            )
        if not is_kept:
            size_mb = -(-len(content) // BYTES_PER_MB)
            msg = f"it has {size_mb} MiB, and [history] leaves {most_mb} MiB for them"
            raise _FailedError(msg)


def _most_bytes(kind: PictureKind) -> int:
    return EVIDENCE_MAX_BYTES if kind is PictureKind.FULL else HEAT_MAP_MAX_BYTES


def _check(kind: PictureKind, content: bytes) -> None:
    """Refuse a file that browsers and exports should not get."""
    if kind is PictureKind.FULL:
        if not content.startswith(JPEG_START):
            raise _FailedError(OTHER_PICTURE)
        return
    try:
        check_heat_map(content)
    except ValueError as exc:
        msg = f"what the station sent is no heat map: {exc}"
        raise _FailedError(msg) from exc


def _content_of(piece: EvidencePiece) -> bytes:
    try:
        content = base64.b64decode(piece.content, validate=True)
    except (binascii.Error, ValueError) as exc:
        msg = "the station sent a piece that is damaged"
        raise _FailedError(msg) from exc
    if len(content) > PIECE_MAX_BYTES:
        msg = "the station sent a piece that is too large"
        raise _FailedError(msg)
    return content


def _explain(reply: CommandReply) -> str:
    if reply.refusal is CommandRefusal.UNKNOWN_VERB:
        return "the station is of an older version, which sends no full pictures"
    return reply.reason or "the station refused"
