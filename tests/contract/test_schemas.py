"""The published JSON Schemas are those of the code."""

import json
from pathlib import Path

import pytest

from models.schemas import FOLDER, LAYOUTS, render, write


def test_stored_schemas_are_those_of_the_models() -> None:
    stored = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert stored == render(), "run: make schemas"


def test_writing_makes_exactly_what_is_rendered(tmp_path: Path) -> None:
    write(tmp_path / "schemas")
    written = {p.name: p.read_text("utf-8") for p in (tmp_path / "schemas").iterdir()}
    assert written == render()


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_schema_of_a_reader_forbids_unknown_fields(name: str) -> None:
    schema = json.loads(render()[f"{name}.schema.json"])
    parts = [schema, *schema.get("$defs", {}).values()]
    closed = [
        part["title"] for part in parts if part.get("additionalProperties") is False
    ]
    assert not closed


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"golden"}))
def test_every_schema_states_its_version(name: str) -> None:
    schema = json.loads(render()[f"{name}.schema.json"])
    assert schema["properties"]["schema_version"]["type"] == "integer"
