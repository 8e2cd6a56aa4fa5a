"""Explains a failed TLS handshake with a broker in a sentence.

Source:
    RFC 8446 section 6.2 (alerts); OpenSSL's X509_V_ERR_* and reason strings.
"""

import ssl

# Names of OpenSSL's reasons after "ALERT_"; the part before it differs by version.
ALERT_REASONS = {
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "CERTIFICATE_REQUIRED": "it requires a certificate, and none was sent",
    "HANDSHAKE_FAILURE": "it requires a certificate that was not sent, or a cipher "
    "that is not available here",
    "UNKNOWN_CA": "it does not know the authority that signed our certificate",
    "BAD_CERTIFICATE": "it cannot use our certificate",
    "CERTIFICATE_UNKNOWN": "it cannot use our certificate",
    "UNSUPPORTED_CERTIFICATE": "our certificate is not made for clients",
    "DECRYPT_ERROR": "our certificate and our key do not match",
    "PROTOCOL_VERSION": "it does not support TLS 1.2 or newer",
}
# X509_V_ERR_* of OpenSSL.
VERIFY_REASONS = {
    2: "it is signed by an authority that is not in tls_ca_file",
    9: "it is not valid yet, or our clock is slow",
    10: "it has expired, or our clock is fast",
    18: "it is self-signed and not in tls_ca_file",
    19: "it is signed by an authority that is not in tls_ca_file",
    20: "it is signed by an authority that is not in tls_ca_file",
    21: "it is signed by an authority that is not in tls_ca_file",
    23: "it is revoked",
    62: "it is made out to another name than host",
    64: "it is made out to another address than host",
}


def explain_tls(error: ssl.SSLError) -> str:
    """Return the cause of a failed handshake, with OpenSSL's reason in brackets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = VERIFY_REASONS.get(error.verify_code, error.verify_message)
        return (
            f"the broker's certificate is not accepted: {reason} "
            f"(certificate verify failed: {error.verify_message})"
        )
    reason = error.reason or str(error)
    alert = reason.upper().replace(" ", "_").rpartition("ALERT_")[2]
    if alert in ALERT_REASONS:
        return f"the broker refuses the connection: {ALERT_REASONS[alert]} ({reason})"
    if "WRONG_VERSION" in reason or "PACKET_LENGTH" in reason:
        return f"the port does not speak TLS ({reason})"
    return f"no TLS connection: {reason}"
