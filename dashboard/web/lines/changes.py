"""What people change on a station: model, maintenance, name, picture, forgetting it."""

import asyncio
import base64
import binascii
import secrets
from datetime import UTC, datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.forget import forget_sender, retained_topics
from dashboard.history.maintenance import end_maintenance, start_maintenance
from dashboard.history.model_orders import note_order, order_of, unheard_stations
from dashboard.history.queries import Json
from dashboard.history.settings import add_version, current_version
from dashboard.outgoing import ANSWER_UNKNOWN, NotSentError
from dashboard.plant_settings import PlantSettings
from dashboard.status import now_ms
from dashboard.web.api import as_json
from dashboard.web.lines.pictures import JPEG_START, LivePicture, LivePictures
from dashboard.web.lines.requests import (
    MS_PER_MINUTE,
    CameraRequest,
    MaintenanceRequest,
    NameRequest,
)
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site, read_body
from models.commands import CommandReply, CommandVerb, SnapshotCommand
from models.errors import ConfigError
from models.home_assistant import camera_removal, discovery_topic
from models.messages import THUMBNAIL_MAX_BYTES, DesiredModel
from models.shown_text import may_hold_login, on_one_line
from models.topics import StationTopics

BROKER_LIMIT_S = 5.0
REPLY_LIMIT_S = 8.0  # a station waits up to 5 s for a frame
COMMAND_LIFE_S = 60  # the clocks of the line PC and of this machine may differ


