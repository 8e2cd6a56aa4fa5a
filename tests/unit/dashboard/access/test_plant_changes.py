"""Settings are changed as a whole, by one person at a time, and audited."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from dashboard.access.plant_changes import (
    SettingsChange,
    SettingsOutdatedError,
    change_settings,
)
from dashboard.history.settings import SettingsVersion, current_version
from dashboard.history.tables.audit import entries
from dashboard.plant_settings import CameraLimit
from models.errors import ConfigError
from tests.unit.dashboard.sim_site import SimSite

CAMERA = "plant/line-1/press-1/top"
LIMIT = {
    "defect_percent": 5.0,
    "streak": None,
    "hysteresis": 1.0,
    "parts": 50,
    "minutes": 60,
}
EARLY = {"name": "Early", "start": "06:00", "end": "14:00"}


def change(site: SimSite, version: int, **values: Any) -> SettingsVersion:
    wanted = SettingsChange.model_validate({"version": version, **values})
    with site.database.write() as connection:
        return change_settings(connection, "eve", wanted)


def audited(site: SimSite) -> list[tuple[str, Any]]:
    with site.database.read() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.n)).all()
    return [(row.subject, json.loads(row.details)) for row in rows]


def test_what_is_left_out_stays(site: SimSite) -> None:
    change(site, 0, zone="Europe/Berlin", shifts=[EARLY])
    change(site, 1, limits={CAMERA: LIMIT}, names={"plant/line-1": "Linie 1"})
    assert change(site, 2).settings.default_limit == CameraLimit()
    version = change(site, 2, language="de")
    settings = version.settings
    assert (version.n, version.user, settings.zone) == (3, "eve", "Europe/Berlin")
    assert [shift.name for shift in settings.shifts] == ["Early"]
    assert settings.limits[CAMERA].defect_percent == 5
    assert settings.names == {"plant/line-1": "Linie 1"}
    with site.database.read() as connection:
        assert current_version(connection) == version


def test_old_and_new_value_are_audited(site: SimSite) -> None:
    change(site, 0, limits={CAMERA: LIMIT}, zone="Europe/Berlin")
    change(site, 1, limits={CAMERA: None}, zone="UTC", shifts=[EARLY])
    assert audited(site) == [
        ("zone", {"before": "UTC", "after": "Europe/Berlin"}),
        (f"limits {CAMERA}", {"before": None, "after": LIMIT}),
        ("zone", {"before": "Europe/Berlin", "after": "UTC"}),
        ("shifts", {"before": [], "after": [EARLY]}),
        (f"limits {CAMERA}", {"before": LIMIT, "after": None}),
    ]


def test_limit_of_all_others_counts_where_a_camera_has_none(site: SimSite) -> None:
    change(site, 0, default_limit={"streak": 4}, limits={CAMERA: {}})
    settings = change(site, 1, limits={CAMERA: None}).settings
    assert settings.limit_of(*CAMERA.split("/")).streak == 4


def test_what_changes_nothing_is_not_kept(site: SimSite) -> None:
    assert change(site, 0, zone="UTC", names={"plant/line-1": None}).n == 0
    assert audited(site) == []


def test_change_of_an_older_version_is_refused(site: SimSite) -> None:
    change(site, 0, zone="Europe/Berlin")
    with pytest.raises(SettingsOutdatedError):
        change(site, 0, zone="Asia/Tokyo")


@pytest.mark.parametrize(
    "values",
    [
        {"zone": "Mars/Base"},
        {"zone": None},
        {"limits": {"../etc": LIMIT}},
        {"names": {CAMERA: "\u202eevil"}},
        {"shifts": [EARLY, {**EARLY, "name": "Other"}]},
    ],
    ids=range(5),
)
def test_value_that_is_not_accepted_changes_nothing(
    site: SimSite, values: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        change(site, 0, language="de", **values)
    assert audited(site) == []
