"""A certificate of another station is named; other forms of name are not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.delivery.publisher.identity import (
    expiring_certificate,
    login_in_words,
    wrong_certificate,
)
from models.broker import BrokerLogin
from tests.simulators.alerts import TOPICS
from tests.simulators.certificates import Authority

HERE = "plant/line-1/station-1"


def login_as(folder: Path, name: str) -> BrokerLogin:
    authority = Authority(folder / "authority")
    certificate, key = authority.issue(name, days_left=5)
    return BrokerLogin(
        tls_ca_file=authority.certificate_file,
        tls_cert_file=certificate,
        tls_key_file=key,
    )


def test_certificate_of_another_station_is_named(tmp_path: Path) -> None:
    login = login_as(tmp_path, "plant/line-1/station-2")
    assert wrong_certificate(login, TOPICS) == (
        f"your certificate says plant/line-1/station-2, this station is {HERE}"
    )


@pytest.mark.parametrize("name", [HERE, "pc-17.plant.example"])
def test_own_certificate_and_other_forms_of_name_are_not(
    tmp_path: Path, name: str
) -> None:
    assert wrong_certificate(login_as(tmp_path, name), TOPICS) == ""


@pytest.mark.fault(92)
@pytest.mark.parametrize(("days", "is_soon"), [(4, False), (6, True)])
def test_certificate_that_expires_soon_is_named_with_its_end(
    tmp_path: Path, days: int, is_soon: bool
) -> None:
    login = login_as(tmp_path, HERE)  # good for five days
    text = expiring_certificate(login, datetime.now(UTC), days)
    assert ("after that the broker refuses this station" in text) == is_soon
    assert (f"{login.tls_cert_file} expires at 20" in text) == is_soon


def test_missing_certificate_is_left_to_the_connection(tmp_path: Path) -> None:
    login = login_as(tmp_path, HERE)
    assert login.tls_cert_file is not None
    login.tls_cert_file.unlink()
    assert wrong_certificate(login, TOPICS) == ""
    assert wrong_certificate(BrokerLogin(), TOPICS) == ""


def test_login_is_described_without_its_password(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("S3cret")
    login = BrokerLogin(username="edge", password_file=secret)
    assert login_in_words(login) == f"user edge, password of {secret}"
    assert login_in_words(BrokerLogin(username="edge")) == "user edge, no password"
    assert login_in_words(BrokerLogin()) == "no username is set"
