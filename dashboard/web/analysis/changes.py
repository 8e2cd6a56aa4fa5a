"""What people write on the pages of charts: notes for the next shift, rechecks."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.history.notes import NOTE_MAX_CHARS, add_note
from dashboard.history.rechecks import (
    CHECKED_MAX,
    TEXT_MAX_CHARS,
    Recheck,
    add_recheck,
)
from dashboard.history.settings import read_settings
from dashboard.plant_time import YEARS, PlantTime
from dashboard.statistics.rates import Rate
from dashboard.status import now_ms
from dashboard.web.analysis.reports import find_shift
from dashboard.web.api import as_json
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site, read_body
from models.topics import NAME_PATTERN

SHIFT_MAX_CHARS = 60
DAYS = Field(ge=date(YEARS[0], 1, 1), le=date(YEARS[-1], 12, 31))
OPTIONAL_NAME = rf"^$|{NAME_PATTERN}"


class NoteBody(BaseModel):
    """A note for the next shift."""

    date: Annotated[date, DAYS]
    shift: str = Field(max_length=SHIFT_MAX_CHARS)
    line: str = Field(default="", pattern=OPTIONAL_NAME)
    text: str = Field(max_length=NOTE_MAX_CHARS)


class RecheckBody(BaseModel):
    """Parts that were checked again by hand after they had passed as good."""

    checked: int = Field(ge=1, le=CHECKED_MAX)
    defective: int = Field(ge=0, le=CHECKED_MAX)
    site: str = Field(default="", pattern=OPTIONAL_NAME)
    line: str = Field(default="", pattern=OPTIONAL_NAME)
    station: str = Field(default="", pattern=OPTIONAL_NAME)
    camera: str = Field(default="", pattern=OPTIONAL_NAME)
    text: str = Field(default="", max_length=TEXT_MAX_CHARS)

    @model_validator(mode="after")
    def _is_possible(self) -> "RecheckBody":
        if self.defective > self.checked:
            raise ValueError("more defective parts than were checked")
        return self


class Changes:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._database = site.database

    @needs(Role.OPERATOR)
    async def note(self, request: Request) -> Response:
        """``POST /api/analysis/notes``: the note of a shift for the next one."""
        body = await read_body(request, NoteBody)
        await run_in_threadpool(self._add_note, body, _name_of(request))
        return as_json({"saved": True})

    @needs(Role.OPERATOR)
    async def recheck(self, request: Request) -> Response:
        """``POST /api/analysis/rechecks``: parts that were checked again by hand."""
        body = await read_body(request, RecheckBody)
        number = await run_in_threadpool(self._add_recheck, body, _name_of(request))
        return as_json({"recheck": number}, 201)

    def _add_note(self, body: NoteBody, author: str) -> None:
        text = body.text.strip()
        with self._database.write() as connection:
            settings = read_settings(connection)
            plant = PlantTime(settings.zone, settings.shifts)
            if find_shift(plant, body.date, body.shift) is None:
                raise HTTPException(404, "no such shift")
            place = (body.date, body.shift, body.line)
            add_note(connection, *place, text, author=author, at_ms=now_ms())
            subject = f"{body.date.isoformat()}/{body.shift}/{body.line}"
            audit.append(connection, author, "note.write", subject, {"text": text})

    def _add_recheck(self, body: RecheckBody, author: str) -> int:
        recheck = Recheck(
            Rate(body.defective, body.checked),
            *(body.site, body.line, body.station, body.camera),
            text=body.text.strip(),
        )
        with self._database.write() as connection:
            number = add_recheck(connection, recheck, author=author, at_ms=now_ms())
            details = body.model_dump()
            audit.append(connection, author, "recheck.add", str(number), details)
        return number


def _name_of(request: Request) -> str:
    user = user_of(request)
    return user.name if user else ""
