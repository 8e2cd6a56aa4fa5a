"""What a failed handshake means."""

import ssl

import pytest

from models.tls_errors import ALERT_REASONS, explain_tls


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


@pytest.mark.parametrize("prefix", ["SSLV3_ALERT_", "TLSV1_ALERT_", "SSL/TLS_ALERT_"])
def test_alert_of_every_openssl_is_explained(prefix: str) -> None:
    text = explain_tls(tls_error(f"{prefix}CERTIFICATE_EXPIRED"))
    assert "our certificate has expired" in text


@pytest.mark.parametrize("alert", list(ALERT_REASONS))
def test_explanation_of_an_alert_keeps_the_reason_of_openssl(alert: str) -> None:
    text = explain_tls(tls_error(f"TLSV1_ALERT_{alert}"))
    assert text.startswith("the broker refuses the connection: ")
    assert f"(TLSV1_ALERT_{alert})" in text


def test_plain_port_is_named() -> None:
    text = explain_tls(tls_error("WRONG_VERSION_NUMBER"))
    assert text == "the port does not speak TLS (WRONG_VERSION_NUMBER)"


def test_unknown_reason_is_passed_on() -> None:
    assert explain_tls(tls_error("NEW_FAULT")) == "no TLS connection: NEW_FAULT"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(10, "it has expired"), (62, "another name than host"), (999, "odd fault")],
)
def test_certificate_that_is_not_accepted_is_explained(code: int, reason: str) -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, "odd fault"
    text = explain_tls(error)
    assert text.startswith("the broker's certificate is not accepted: ")
    assert reason in text
    assert "(certificate verify failed: odd fault)" in text
