"""Name and end of a certificate in a file; no library beyond Python's own is needed.

A broker with the access list of ``graftline broker-config`` knows a station by this
name, so that a certificate of another station is denied every topic without a reason.

Source:
    ITU-T X.690 (DER: tag, length, content), RFC 5280 section 4.1 (order of the fields),
    RFC 5280 appendix A (2.5.4.3 is the common name) and section 4.1.2.5 (times).
"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from models.files import read_regular

CERTIFICATE_MAX_BYTES = 1 << 20
PEM_START, PEM_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
EXPLICIT_VERSION = 0xA0
COMMON_NAME = bytes((0x55, 0x04, 0x03))  # 2.5.4.3
BMP_STRING, UNIVERSAL_STRING = 0x1E, 0x1C
ENCODINGS = {BMP_STRING: "utf-16-be", UNIVERSAL_STRING: "utf-32-be"}
LONG_LENGTH = 0x80
# After serial, algorithm and issuer.
VALIDITY_FIELD, SUBJECT_FIELD = 3, 4
UTC_TIME = 0x17  # before 2050, with two digits for the year
Item = tuple[int, bytes]  # tag, content


def common_name(file: Path) -> str:
    """Return the common name of the first certificate in a PEM file; empty = none.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate.
    """
    name = ""
    for _, part in _items(_fields(file)[SUBJECT_FIELD][1]):
        for _, pair in _items(part):
            (_, kind), (tag, value) = list(_items(pair))[:2]
            if kind == COMMON_NAME:
                name = value.decode(ENCODINGS.get(tag, "utf-8"), "replace")
    return name


def expiry(file: Path) -> datetime:
    """Return the last moment at which the first certificate in a PEM file is valid.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate.
    """
    _, (tag, content) = list(_items(_fields(file)[VALIDITY_FIELD][1]))[:2]
    text = content.decode("ascii")
    form = "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _fields(file: Path) -> list[Item]:
    """Return the fields of the first certificate in a PEM file, without its version.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate.
    """
    text = read_regular(file, CERTIFICATE_MAX_BYTES).decode("ascii", "replace")
    start = text.find(PEM_START)
    end = text.find(PEM_END, start)
    if start < 0 or end < 0:
        raise ValueError("no certificate in PEM")
    certificate = ssl.PEM_cert_to_DER_cert(text[start : end + len(PEM_END)])
    try:
        _, whole = next(_items(certificate))
        _, to_sign = next(_items(whole))
        fields = [item for item in _items(to_sign) if item[0] != EXPLICIT_VERSION]
    except (IndexError, StopIteration) as exc:
        raise ValueError("the certificate is damaged") from exc
    if len(fields) <= SUBJECT_FIELD:
        raise ValueError("the certificate is damaged")
    return fields


def _items(content: bytes) -> Iterator[Item]:
    """Yield what a DER structure holds."""
    at = 0
    while at < len(content):
        tag, length = content[at], content[at + 1]
        at += 2
        if length >= LONG_LENGTH:
            size = length - LONG_LENGTH
            length = int.from_bytes(content[at : at + size])
            at += size
        if at + length > len(content):
            raise ValueError("the certificate is cut off")
        yield tag, content[at : at + length]
        at += length
