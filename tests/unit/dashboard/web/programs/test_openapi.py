"""The description of the API is of the routes that exist, and can be read."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from dashboard.alarms.watch import AlarmWatch
from dashboard.history.settings import add_version
from dashboard.history.tables.received import cameras, stations
from dashboard.plant_settings import CameraLimit, PlantSettings
from dashboard.status import NotifyStatus, now_ms
from dashboard.web.programs.answers import ANSWERS, CREATING, LINE
from models.messages import PullState
from tests.unit.dashboard.asgi import Answer, get, post_json
from tests.unit.dashboard.history_file import JPEG
from tests.unit.dashboard.part_verdicts import PartVerdicts
from tests.unit.dashboard.sim_broker import SimBroker, picture_reply
from tests.unit.dashboard.sim_site import UP, SimSite
from tests.unit.dashboard.web.lines.floor import DESIRED, Floor

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture
def document(site: SimSite) -> Any:
    answer = get(site.app, "/api/openapi.json")
    assert answer.status == 200
    return answer.json


def routes_of(site: SimSite) -> list[Route]:
    app = site.bare_app._app  # type: ignore[attr-defined]  # noqa: SLF001 - its routes
    assert isinstance(app, Starlette)
    return [route for route in app.routes if isinstance(route, Route)]


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_route_and_no_other_is_described(site: SimSite, document: Any) -> None:
    routed = {
        (re.sub(r":\w+\}", "}", route.path), method.lower())
        for route in routes_of(site)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, method) for path, method, _ in operations(document)}
    assert described == routed


def test_role_is_that_of_the_route(site: SimSite, document: Any) -> None:
    for route in routes_of(site):
        path = re.sub(r":\w+\}", "}", route.path)
        role = getattr(route.endpoint, "role", None)
        for method in (route.methods or set()) - {"HEAD"}:
            operation = document["paths"][path][method.lower()]
            assert operation["x-role"] == (role.name.lower() if role else "public")
            assert bool(operation["security"]) == bool(role)


def test_document_has_the_structure_of_openapi(document: Any) -> None:
    """Source: https://spec.openapis.org/oas/v3.1.1.html, required fields."""
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]
    ids = [operation["operationId"] for *_, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(document):
        assert path.startswith("/")
        assert method in METHODS
        placeholders = set(re.findall(r"\{([^}]+)\}", path))
        stated = [(each["name"], each["in"]) for each in operation["parameters"]]
        assert len(stated) == len(set(stated)), path
        assert {name for name, place in stated if place == "path"} == placeholders
        for each in operation["parameters"]:
            assert each["schema"]["type"] in {"string", "integer"}
            assert each["required"] or each["in"] == "query"
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]
        for scheme in operation["security"]:
            assert set(scheme) <= set(document["components"]["securitySchemes"])
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_change_with_a_body_names_its_fields(document: Any) -> None:
    without = {
        path
        for path, method, operation in operations(document)
        if method == "post" and "requestBody" not in operation
    }
    assert without <= {
        "/api/alerts/{event_id}/full-picture",
        "/api/alerts/{event_id}/heat-map",
        "/api/lines/{site}/{line}/{station}/desired/take-back",
        "/api/shelves/{k}/end",
        "/api/account/tokens/own",
    }


def test_parameters_come_from_the_docstrings(document: Any) -> None:
    operation = document["paths"]["/api/alerts"]["get"]
    names = [each["name"] for each in operation["parameters"]]
    assert names[:4] == ["limit", "before", "after", "site"]
    assert operation["parameters"][0]["schema"] == {"type": "integer"}
    assert operation["summary"] == "a page of alerts."


def test_every_operation_is_described(document: Any) -> None:
    silent = [
        f"{method} {path}"
        for path, method, operation in operations(document)
        if operation["summary"] == "No description."
    ]
    assert not silent


