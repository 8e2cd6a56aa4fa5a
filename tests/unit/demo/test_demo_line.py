"""The limits of the demo, and the configurations that it writes."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboard.config import DashboardSettings
from demo.config_files import CAMERA, write_dashboard_config, write_edge_config
from demo.line import find_faults, train_arguments
from demo.settings import DAY_ONE, DAY_ONE_LIMITS, DemoLimits, DemoSettings
from edge.config.station import load_edge_config
from models.config import load_config
from models.errors import DeliveryError, GraftlineError, TrainingError

WORKING = {
    "alerts_published": 120,
    "alerts_in_history": 120,
    "undelivered": 0,
    "duplicates": 0,
    "recall_of_defective_parts": 0.95,
    "false_alarm_share": 0.02,
}


def test_figures_exactly_at_the_limits_are_no_faults() -> None:
    assert find_faults(WORKING, DemoLimits()) == []


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"alerts_in_history": 119}, DeliveryError, "119 of 120"),
        ({"alerts_in_history": 121}, DeliveryError, "121 of 120"),
        ({"undelivered": 2}, DeliveryError, "2 events wait"),
        ({"duplicates": 1}, DeliveryError, "1 alert is a duplicate"),
        ({"recall_of_defective_parts": 0.949}, TrainingError, "94.9%"),
        ({"false_alarm_share": 0.0201}, TrainingError, "2.0% of the good parts"),
    ],
)
def test_figure_outside_the_limits_is_a_fault(
    change: dict[str, Any], error: type[GraftlineError], text: str
) -> None:
    (fault,) = find_faults({**WORKING, **change}, DemoLimits())
    assert type(fault) is error
    assert text in str(fault)
    assert fault.why
    assert fault.fix


def test_lost_alerts_come_before_a_weak_model() -> None:
    summary = {**WORKING, "alerts_in_history": 0, "recall_of_defective_parts": 0.0}
    assert [type(f) for f in find_faults(summary, DemoLimits())] == [
        DeliveryError,
        TrainingError,
    ]


def test_written_configurations_are_valid(
    tmp_path: Path,
) -> None:
    settings = DemoSettings(out=tmp_path, k=4, n=7)
    edge = load_edge_config(write_edge_config(settings, 1999))
    assert edge.broker.port == 1999
    assert edge.model.slot == tmp_path / "line-pc"
    (camera,) = edge.camera
    assert (camera.name, camera.k, camera.n) == (CAMERA, 4, 7)
    assert str(camera.source) == f"file:{tmp_path}/data/line.mp4"
    page = load_config(write_dashboard_config(settings, 1999, 9000), DashboardSettings)
    assert (page.broker.port, page.server.port) == (1999, 9000)


def test_border_of_the_picture_is_not_inspected_on_day_one(tmp_path: Path) -> None:
    first_day = replace(DAY_ONE, out=tmp_path)
    (camera,) = load_edge_config(write_edge_config(first_day, 1999)).camera
    (region,) = camera.region
    corners = [number for corner in region.polygon for number in corner]
    assert 0 < min(corners) < max(corners) < 1


def test_configuration_of_the_daemon_does_not_name_the_truth(tmp_path: Path) -> None:
    path = write_edge_config(DemoSettings(out=tmp_path), 1999)
    assert "truth" not in path.read_text()
    assert tomllib.loads(path.read_text())["camera"][0]["source"].endswith("line.mp4")


def test_nothing_is_trained_for_epochs_on_day_one() -> None:
    assert "--epochs" in train_arguments(DemoSettings(), "data", "run")
    first_day = train_arguments(DAY_ONE, "photos", "run")
    assert "--epochs" not in first_day
    assert first_day[-2] == "--max-overkill"
    assert first_day[:3] == ("photos", "--out", "run")


def test_day_one_has_its_own_bar() -> None:
    summary = {
        **WORKING,
        "recall_of_defective_parts": DAY_ONE_LIMITS.least_recall,
        "false_alarm_share": DAY_ONE_LIMITS.most_false_alarms,
    }
    assert find_faults(summary, DAY_ONE_LIMITS) == []
    fewer = {"recall_of_defective_parts": DAY_ONE_LIMITS.least_recall - 0.01}
    [fault] = find_faults(summary | fewer, DAY_ONE_LIMITS)
    assert "of the defective parts were caught" in str(fault)
