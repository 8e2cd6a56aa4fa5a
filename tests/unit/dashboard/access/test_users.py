"""Users and what the list of them always has: an admin."""

import pytest
from sqlalchemy import select

from dashboard.access import users
from dashboard.access.roles import Role
from dashboard.history.tables.audit import entries
from models.errors import ConfigError
from tests.unit.dashboard.browser import add_users, logged_in
from tests.unit.dashboard.sim_site import SimSite


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "local",
        "Local",
        "a b",
        "-a",
        "a" * 33,
        "ä",
        "a\nb",
        "a/b",
        "<b>",
        "a\0",
    ],
    ids=repr,
)
def test_name_that_could_be_confused_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        users.plain_user_name(name)


def test_name_is_the_same_in_any_case(site: SimSite) -> None:
    assert users.plain_user_name(" Ann ") == "ann"
    add_users(site, ann=Role.ADMIN)
    with site.database.read() as connection:
        assert users.find_user(connection, "ANN ") is not None
    with pytest.raises(ConfigError, match="already"):
        add_users(site, ann=Role.VIEWER)


def test_first_user_is_an_admin(site: SimSite) -> None:
    with pytest.raises(ConfigError, match="first user must"):
        add_users(site, ann=Role.ENGINEER)


def test_last_admin_stays_while_there_are_others(site: SimSite) -> None:
    add_users(site, ann=Role.ADMIN, bob=Role.VIEWER)
    refused = pytest.raises(ConfigError, match="No admin would be left")
    with refused, site.database.write() as connection:
        users.remove_user(connection, "test", "ann")
    with refused, site.database.write() as connection:
        users.set_role(connection, "test", "ann", Role.ENGINEER)
    with site.database.write() as connection:
        users.remove_user(connection, "test", "bob")
        users.remove_user(connection, "test", "ann")
        assert not users.has_users(connection)


def test_removed_user_is_logged_out_and_another_of_the_name_is_another(
    site: SimSite,
) -> None:
    add_users(site, ann=Role.ADMIN, bob=Role.ENGINEER)
    browser = logged_in(site, "bob")
    with site.database.write() as connection:
        users.remove_user(connection, "test", "bob")
    add_users(site, bob=Role.VIEWER)
    assert browser.read("/api/session").json == {"user": None, "role": None}


def test_changes_are_in_the_audit_trail_without_passwords(site: SimSite) -> None:
    add_users(site, ann=Role.ADMIN, bob=Role.VIEWER)
    with site.database.write() as connection:
        users.set_role(connection, "ann", "bob", Role.OPERATOR)
        users.set_password(connection, "ann", "bob", "the hash")
        users.remove_user(connection, "ann", "bob")
    with site.database.read() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.n)).all()
    assert [row.action for row in rows] == [
        *("user.add", "user.add", "user.role", "user.password", "user.remove")
    ]
    assert '"before": "viewer"' in rows[2].details
    assert "hash" not in "".join(row.details for row in rows)