class LineChanges:
    """The handlers of the routes."""

    def __init__(self, site: Site, pictures: LivePictures) -> None:
        self._site, self._pictures = site, pictures

    @needs(Role.ENGINEER)
    async def desire(self, request: Request) -> Response:
        """``POST /api/lines/{station}/desired``: order a model of the station's agent.

        The body is a ``DesiredModel``. The agent verifies the release, tries it, and
        answers on ``model/reported``.
        """
        topics, desired = topics_of(request), await read_body(request, DesiredModel)
        if not desired.url.isprintable() or may_hold_login(desired.url):
            raise HTTPException(400, "url: no login and no control characters in it")
        return await self._order(request, topics, desired)

    @needs(Role.ENGINEER)
    async def take_back(self, request: Request) -> Response:
        """``POST /api/lines/{station}/desired/take-back``: order no model any more."""
        return await self._order(request, topics_of(request), None)

    async def _order(
        self, request: Request, topics: StationTopics, desired: DesiredModel | None
    ) -> Response:
        user = _user(request)
        orders = await run_in_threadpool(self._keep_order, topics, user, desired)
        payload = desired.model_dump_json().encode() if desired else b""
        refusal = await self._send(topics.desired_model, payload)
        if refusal:
            await run_in_threadpool(self._note_refusal, topics, user, orders, refusal)
            raise HTTPException(502, refusal)
        return as_json({"done": True})

    def _keep_order(
        self, topics: StationTopics, user: str, desired: DesiredModel | None
    ) -> tuple[DesiredModel | None, Json | None]:
        """Store an order before it is sent; return the one before it, and its row."""
        with self._site.database.write() as connection:
            before = order_of(connection, _place(topics))
            note_order(connection, topics, now_ms(), user, desired)
            mine = order_of(connection, _place(topics))
            details = desired.model_dump(mode="json") if desired else {}
            action = "model.desire" if desired else "model.take-back"
            audit.append(connection, user, action, _name(topics), details)
        if not before or not before["sha256"]:
            return None, mine
        fields = ("name", "build", "sha256", "url")
        return DesiredModel(**{name: before[name] for name in fields}), mine

    def _note_refusal(
        self,
        topics: StationTopics,
        user: str,
        orders: tuple[DesiredModel | None, Json | None],
        reason: str,
    ) -> None:
        """Undo an order that was not sent, unless there is a newer one."""
        before, mine = orders
        is_unknown = ANSWER_UNKNOWN in reason
        action = "model.answer-unknown" if is_unknown else "model.not-sent"
        with self._site.database.write() as connection:
            if not is_unknown and order_of(connection, _place(topics)) == mine:
                note_order(connection, topics, now_ms(), user, before)
            audit.append(connection, user, action, _name(topics), {"reason": reason})

    @needs(Role.OPERATOR)
    async def start_maintenance(self, request: Request) -> Response:
        """``POST /api/lines/{station}/maintenance``: no alarms for some minutes."""
        topics = topics_of(request)
        body = await read_body(request, MaintenanceRequest)
        at_ms, user = now_ms(), _user(request)
        until_ms = at_ms + body.minutes * MS_PER_MINUTE
        where = (*_place(topics), body.camera)

        def write() -> None:
            with self._site.database.write() as connection:
                start_maintenance(connection, where, at_ms, until_ms, user, body.reason)
                details = {"minutes": body.minutes, "reason": body.reason}
                subject = _name(topics, body.camera)
                audit.append(connection, user, "maintenance.start", subject, details)

        await run_in_threadpool(write)
        self._site.broadcaster.note_change()
        return as_json({"until_ms": until_ms})

    @needs(Role.OPERATOR)
    async def end_maintenance(self, request: Request) -> Response:
        """``POST /api/lines/{station}/maintenance/end``: alarms from now on."""
        topics, body = topics_of(request), await read_body(request, CameraRequest)
        user, where = _user(request), (*_place(topics), body.camera)

        def write() -> int:
            with self._site.database.write() as connection:
                ended = end_maintenance(connection, where, now_ms(), user)
                if ended:
                    subject = _name(topics, body.camera)
                    audit.append(connection, user, "maintenance.end", subject, {})
                return ended

        ended = await run_in_threadpool(write)
        self._site.broadcaster.note_change()
        return as_json({"ended": ended})

    @needs(Role.ENGINEER)
    async def rename(self, request: Request) -> Response:
        """``POST /api/lines/{station}/name``: the name to show; topics stay as is."""
        topics, body = topics_of(request), await read_body(request, NameRequest)
        place = _name(topics, body.camera)

        def write() -> None:
            with self._site.database.write() as connection:
                current = current_version(connection)
                names = {**current.settings.names}
                names.pop(place, None)
                if body.name:
                    names[place] = body.name
                content = current.settings.model_dump() | {"names": names}
                settings = PlantSettings.model_validate(content)
                user, at_ms = _user(request), now_ms()
                add_version(connection, current.n + 1, at_ms, user, settings)
                details = {
                    "from": current.settings.names.get(place, ""),
                    "to": body.name,
                }
                audit.append(connection, user, "name.change", place, details)

        try:
            await run_in_threadpool(write)
        except ValueError as exc:
            raise HTTPException(400, "name: this cannot be shown") from exc
        return as_json({"done": True})

    @needs(Role.ENGINEER)
    async def forget(self, request: Request) -> Response:
        """``POST /api/lines/{station}/forget``: remove a sender that is gone.

        Its retained messages are deleted at the broker and its components are removed
        from Home Assistant. Its alerts stay in the history.
        """
        topics, body = topics_of(request), await read_body(request, CameraRequest)
        row = await run_in_threadpool(self._row, topics)
        cameras = [each["camera"] for each in row["cameras"]]
        if body.camera and body.camera not in cameras:
            raise HTTPException(404, "no such camera")
        self._refuse_running(row, body.camera)
        for topic in retained_topics(topics, cameras, body.camera):
            if refusal := await self._send(topic, b""):
                raise HTTPException(502, refusal)
        warning = await self._leave_home_assistant(topics, body.camera)
        await run_in_threadpool(self._forget, topics, body.camera, _user(request))
        self._site.broadcaster.note_change()
        return as_json({"done": True, "warning": warning})

    def _refuse_running(self, row: Json, camera: str) -> None:
        """Refuse to forget what its next message would bring back."""
        rows = [row]
        if camera:
            rows = [each for each in row["cameras"] if each["camera"] == camera]
        stale_ms = self._site.settings.page.stale_after_s * 1000
        for each in rows:
            heard_ms = each["heard_ms"]
            if heard_ms is not None and now_ms() - heard_ms < stale_ms:
                detail = "it still sends messages; stop it, or remove it there first"
                raise HTTPException(409, detail)

    async def _leave_home_assistant(self, topics: StationTopics, camera: str) -> str:
        """Remove a device or the components of a camera; return why it failed."""
        prefix = self._site.settings.lines.home_assistant_prefix
        if not prefix:
            return ""
        topic = discovery_topic(prefix, topics)
        if camera:
            content = camera_removal(topics, camera)
            return await self._send(topic, content, retain=False)
        return await self._send(topic, b"")

    def _forget(self, topics: StationTopics, camera: str, user: str) -> None:
        with self._site.database.write() as connection:
            forget_sender(connection, topics, camera)
            audit.append(connection, user, "sender.forget", _name(topics, camera), {})

    @needs(Role.OPERATOR)
    async def take_picture(self, request: Request) -> Response:
        """``POST /api/lines/{station}/pictures``: request the next frame of a camera.

        The answer has the ``url`` of the picture.
        """
        topics, body = topics_of(request), await read_body(request, CameraRequest)
        if not body.camera:
            raise HTTPException(400, "camera: which one?")
        command = SnapshotCommand(
            id=f"page-{secrets.token_hex(8)}",
            expires_at=datetime.now(UTC) + timedelta(seconds=COMMAND_LIFE_S),
            camera=body.camera,
        )
        asked = self._site.outgoing.ask(topics, CommandVerb.SNAPSHOT, command)
        try:
            reply = await asyncio.wait_for(asyncio.wrap_future(asked), REPLY_LIMIT_S)
        except TimeoutError as exc:
            raise HTTPException(504, "the station did not reply") from exc
        except NotSentError as exc:
            raise HTTPException(502, str(exc)) from exc
        picture = LivePicture(now_ms(), _jpeg_of(reply))
        self._pictures.put((*_place(topics), body.camera), picture)
        url = f"/api/lines/{_name(topics)}/pictures/{body.camera}?at={picture.at_ms}"
        return as_json({"url": url, "at_ms": picture.at_ms})

    @needs(Role.VIEWER)
    def picture(self, request: Request) -> Response:
        """``GET /api/lines/{station}/pictures/{camera}``: the last one, JPEG."""
        topics = topics_of(request)
        found = self._pictures.get((*_place(topics), request.path_params["camera"]))
        if found is None:
            raise HTTPException(404, "no picture was requested lately")
        headers = {"cache-control": "private, no-store"}
        return Response(found.jpeg, media_type="image/jpeg", headers=headers)

    def _row(self, topics: StationTopics) -> Json:
        with self._site.database.read() as connection:
            unheard = unheard_stations(connection)
        for row in (*self._site.history.stations(now_ms()), *unheard):
            if (row["site"], row["line"], row["station"]) == _place(topics):
                return row
        raise HTTPException(404, "no such station")

    async def _send(self, topic: str, payload: bytes, *, retain: bool = True) -> str:
        """Send a message; return why the broker does not have it.

        After the limit it is not sent any more, or ``ANSWER_UNKNOWN`` is in the reason.
        """
        answer = self._site.outgoing.publish(topic, payload, retain=retain)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), BROKER_LIMIT_S)
        except TimeoutError:
            if answer.cancel():
                return "the broker did not answer"
            if answer.done():
                return answer.result()
            return f"the broker did not answer; {ANSWER_UNKNOWN}"


