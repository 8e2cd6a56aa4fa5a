"""Describes the API in OpenAPI 3.1, from the routes that exist.

A handler's docstring starts with its address and what it does, for example
``GET /api/alerts?limit=50``; the keys of the query there are its parameters, and its
body is the pydantic model that the handler reads. Answers are in ``answers``.

Source:
    https://spec.openapis.org/oas/v3.1.1.html
"""

import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pydantic import BaseModel
from starlette.routing import BaseRoute, Route

from dashboard.access.roles import Role
from dashboard.history.queries import Json
from dashboard.web.programs.answers import ANSWERS, CREATING

VERSION: Final = "3.1.0"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(:\w+)?\}")
_ADDRESS: Final = re.compile(r"``(?:[A-Z]+ )?[^`]*``")
_QUERY_KEY: Final = re.compile(r"(?:^``|[?&])([a-z][a-z_]*)=")
_MEDIA_TYPES: Final = {
    "/metrics": "text/plain",
    "/api/events": "text/event-stream",
    ".csv": "text/csv",
    ".zip": "application/zip",
    "/image": "image/jpeg",
    "/full-picture": "image/jpeg",
    "/heat-map": "image/png",
    "/pictures/{camera}": "image/jpeg",
}
_INTEGERS: Final = {"limit", "before", "after", "minutes", "hours"}


def describe(routes: Iterable[BaseRoute]) -> Json:
    """Return the description of the API.

    Args:
        routes: All routes of the application; those of files are left out.
    """
    schemas: Json = {}
    paths: dict[str, Json] = {}
    for route in routes:
        if isinstance(route, Route):
            path = _PLACEHOLDER.sub(r"{\1}", route.path)
            for method in sorted((route.methods or set()) - {"HEAD"}):
                operation = _operation(method, path, route, schemas)
                paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": VERSION,
        "info": {
            "title": "Graftline dashboard",
            "version": _version(),
            "description": "Times end with _ms and are milliseconds since 1970, UTC. "
            "Programs send an API token as Authorization: Bearer.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**dict(sorted(schemas.items())), "Error": _ERROR},
            "securitySchemes": _SECURITY,
        },
    }


_ERROR: Final[Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_SECURITY: Final[Json] = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "graftline_PORT",
        "description": "Of a browser; with it, changes need the header X-CSRF-Token.",
    },
}


def _operation(method: str, path: str, route: Route, schemas: Json) -> Json:
    endpoint = route.endpoint
    addresses, summary, rest = _documented(endpoint)
    role: Role | None = getattr(endpoint, "role", None)
    names = _PLACEHOLDER.findall(route.path)
    slug = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "start"
    operation: Json = {
        "operationId": f"{method.lower()}-{slug}",
        "summary": summary,
        "tags": [_tag(path)],
        "parameters": [
            *(_path_parameter(name, kind) for name, kind in names),
            *(_query_parameter(key) for key in _keys_of(addresses)),
        ],
        "responses": _responses(method, path, role, schemas),
        "security": [{"token": []}, {"session": []}] if role is not None else [],
        "x-role": role.name.lower() if role is not None else "public",
    }
    if rest:
        operation["description"] = rest
    body = _body_of(endpoint) if method != "GET" else None
    if body is not None:
        reference = _reference(body, schemas)
        content = {"application/json": {"schema": reference}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _documented(endpoint: Callable[..., object]) -> tuple[list[str], str, str]:
    """Return the addresses, the summary and the rest of a docstring."""
    text = inspect.getdoc(endpoint) or ""
    first, _, rest = text.partition("\n\n")
    first = " ".join(first.split())
    head, colon, summary = first.partition("``: ")
    addresses = _ADDRESS.findall(f"{head}``" if colon else first)
    summary = summary if colon else _ADDRESS.sub("", first).strip(" :")
    rest = re.split(r"\n(?:Args|Returns|Raises):\n", f"\n{rest}")[0].strip()
    addresses += _ADDRESS.findall(rest)
    return addresses, summary or "No description.", " ".join(rest.split())


def _keys_of(addresses: Iterable[str]) -> Iterator[str]:
    """Return the keys of the queries of addresses, each once."""
    keys = [key for each in addresses for key in _QUERY_KEY.findall(each)]
    return iter(dict.fromkeys(keys))


def _path_parameter(name: str, kind: str) -> Json:
    schema = {"type": "integer" if kind == ":int" else "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(name: str) -> Json:
    schema = {"type": "integer" if name in _INTEGERS else "string"}
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(method: str, path: str, role: Role | None, schemas: Json) -> Json:
    is_page = not path.startswith(("/api/", "/healthz"))
    media = next(
        (kind for end, kind in _MEDIA_TYPES.items() if path.endswith(end)),
        "text/html" if is_page else "application/json",
    )
    if method != "GET":
        media = "application/json"
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {"400": "A value does not fit.", "503": "It cannot be answered now."}
    if role is not None:
        refusals |= {"401": "Log in first.", "403": "The role is too low."}
    answer = ANSWERS.get((method, path))
    content = {"schema": _reference(answer, schemas)} if answer else {}
    found: Json = {"200": {"description": "Done.", "content": {media: content}}}
    if (method, path) in CREATING:
        found["201"] = found.pop("200")
    for status, text in sorted(refusals.items()):
        found[status] = {"description": text, "content": error}
    return found


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != "api"]
    return parts[0].partition(".")[0] if parts else "start"


def _body_of(endpoint: Callable[..., object]) -> type[BaseModel] | None:
    """Return the pydantic model that a handler reads, which it names in its code."""
    function = inspect.unwrap(endpoint)
    code = getattr(function, "__code__", None)
    names: tuple[str, ...] = code.co_names if code is not None else ()
    known = getattr(function, "__globals__", {})
    for name in names:
        found = known.get(name)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None


def _reference(body: type[BaseModel], schemas: Json) -> Json:
    """Put the schema of a model and those that it needs into the components."""
    schema = body.model_json_schema(
        mode="serialization" if body in ANSWERS.values() else "validation",
        ref_template="#/components/schemas/{model}",
    )
    schemas.update(schema.pop("$defs", {}))
    schemas[body.__name__] = schema
    return {"$ref": f"#/components/schemas/{body.__name__}"}


def _version() -> str:
    try:
        return importlib.metadata.version("graftline")
    except importlib.metadata.PackageNotFoundError:
        return "0"  # not installed: run from its sources
