"""Language and theme of a page: from its address, then from the cookie."""

import pytest
from sqlalchemy import text as sql

from dashboard.history.settings import add_version
from dashboard.plant_settings import PlantSettings
from dashboard.web.language import COOKIE
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.sim_site import SimSite


def test_language_and_theme_of_the_address_are_kept(site: SimSite) -> None:
    answer = get(site.app, "/wall?lang=de")
    page = answer.body.decode()
    assert '<html lang="de">' in page
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=de")
    dark = get(site.app, "/wall?theme=dark")
    assert '<html lang="en" data-theme="dark">' in dark.body.decode()
    cookie = {"cookie": "language=de; theme=light"}
    kept = get(site.app, "/wall", headers=cookie).body.decode()
    assert '<html lang="de" data-theme="light">' in kept


@pytest.mark.parametrize("theme", ["pink", "auto", '"><script>'])
def test_theme_that_does_not_exist_follows_the_browser(
    site: SimSite, theme: str
) -> None:
    page = get(site.app, f"/wall?theme={theme}").body.decode()
    assert '<html lang="en">' in page


def test_other_language_keeps_what_the_address_selects(site: SimSite) -> None:
    page = get(site.app, "/wall?line=a%26b&lang=en").body.decode()
    assert 'href="?line=a%26b&amp;lang=de"' in page


def test_home_leads_to_the_wall(site: SimSite) -> None:
    answer = get(site.app, "/?lang=de")
    assert (answer.status, answer.headers["location"]) == (303, "/wall?lang=de")


def test_scripts_use_the_zone_of_the_plant(site: SimSite) -> None:
    assert "data-zone" not in get(site.app, "/wall").body.decode()
    settings = PlantSettings(zone="Europe/Berlin", language="de")
    with site.database.write() as connection:
        add_version(connection, 1, 0, "test", settings)
    page = get(site.app, "/wall").body.decode()
    assert '<html lang="de" data-zone="Europe/Berlin">' in page


@pytest.mark.parametrize(
    ("path", "first", "later"),
    [
        ("/analysis", 'id="filters"', 'id="h-trend"'),
        ("/learning", "<h1>Learning</h1>", 'id="filters"'),
    ],
)
def test_beginning_of_a_page_is_sent_before_its_figures_are_read(
    site: SimSite, path: str, first: str, later: str
) -> None:
    beginning, rest = (part.decode() for part in get(site.app, path).parts)
    assert first in beginning
    assert later not in beginning
    assert later in rest
    assert rest.rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("language", "text"), [("en", "cannot be read now"), ("de", "nicht gelesen werden")]
)
def test_page_whose_figures_cannot_be_read_shows_it(
    site: SimSite, language: str, text: str
) -> None:
    with site.database.write() as connection:
        connection.execute(sql("DROP TABLE part_minutes"))
    page = get(site.app, f"/analysis?lang={language}").body.decode()
    assert 'id="filters"' in page
    assert text in page
    assert "part_minutes" not in page
