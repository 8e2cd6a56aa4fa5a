"""``/alerts``: the list, one alert, and the table as CSV; and the list as JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access.roles import Role
from dashboard.history.alert_choices import choices_of
from dashboard.history.alert_groups import COMPARED, groups_of, links_between
from dashboard.history.alert_search import (
    PAGE_MAX_ROWS,
    AlertFilter,
    AlertSearch,
    Found,
    ListKey,
    Shelved,
)
from dashboard.history.full_picture_cache import PictureKind, has_full_picture
from dashboard.history.queries import Json
from dashboard.history.reviews import OperatorVerdict, reviews_of
from dashboard.history.settings import read_settings
from dashboard.messages import EVENT_ID, INTEGER_MAX
from dashboard.plant_time import SPAN_WORDS
from dashboard.status import now_ms
from dashboard.web.alerts.listing import CSV_COLUMNS, Listing, csv_row
from dashboard.web.alerts.urls import ListUrl, key_text, read_key, read_list_url
from dashboard.web.api import as_json
from dashboard.web.chunk_stream import ChunkStream
from dashboard.web.csv_export import csv_chunks
from dashboard.web.language import Language, language_of
from dashboard.web.permissions import needs, user_of
from dashboard.web.site import Site

PAGE_ROWS = 50
ARRIVED_ROWS = 100
COUNT_MAX = 10_000  # alerts in one change
NEIGHBOURS = 4  # pictures of the same camera before and after an alert
CSV_PAGE = PAGE_MAX_ROWS
# What the script of an alert's page draws, and fills in when a shelf is made.
SCRIPT_FIELDS = (
    *("id", "site", "line", "station", "camera", "detections", "has_image"),
    *("awaits_image", "frame_width_px", "frame_height_px"),
)
# Keys and what they do, as in the texts ``alerts.key_<name>``.
REVIEW_KEYS = (
    *(("a", "acknowledge"), ("1", "real"), ("2", "false"), ("3", "other")),
    *(("0", "withdraw_verdict"), ("c", "comment"), ("s", "shelve"), ("?", "help")),
)
LIST_KEYS = (("j k ↓ ↑", "move"), ("x", "select"), ("Enter", "open"), *REVIEW_KEYS)
ALERT_KEYS = (
    *(("← →", "step"), ("+ -", "zoom"), ("z", "next_box"), ("b", "boxes")),
    *(("f", "full"), ("h", "heat_map"), ("Esc", "back"), *REVIEW_KEYS),
)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """One state of the history, and what a request asks of it.

    Attributes:
        at_ms: Wall clock at the request, UTC.
    """

    connection: Connection
    search: AlertSearch
    listing: Listing
    url: ListUrl
    at_ms: int
    language: Language


class AlertPages:
    """The handlers of the pages and of the list as JSON."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @needs(Role.VIEWER)
    def list_page(self, request: Request) -> Response:
        """``GET /alerts``: the list of alerts, filtered by the query."""
        with self._reading(request) as reading:
            start = read_key(request.query_params.get("before"))
            found = reading.search.page(reading.url.wanted, PAGE_ROWS, start=start)
            choices = choices_of(reading.connection)
            rows = self._grouped_rows(reading, found)
            hidden = len(reading.search.shelves)
        url = reading.url
        values: Json = {
            "rows": rows,
            "url": url,
            "choices": choices,
            "shift_names": [shift.name for shift in reading.listing.plant.shifts],
            "span_words": SPAN_WORDS,
            "verdicts": [each.value for each in OperatorVerdict],
            "verdict_texts": _verdict_texts(reading.language),
            "span_texts": {
                word: reading.language.text(f"alerts.span_{word.replace('-', '_')}")
                for word in SPAN_WORDS
            },
            "key_list": LIST_KEYS,
            "resume": key_text(found.resume),
            "searched_to": reading.listing.when(found.resume.happened_ms)
            if found.resume
            else "",
            "newest": found.newest,
            "is_first": start is None,
            "shelves": hidden if url.wanted.shelved is Shelved.NO else 0,
            "may_review": _may_review(request),
            "blank": _BLANK,
        }
        return self._site.renderer.page(
            request, "alerts/list.html", areas=("alerts",), **values
        )

    @needs(Role.VIEWER)
    def alert_page(self, request: Request) -> Response:
        """``GET /alerts/{id}``: one alert, large; the query is that of the list."""
        event_id = event_id_of(request)
        with self._reading(request) as reading:
            search, wanted = reading.search, reading.url.wanted
            alert = search.alert(event_id)
            if alert is None:
                raise HTTPException(404, "no such alert")
            key = ListKey(alert["happened_ms"], alert["n"])
            newer = search.page(wanted, 1, start=key, direction="newer").alerts
            older = search.page(wanted, 1, start=key).alerts
            around = self._around(reading, alert)
            reviews = reviews_of(reading.connection, event_id)
            has_full, has_heat_map = (
                has_full_picture(reading.connection, event_id, kind)
                for kind in PictureKind
            )
            choices = choices_of(reading.connection)
        listing, query = reading.listing, reading.url.query
        values: Json = {
            "alert": listing.row(alert, query),
            "newer": listing.row(newer[0], query) if newer else None,
            "older": listing.row(older[0], query) if older else None,
            "around": [listing.row(each, query) for each in around],
            "names": listing.names(alert),
            "reviews": listing.reviews(reviews),
            "received": listing.when(alert["received_ms"]),
            "choices": choices,
            "list_query": query,
            "key_list": ALERT_KEYS,
            "data": {name: alert[name] for name in SCRIPT_FIELDS},
            "has_full": has_full,
            "has_heat_map": has_heat_map,
            "may_review": _may_review(request),
        }
        return self._site.renderer.page(
            request, "alerts/alert.html", areas=("alerts",), **values
        )

    @needs(Role.VIEWER)
    def csv(self, request: Request) -> Response:
        """``GET /alerts.csv``: all alerts that pass the filter; ``bom=1`` for Excel."""
        with self._reading(request) as reading:
            newest = reading.search.newest()
        rows = self._csv_rows(reading.url.wanted, reading.listing, newest)
        with_bom = request.query_params.get("bom") == "1"
        chunks = csv_chunks(CSV_COLUMNS, rows, with_bom=with_bom)
        headers = {
            "content-disposition": 'attachment; filename="alerts.csv"',
            "cache-control": "no-store",
        }
        return ChunkStream(chunks, "text/csv", headers)

    @needs(Role.VIEWER)
    def list_json(self, request: Request) -> Response:
        """``GET /api/alert-list``: a page of the list, see ``docs/reference``.

        ``before=`` continues at a place, ``arrived=`` returns what has arrived after a
        cursor, ``id=`` returns these alerts.
        """
        query = request.query_params
        ids = query.getlist("id")
        with self._reading(request) as reading:
            search, wanted = reading.search, reading.url.wanted
            if ids:
                checked = [each for each in ids if EVENT_ID.fullmatch(each)]
                listed = search.listed(checked[:PAGE_MAX_ROWS])
                found, context = Found(listed, None, search.newest()), []
            elif "arrived" in query:
                after = number_of(query["arrived"], "arrived")
                found = search.arrived(wanted, after, ARRIVED_ROWS)
                context = self._context_of(search, wanted, found)
            else:
                start = read_key(query.get("before"))
                found = search.page(wanted, PAGE_ROWS, start=start)
                context = self._context_before(search, wanted, start)
            content = self._list_content(reading, found, context)
        return as_json(content)

    @needs(Role.VIEWER)
    def count(self, request: Request) -> Response:
        """``GET /api/alert-count``: how many alerts pass the filter, up to a limit."""
        with self._reading(request) as reading:
            newest = reading.search.newest()
            ids = reading.search.ids(reading.url.wanted, newest, COUNT_MAX + 1)
        content = {
            "count": min(len(ids), COUNT_MAX),
            "is_more": len(ids) > COUNT_MAX,
            "newest": newest,
            "now_ms": reading.at_ms,
        }
        return as_json(content)

    @contextmanager
    def _reading(self, request: Request) -> Iterator[ListRequest]:
        at_ms = now_ms()
        with self._site.database.read() as connection:
            language = language_of(request)
            listing = Listing(language, read_settings(connection))
            url = read_list_url(request.query_params, listing.plant, at_ms)
            search = AlertSearch(connection, at_ms)
            yield ListRequest(connection, search, listing, url, at_ms, language)

    @staticmethod
    def _grouped_rows(reading: ListRequest, found: Found) -> list[Json]:
        """Return the rows of a page in the order of their groups."""
        url, alerts = reading.url, found.alerts
        groups = groups_of(alerts) if url.is_grouped else [[each] for each in alerts]
        links = links_between(alerts) if url.is_grouped else []
        linked = {older: newer for newer, older in links}
        rows = []
        for group in groups:
            for place, alert in enumerate(group):
                row = reading.listing.row(alert, url.query)
                row["link"] = linked.get(alert["n"])
                row["is_member"] = place > 0
                row["members"] = len(group) if place == 0 else 0
                rows.append(row)
        return rows

    @staticmethod
    def _context_before(
        search: AlertSearch, wanted: AlertFilter, start: ListKey | None
    ) -> list[Json]:
        """Return the last alerts before a page, which its groups may go on from."""
        if start is None:
            return []
        # The key of the page belongs to a row that is shown already, or to none.
        newer = search.page(wanted, COMPARED, start=start, direction="newer").alerts
        at = ListKey(start.happened_ms, start.n + 1)
        last = search.page(wanted, 1, start=at).alerts
        is_shown = bool(last) and ListKey(last[0]["happened_ms"], last[0]["n"]) == start
        return [*newer[::-1], *(last if is_shown else [])]

    @staticmethod
    def _context_of(
        search: AlertSearch, wanted: AlertFilter, found: Found
    ) -> list[Json]:
        """Return the alerts around those that have just arrived."""
        if not found.alerts:
            return []
        keys = [ListKey(each["happened_ms"], each["n"]) for each in found.alerts]
        limit = min(len(keys) + 2 * COMPARED, PAGE_MAX_ROWS)
        above = search.page(wanted, COMPARED, start=max(keys), direction="newer").alerts
        below = search.page(wanted, limit, start=max(keys)).alerts
        return [*above[::-1], *below]

    @staticmethod
    def _list_content(reading: ListRequest, found: Found, context: list[Json]) -> Json:
        url = reading.url
        together = {each["n"]: each for each in [*context, *found.alerts]}
        ordered = sorted(
            together.values(), key=lambda each: (each["happened_ms"], each["n"])
        )
        links = links_between(reversed(ordered)) if url.is_grouped else []
        resume = found.resume
        has_place = resume is not None and resume.happened_ms > 0
        return {
            "alerts": [reading.listing.row(each, url.query) for each in found.alerts],
            "links": links,
            "resume": key_text(resume) if has_place else None,
            "searched_to": reading.listing.when(resume.happened_ms)
            if resume is not None and has_place
            else None,
            "is_more": resume is not None,
            "newest": found.newest,
        }

    @staticmethod
    def _around(reading: ListRequest, alert: Json) -> list[Json]:
        """Return alerts of the same camera before and after one, the oldest first."""
        wanted = AlertFilter(
            sites=(alert["site"],),
            lines=(alert["line"],),
            stations=(alert["station"],),
            cameras=(alert["camera"],),
            shelved=Shelved.ALL,
        )
        key = ListKey(alert["happened_ms"], alert["n"])
        search = reading.search
        after = search.page(wanted, NEIGHBOURS, start=key, direction="newer").alerts
        before = search.page(wanted, NEIGHBOURS, start=key).alerts
        return [*before[::-1], alert, *after]

    def _csv_rows(
        self, wanted: AlertFilter, listing: Listing, newest: int
    ) -> Iterator[list[object]]:
        """Yield all rows; each page is read in its own short transaction."""
        start: ListKey | None = None
        while True:
            with self._site.database.read() as connection:
                search = AlertSearch(connection, now_ms())
                found = search.page(wanted, CSV_PAGE, start=start)
            for alert in found.alerts:
                if alert["n"] <= newest:
                    yield csv_row(alert, listing)
            start = found.resume
            if start is None:
                return


