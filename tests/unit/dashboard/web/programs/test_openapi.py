"""The description of the API is of the routes that exist, and can be read."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.sim_site import SimSite

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
        "/api/lines/{site}/{line}/{station}/desired/take-back",
        "/api/shelves/{k}/end",
        "/api/account/tokens/own",
    }


def test_parameters_come_from_the_docstrings(document: Any) -> None:
    operation = document["paths"]["/api/alerts"]["get"]
    names = [each["name"] for each in operation["parameters"]]
    assert names == ["limit", "before", "after"]
    assert operation["parameters"][0]["schema"] == {"type": "integer"}
    assert operation["summary"] == "a page of alerts."


def test_every_operation_is_described(document: Any) -> None:
    silent = [
        f"{method} {path}"
        for path, method, operation in operations(document)
        if operation["summary"] == "No description."
    ]
    assert not silent
