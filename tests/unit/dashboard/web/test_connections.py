"""Limits of the page's connections."""

import pytest

from dashboard.web.connections import OpenConnections, is_loopback


def test_one_address_has_a_limit_of_its_own() -> None:
    connections = OpenConnections(most=10, most_per_address=2)
    assert [connections.admit("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert connections.admit("192.0.2.2")
    connections.leave("192.0.2.1")
    assert connections.admit("192.0.2.1")


def test_this_machine_is_limited_by_the_whole_only() -> None:
    """Behind a reverse proxy all pages come from it."""
    connections = OpenConnections(most=4, most_per_address=1)
    assert [connections.admit("127.0.0.1") for _ in range(5)] == [True] * 4 + [False]
    assert not connections.admit("192.0.2.1")


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.9", True), ("::1", True), ("192.0.2.1", False), ("", False)],
)
def test_loopback_addresses_are_known(address: str, expected: bool) -> None:
    assert is_loopback(address) == expected


def test_closed_connections_leave_nothing_behind() -> None:
    connections = OpenConnections(most=1)
    for _ in range(3):
        assert connections.admit("192.0.2.1")
        connections.leave("192.0.2.1")
