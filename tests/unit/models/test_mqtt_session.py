"""What of a session needs no broker; the rest is tested with a real one."""

import select

import pytest

from models.broker import BrokerLogin
from models.mqtt_session import (
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    OtherVersionError,
    SessionWakeup,
    open_session,
)

BOTH = (MqttVersion.V5, MqttVersion.V311)


class ScriptedSession(MqttSession):
    """A session whose login ends as scripted.

    Attributes:
        is_abandoned: It was closed.
    """

    def __init__(self, version: MqttVersion, fault: Exception | None) -> None:
        login = BrokerLogin()
        super().__init__(login, "test", version, connect_limit_s=1, answer_limit_s=1)
        self.is_abandoned = False
        self._fault = fault

    def open(self, wakeup: SessionWakeup | None = None) -> None:
        if self._fault is not None:
            raise self._fault

    def abandon(self) -> None:
        self.is_abandoned = True
        super().abandon()


class Plant:
    """Makes sessions, and remembers them."""

    def __init__(self, **faults: Exception) -> None:
        self.made: list[ScriptedSession] = []
        self._faults = faults

    def make(self, version: MqttVersion) -> ScriptedSession:
        session = ScriptedSession(version, self._faults.get(version.name))
        self.made.append(session)
        return session


def is_set(wakeup: SessionWakeup) -> bool:
    readable, _, _ = select.select([wakeup], [], [], 0)
    return bool(readable)


def test_first_version_that_the_broker_accepts_is_used() -> None:
    plant = Plant(V5=OtherVersionError("unsupported"))
    session = open_session(plant.make, BOTH)
    assert session.version is MqttVersion.V311
    assert [each.is_abandoned for each in plant.made] == [True, False]
    session.abandon()


def test_only_one_session_is_made_where_the_first_version_is_accepted() -> None:
    plant = Plant()
    session = open_session(plant.make, BOTH)
    assert session.version is MqttVersion.V5
    assert len(plant.made) == 1
    session.abandon()


def test_broker_without_a_supported_version_is_reported() -> None:
    plant = Plant(V5=OtherVersionError("first"), V311=OtherVersionError("second"))
    with pytest.raises(OtherVersionError, match="second"):
        open_session(plant.make, BOTH)
    assert all(each.is_abandoned for each in plant.made)


def test_broker_that_is_away_is_not_asked_in_another_version() -> None:
    plant = Plant(V5=ConnectionLostError("cannot be reached: no route"))
    with pytest.raises(ConnectionLostError, match="no route"):
        open_session(plant.make, BOTH)
    assert [each.is_abandoned for each in plant.made] == [True]


def test_session_without_a_connection_raises() -> None:
    session = MqttSession(
        BrokerLogin(), "test", MqttVersion.V5, connect_limit_s=1, answer_limit_s=1
    )
    with pytest.raises(ConnectionLostError, match="closed the connection"):
        session.turn(0)
    with pytest.raises(ConnectionLostError):
        session.publish("topic", b"")
    session.abandon()


@pytest.mark.parametrize(
    ("version", "label"),
    [(MqttVersion.V5, "MQTTv5"), (MqttVersion.V311, "MQTTv311")],
)
def test_version_has_a_label(version: MqttVersion, label: str) -> None:
    assert version.label == label


def test_wakeup_is_readable_until_it_is_cleared() -> None:
    wakeup = SessionWakeup()
    assert not is_set(wakeup)
    for _ in range(3):
        wakeup.set()
    assert is_set(wakeup)
    wakeup.clear()
    assert not is_set(wakeup)
    wakeup.clear()  # there is nothing to take back
    wakeup.close()


def test_wakeup_that_is_full_or_closed_is_no_error() -> None:
    wakeup = SessionWakeup()
    for _ in range(100_000):
        wakeup.set()
    wakeup.close()
    wakeup.set()


def test_cancelled_wakeup_is_set() -> None:
    wakeup = SessionWakeup()
    wakeup.cancel()
    assert wakeup.is_cancelled
    assert is_set(wakeup)
    wakeup.close()