def test_every_answer_in_json_has_a_schema(document: Any) -> None:
    found = {
        (method.upper(), path)
        for path, method, operation in operations(document)
        for status, response in operation["responses"].items()
        if status in {"200", "201"} and "application/json" in response["content"]
        if path != "/api/openapi.json"
    }
    assert found == set(ANSWERS)
    for method, path in ANSWERS:
        done = document["paths"][path][method.lower()]["responses"]
        content = (done.get("200") or done["201"])["content"]["application/json"]
        assert content["schema"]["$ref"].startswith("#/components/schemas/")


def check(method: str, path: str, answer: Answer) -> None:
    """Fail where an answer has other keys or values than its description."""
    expected = 201 if (method, path) in CREATING else 200
    assert answer.status == expected, (path, answer.body)
    # JSON, as programs get it: strict, and a key that is not described is an error.
    ANSWERS[method, path].model_validate_json(answer.body, strict=True, extra="forbid")


@pytest.mark.parametrize("is_empty", [True, False])
def test_answers_are_as_they_are_described(site: SimSite, is_empty: bool) -> None:
    floor, broker = Floor(site), SimBroker(site.outgoing)
    broker.reply = picture_reply(JPEG)
    event_id = site.add(1)
    if not is_empty:
        fill(floor)
    changes = {
        "/api/reviews": {"kind": "acknowledge", "ids": [event_id]},
        "/api/shelves": {"line": "line-9", "reason": "r", "minutes": 60},
        "/api/shelves/{k}/end": {},
        "/api/analysis/notes": {"date": "2026-11-30", "shift": "day", "text": "x"},
        "/api/analysis/rechecks": {"checked": 10, "defective": 1},
        "/api/learning/left-out": {"ids": [event_id], "left_out": True},
        "/api/settings": {"version": 0 if is_empty else 1, "zone": "Europe/Berlin"},
        f"{LINE}/desired": DESIRED.model_dump(mode="json"),
        f"{LINE}/maintenance": {"camera": "top", "minutes": 30, "reason": "x"},
        f"{LINE}/maintenance/end": {"camera": "top"},
        f"{LINE}/pictures": {"camera": "top"},
        f"{LINE}/name": {"camera": "top", "name": "From above"},
    }
    if not is_empty:
        changes["/api/alarms/{alarm_id}/acknowledge"] = {"comment": "seen"}
    names = {
        "{event_id}": event_id,
        "{k}": "1",
        "{alarm_id}": "1",
        "{site}/{line}/{station}": "plant/line-1/press-1",
    }

    def url(path: str) -> str:
        for name, value in names.items():
            path = path.replace(name, value)
        return path

    for path, body in changes.items():
        check("POST", path, post_json(site.app, url(path), body))
    fetched = "/api/alerts/{event_id}/full-picture/state"
    for method, path in ANSWERS:
        if method == "GET" and path != fetched:
            check("GET", path, get(site.app, url(path)))
    check("POST", f"{LINE}/forget", forget(floor))


def fill(floor: Floor) -> None:
    """Let everything happen that an answer can tell of."""
    site = floor.site
    floor.station(proof=None)
    floor.camera()
    floor.answer(PullState.WAITING, "no route")
    plant = PlantSettings(default_limit=CameraLimit(streak=3))
    with site.database.write() as connection:
        add_version(connection, 1, 0, "test", plant)
    PartVerdicts(site.file).add("ddd", now_ms() - 1000)
    assert AlarmWatch(site.database).evaluate() == 1
    receiver = NotifyStatus("shift", error="refused", since_ms=1, waiting=2)
    site.status = replace(UP, notify=(receiver,), rejected={"topic": 2})


def forget(floor: Floor) -> Answer:
    with floor.site.database.write() as connection:
        for table in (stations, cameras):
            connection.execute(table.update().values(heard_ms=1))
    return post_json(floor.site.app, "/api/lines/plant/line-1/press-1/forget", {})
