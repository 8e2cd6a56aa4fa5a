"""Renders the templates of the pages, with texts in the language of the request."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dashboard.history.database import reason_of
from dashboard.plant_settings import DEFAULT_ZONE, PlantSettings
from dashboard.web.chunk_stream import ChunkStream
from dashboard.web.language import COOKIE, Language, language_of, languages
from dashboard.web.permissions import identity_of
from models.shown_text import on_one_line

TEMPLATES = Path(__file__).parent / "templates"
THEME_COOKIE = "theme"
THEMES = ("auto", "light", "dark")
COOKIE_AGE_S = 365 * 24 * 3600
SEND_NOW = "\0send now"  # no page has such a text

logger = logging.getLogger(__name__)


class Renderer:
    """Renders templates.

    Args:
        title: Name of the plant or line in the header.
        settings: Returns the plant's language, for who has chosen none, and its zone.
    """

    def __init__(
        self, title: str, settings: Callable[[], PlantSettings] = PlantSettings
    ) -> None:
        self._title, self._settings = title, settings
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(
        self,
        request: Request,
        template: str,
        *,
        areas: tuple[str, ...] = (),
        status_code: int = 200,
        **values: Any,  # noqa: ANN401 - for the template
    ) -> Response:
        """Return a page.

        Args:
            template: Below ``templates``.
            areas: Sections of the language files that the scripts of the page need.
            values: For the template; every text in them is escaped.
        """
        values = {**self._values(request, areas), **values}
        content = self._templates.get_template(template).render(values)
        response = HTMLResponse(content, status_code)
        _keep_choices(request, response, values["language"])
        return response

    def page_in_parts(
        self,
        request: Request,
        template: str,
        later: Callable[[], Mapping[str, Any]],
        *,
        areas: tuple[str, ...] = (),
        **values: Any,  # noqa: ANN401 - for the template
    ) -> Response:
        """Return a page whose beginning is sent at once.

        The template writes ``{{ send_now }}`` where its beginning ends, and calls
        ``later()`` for the values of its rest.

        Args:
            later: Called once; reads the history.
        """
        values = {**self._values(request, areas), **values}
        values |= {"later": later, "send_now": SEND_NOW}
        chunks = self._chunks(template, values)
        headers = {"cache-control": "no-cache"}
        first = next(chunks)
        response = ChunkStream(chunks, "text/html", headers, first=first)
        _keep_choices(request, response, values["language"])
        return response

    def _values(self, request: Request, areas: tuple[str, ...]) -> dict[str, Any]:
        """Return the values that every template needs."""
        settings = self._settings()
        language = language_of(request, lambda: settings.language)
        identity = identity_of(request)
        return {
            "csrf": identity.csrf if identity else "",
            "identity": identity,
            "language": language,
            "languages": languages(),
            "path": request.url.path,
            "query": request.url.query,
            "t": language.text,
            "texts": language.area("common", *areas),
            "title": self._title,
            "theme": _theme_of(request),
            "query_with": functools.partial(_query_with, request),
            # Without a zone of the plant the scripts use the browser's.
            "scripts_zone": "" if settings.zone == DEFAULT_ZONE else settings.zone,
            "user": identity.user if identity else None,
        }

    def _chunks(self, template: str, values: dict[str, Any]) -> Iterator[bytes]:
        waiting: list[str] = []
        try:
            for piece in self._templates.get_template(template).generate(values):
                if piece != SEND_NOW:
                    waiting.append(piece)
                    continue
                yield "".join(waiting).encode()
                waiting.clear()
        except SQLAlchemyError as exc:
            # The status is sent already: the page itself must show it.
            logger.warning("page_incomplete reason=%s", on_one_line(reason_of(exc)))
            rest = self._templates.get_template("incomplete.html")
            waiting = [rest.render(values)]
        yield "".join(waiting).encode()


def _keep_choices(request: Request, response: Response, language: Language) -> None:
    """Keep the language and the theme that the address gives."""
    if request.query_params.get("lang") == language.code:
        _keep(response, COOKIE, language.code)
    if request.query_params.get(THEME_COOKIE) in THEMES:
        _keep(response, THEME_COOKIE, request.query_params[THEME_COOKIE])


def _keep(response: Response, cookie: str, value: str) -> None:
    response.set_cookie(cookie, value, max_age=COOKIE_AGE_S, samesite="strict")


def _theme_of(request: Request) -> str:
    """Return light or dark if it is set by ``?theme=`` or the cookie, else nothing."""
    cookie = request.cookies.get(THEME_COOKIE, "")
    chosen = request.query_params.get(THEME_COOKIE, cookie)
    return chosen if chosen in ("light", "dark") else ""


def _query_with(request: Request, **changes: str) -> str:
    """Return the query of a request with some values replaced."""
    kept = [
        each for each in request.query_params.multi_items() if each[0] not in changes
    ]
    return urlencode([*kept, *changes.items()])
