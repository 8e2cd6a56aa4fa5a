"""What the areas of the pages share, and how a request's body is read."""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from dashboard.access.logins import Logins
from dashboard.config import DashboardSettings
from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.outgoing import Outgoing
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import Hub
from dashboard.web.rendering import Renderer
from models.config import faults_in_words

BODY_MAX_BYTES = 64 * 1024
BODY_LIMIT_S = 20.0  # from the head of a request to the end of its body
FAULT_MAX_CHARS = 300
CLOSE = {"connection": "close"}  # the rest of a body is not waited for
AnyBody = TypeVar("AnyBody", bound=BaseModel)


@dataclass(frozen=True)
class Site:
    """What the areas of the pages share.

    Attributes:
        history: Queries of what the stations sent.
        database: Transactions, for all other queries and changes.
        outgoing: Messages to the stations.
        logins: Who sends a request.
    """

    settings: DashboardSettings
    history: History
    database: Database
    logins: Logins
    hub: Hub
    broadcaster: EventBroadcaster
    renderer: Renderer
    outgoing: Outgoing


async def read_body(request: Request, layout: type[AnyBody]) -> AnyBody:
    """Return the JSON body of a request.

    Raises:
        HTTPException: 413 = larger than ``BODY_MAX_BYTES``, 408 = it does not end
            within ``BODY_LIMIT_S``, 400 = it does not fit.
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_MAX_BYTES:
                    raise HTTPException(413, f"more than {BODY_MAX_BYTES} bytes", CLOSE)
    except TimeoutError as exc:
        detail = f"the body did not end within {BODY_LIMIT_S:.0f} s"
        raise HTTPException(408, detail, CLOSE) from exc
    try:
        return layout.model_validate_json(body)
    except ValidationError as exc:
        detail = faults_in_words(
            exc, layout, shows_values=False
        )  # one may be a password
        raise HTTPException(400, detail[:FAULT_MAX_CHARS]) from exc