def event_id_of(request: Request) -> str:
    """Return the event id in the URL.

    Raises:
        HTTPException: 404 = it is none.
    """
    event_id = unquote(str(request.path_params["event_id"]))
    if not EVENT_ID.fullmatch(event_id):
        raise HTTPException(404, "not an event id")
    return event_id


def number_of(text: str, name: str) -> int:
    """Return a cursor of the query.

    Raises:
        HTTPException: 400 = it is none.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(INTEGER_MAX))
    if not is_number or int(text) > INTEGER_MAX:
        raise HTTPException(400, f"{name} must be a whole number")
    return int(text)


def _verdict_texts(language: Language) -> dict[str, str]:
    texts = {
        verdict.value: language.text(f"alerts.verdict_{verdict.replace('-', '_')}")
        for verdict in OperatorVerdict
        if verdict is not OperatorVerdict.OTHER_CLASS
    }
    other = OperatorVerdict.OTHER_CLASS.value
    return {**texts, other: language.text("alerts.other_class")}


def _may_review(request: Request) -> bool:
    user = user_of(request)
    return user is not None and user.role >= Role.OPERATOR


# For the template that the page's script fills in.
_BLANK: Json = {
    "n": 0,
    "id": "",
    "key": "",
    "href": "",
    "title": "",
    "score": "",
    "part": "",
    "place": "",
    "date": "",
    "time": "",
    "zone": "",
    "iso": "",
    "link": None,
    "is_member": False,
    "members": 0,
    "has_image": False,
    "awaits_image": False,
    "frame_width_px": 1,
    "frame_height_px": 1,
    "drawn": [],
    "badges": [],
}