def topics_of(request: Request) -> StationTopics:
    """Return the station of a URL.

    Raises:
        HTTPException: 404 = it is not a name of a station.
    """
    names = request.path_params
    try:
        return StationTopics(names["site"], names["line"], names["station"])
    except ConfigError as exc:
        raise HTTPException(404, "no such station") from exc


def _jpeg_of(reply: CommandReply) -> bytes:
    """Return the picture of a reply.

    Raises:
        HTTPException: 409 = the station refused, 502 = there is no picture in it.
    """
    if not reply.accepted:
        raise HTTPException(409, on_one_line(reply.reason)[:300] or "refused")
    try:
        jpeg = base64.b64decode(reply.picture, validate=True)
    except (binascii.Error, ValueError):
        jpeg = b""
    if not jpeg.startswith(JPEG_START) or len(jpeg) > THUMBNAIL_MAX_BYTES:
        raise HTTPException(502, "the reply of the station holds no picture")
    return jpeg


def _place(topics: StationTopics) -> tuple[str, str, str]:
    return topics.site, topics.line, topics.station


def _name(topics: StationTopics, camera: str = "") -> str:
    return "/".join([*_place(topics), *([camera] if camera else [])])


def _user(request: Request) -> str:
    user = user_of(request)
    return user.name if user else ""
