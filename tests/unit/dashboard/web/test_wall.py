"""The routes of the wall, and what the state says about names, limits and alarms."""

import json

import pytest
from sqlalchemy import select

from dashboard.alarms.watch import AlarmWatch
from dashboard.history.maintenance import start_maintenance
from dashboard.history.settings import add_version
from dashboard.history.tables.audit import entries
from dashboard.plant_settings import PlantSettings
from dashboard.status import now_ms
from tests.unit.dashboard.asgi import get, post_json
from tests.unit.dashboard.part_verdicts import PartVerdicts
from tests.unit.dashboard.sim_site import SimSite

SETTINGS = {
    "default_limit": {"streak": 3, "defect_percent": 4},
    "names": {
        "plant/line-1": "Line One",
        "plant/line-1/press-1": "Press",
        "plant/line-1/press-1/top": "From above",
    },
}


def alarm_of(site: SimSite) -> int:
    """Let three defective parts pass, and return the id of the alarm."""
    with site.database.write() as connection:
        settings = PlantSettings.model_validate(SETTINGS)
        add_version(connection, 1, 0, "test", settings)
    PartVerdicts(site.file).add("ddd", now_ms() - 1000)
    assert AlarmWatch(site.database).evaluate() == 1
    (alarm,) = get(site.app, "/api/alarms").json["open"]
    return int(alarm["id"])


def test_open_alarms_are_in_every_state_with_the_names_to_show(site: SimSite) -> None:
    alarm_of(site)
    for path in ("/api/status", "/api/cameras"):
        (alarm,) = get(site.app, path).json["alarms"]
        assert alarm["place"] == "Line One \u00b7 Press \u00b7 From above"
        assert (alarm["kind"], alarm["value"], alarm["limit_value"]) == ("streak", 3, 3)


def test_acknowledgement_is_kept_with_name_comment_and_audit(site: SimSite) -> None:
    alarm_id = alarm_of(site)
    path = f"/api/alarms/{alarm_id}/acknowledge"
    answer = post_json(site.app, path, {"comment": " tool changed "})
    assert answer.status == 200
    assert answer.json["acknowledged_by"] == "local"
    assert post_json(site.app, path, {}).json["comment"] == "tool changed"
    (alarm,) = get(site.app, "/api/status").json["alarms"]
    assert alarm["acknowledged_ms"]
    with site.database.read() as connection:
        rows = connection.execute(select(entries)).all()
    assert [(row.user, row.action, row.subject) for row in rows] == [
        ("local", "alarm.acknowledge", str(alarm_id))
    ]
    assert json.loads(rows[0].details) == {"comment": "tool changed"}


@pytest.mark.parametrize("alarm_id", ["0", "99", "9" * 40, "-1", "x", "%00"])
def test_alarm_that_does_not_exist_is_not_found(site: SimSite, alarm_id: str) -> None:
    answer = post_json(site.app, f"/api/alarms/{alarm_id}/acknowledge", {})
    assert answer.status == 404


def test_comment_that_is_too_long_is_refused(site: SimSite) -> None:
    path = f"/api/alarms/{alarm_of(site)}/acknowledge"
    assert post_json(site.app, path, {"comment": "x" * 501}).status == 400


def test_cameras_have_names_limits_and_maintenance(site: SimSite) -> None:
    alarm_of(site)
    at_ms = now_ms()
    with site.database.write() as connection:
        where = ("plant", "line-1", "press-1", "")
        start_maintenance(connection, where, at_ms - 1, at_ms + 60_000, "me", "lens")
    (station,) = get(site.app, "/api/cameras").json["stations"]
    assert (station["line_name"], station["station_name"]) == ("Line One", "Press")
    (camera,) = station["cameras"]
    assert camera["name"] == "From above"
    assert camera["limit"] == {"defect_percent": 4, "streak": 3}
    assert camera["in_maintenance"] is True
