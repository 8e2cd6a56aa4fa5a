"""The files in docs/examples fit the tables, the topics and the settings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dashboard.config import DashboardSettings
from dashboard.history.settings import add_version
from dashboard.plant_settings import PlantSettings
from models.config import load_config
from models.messages import CameraStatus, VerdictEvent
from models.topics import StationTopics
from tests.contract.laws import REPOSITORY
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
)
from tests.unit.dashboard.part_verdicts import PartVerdicts

EXAMPLES = REPOSITORY / "docs" / "examples"
GRAFANA = json.loads((EXAMPLES / "grafana-dashboard.json").read_text("utf-8"))
FLOW = json.loads((EXAMPLES / "node-red-flow.json").read_text("utf-8"))
HOUR_MS = 3_600_000


def statements() -> Iterator[tuple[str, str, str]]:
    """Yield title, format and text of every query of the Grafana dashboard."""
    for panel in GRAFANA["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["format"], target["rawSql"]
    for each in GRAFANA["annotations"]["list"]:
        yield each["name"], "table", each["target"]["rawSql"]
    for each in GRAFANA["templating"]["list"]:
        if each["type"] == "query":
            yield each["name"], "table", each["query"]


def as_grafana_sends(statement: str, from_ms: int, to_ms: int) -> str:
    """Return a query with Grafana's variables put in."""
    values = {"$__from": str(from_ms), "$__to": str(to_ms), "$line": "'line-1'"}
    for name, value in values.items():
        statement = statement.replace(name, value)
    assert "$" not in statement
    return statement


@pytest.fixture(params=["sqlite", "postgresql"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryFile]:
    is_file = request.param == "sqlite"
    where = tmp_path if is_file else request.getfixturevalue("emptied_postgresql")
    history_file = HistoryFile(where)
    yield history_file
    history_file.close()


def test_every_query_of_grafana_runs_on_the_tables(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1)
    at_ms = int(event.time.timestamp() * 1000)
    file.record(alert_record(event, received_ms=at_ms))
    PartVerdicts(file).add("dddoo", at_ms)
    with file.database.write() as connection:
        add_version(connection, 1, NOW_MS, "test", PlantSettings())
    with file.database.read() as connection:
        found = {
            title: connection.execute(
                text(as_grafana_sends(statement, at_ms - HOUR_MS, at_ms + HOUR_MS))
            )
            .mappings()
            .all()
            for title, _, statement in statements()
        }
    assert found["Defects by class"][0]["label"] == "scratch"
    (defects,) = found["Defects by class, per minute"]
    assert (defects["time"], defects["value"]) == (at_ms // 60_000 * 60, 1)
    shares = found["Defective parts, percent of 10 minutes"]
    assert float(shares[0]["value"]) == pytest.approx(60)
    assert {row["verdict"]: row["parts"] for row in found["Parts"]} == {
        "defect": 3,
        "ok": 2,
    }
    assert [dict(row) for row in found["line"]] == [{"line": "line-1"}]


def test_series_of_grafana_have_time_and_value() -> None:
    for title, kind, statement in statements():
        if kind == "time_series":
            assert " AS time" in statement, title
            assert " AS value" in statement, title


def test_panels_of_grafana_are_complete() -> None:
    ids = [panel["id"] for panel in GRAFANA["panels"]]
    assert len(ids) == len(set(ids))
    for panel in GRAFANA["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_nodes_of_the_flow_are_connected() -> None:
    nodes = {node["id"]: node for node in FLOW}
    assert len(nodes) == len(FLOW)
    for node in FLOW:
        if "z" not in node:
            assert node["type"] in {"tab", "mqtt-broker"}
            continue
        assert nodes[node["z"]]["type"] == "tab"
        for target in (target for output in node["wires"] for target in output):
            assert target in nodes
            assert nodes[target]["z"] == node["z"]
        if node["type"] == "mqtt in":
            assert nodes[node["broker"]]["type"] == "mqtt-broker"
        if "outputs" in node:
            assert len(node["wires"]) == node["outputs"]


def test_flow_subscribes_to_the_topics_of_cameras() -> None:
    topics = StationTopics("site", "line", "station")
    names = re.compile(r"(?<=/)(site|line|station|top)(?=/)")
    expected = {
        names.sub("+", topics.camera("top", leaf))
        for leaf in ("alert", "verdict", "status")
    }
    assert {each["topic"] for each in FLOW if each["type"] == "mqtt in"} == expected


def test_flow_reads_fields_that_messages_have() -> None:
    alert = alert_event(PRESS, 1).model_dump(mode="json")
    code = next(each["func"] for each in FLOW if each.get("name") == "One line of text")
    for field in re.findall(r"\bdata\.(\w+)", code.replace("payload.data", "payload")):
        assert field in alert["data"], field
    assert "label" in alert["data"]["detections"][0]
    assert {"state", "reason"} <= set(CameraStatus.model_fields)
    (switch,) = [each for each in FLOW if each["type"] == "switch"]
    steps: Any = VerdictEvent
    for name in switch["property"].split(".")[1:]:
        steps = steps.model_fields[name].annotation


def test_sample_configuration_is_valid() -> None:
    settings = load_config(EXAMPLES / "dashboard.toml", DashboardSettings)
    assert [each.name for each in settings.notify] == ["shift", "manager"]
    assert not settings.server.is_loopback
