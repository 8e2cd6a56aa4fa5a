"""Settings in the history: the last version is in force."""

from sqlalchemy import insert

from dashboard.history.settings import add_version, current_version, read_settings
from dashboard.history.tables.settings import versions
from dashboard.plant_settings import PlantSettings
from tests.unit.dashboard.sim_site import SimSite


def test_last_version_is_in_force_and_the_others_are_kept(site: SimSite) -> None:
    with site.database.read() as connection:
        assert read_settings(connection) == PlantSettings()
        assert current_version(connection).n == 0
    with site.database.write() as connection:
        add_version(connection, 1, 10, "ann", PlantSettings(zone="Europe/Berlin"))
        add_version(connection, 2, 20, "bob", PlantSettings(zone="Asia/Tokyo"))
    with site.database.read() as connection:
        version = current_version(connection)
        count = len(connection.execute(versions.select()).all())
    assert (version.n, version.at_ms, version.user) == (2, 20, "bob")
    assert version.settings.zone == "Asia/Tokyo"
    assert count == 2


def test_what_this_program_does_not_know_has_its_default(site: SimSite) -> None:
    stored = '{"zone": "Mars/Base", "colour": "red", "names": {"a/b": "Line"}}'
    with site.database.write() as connection:
        row = {"n": 1, "at_ms": 1, "user": "ann", "content": stored}
        connection.execute(insert(versions).values(**row))
    with site.database.read() as connection:
        settings = read_settings(connection)
    assert settings == PlantSettings(names={"a/b": "Line"})
