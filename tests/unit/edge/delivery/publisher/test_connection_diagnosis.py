"""Faults of our own files are found before the broker is asked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.delivery.publisher.connection_diagnosis import (
    explain_connection,
    explain_refusal,
)
from models.broker import BrokerLogin

EXPLAIN = [explain_connection, explain_refusal]
Explain = Callable[[BrokerLogin, float], str | None]


@pytest.mark.parametrize("explain", EXPLAIN)
def test_password_file_that_is_missing_is_named(
    tmp_path: Path, explain: Explain
) -> None:
    secret = tmp_path / "absent"
    login = BrokerLogin(username="edge", password_file=secret)
    missing = f"broker.password_file: there is no such file in {tmp_path}"
    assert missing in (explain(login, 1) or "")


@pytest.mark.parametrize("explain", EXPLAIN)
def test_authority_file_that_is_no_certificate_is_named(
    tmp_path: Path, explain: Explain
) -> None:
    rubbish = tmp_path / "ca.pem"
    rubbish.write_text("rubbish")
    login = BrokerLogin(tls_ca_file=rubbish)
    assert f"broker.tls_ca_file = {rubbish}" in (explain(login, 1) or "")
