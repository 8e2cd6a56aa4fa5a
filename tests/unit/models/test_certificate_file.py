"""Name and end of certificates of all lengths, and files that hold none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.certificate_file import common_name, expiry
from tests.simulators.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("names") / "authority")


@pytest.mark.parametrize("name", ["site/line/station", "W\u00fcrth/1/2", "x" * 64])
def test_name_is_the_one_that_was_issued(authority: Authority, name: str) -> None:
    certificate, _ = authority.issue(name, hosts=("a.example", "b.example"))
    assert common_name(certificate) == name


def test_end_is_the_one_that_was_issued(authority: Authority) -> None:
    certificate, _ = authority.issue("a/b/c", days_left=5)
    left = expiry(certificate) - datetime.now(UTC)
    assert timedelta(days=4.9) < left <= timedelta(days=5)


def test_first_certificate_of_a_chain_counts(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, _ = authority.issue("a/b/c")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        b"Subject: a/b/c\n"
        + certificate.read_bytes()
        + authority.certificate_file.read_bytes()
    )
    assert common_name(chain) == "a/b/c"


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\xff\xfe"], ids=str
)
def test_file_without_a_certificate_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(content)
    with pytest.raises(ValueError, match="no certificate"):
        common_name(tmp_path / "x.pem")


def test_certificate_that_is_cut_off_anywhere_is_an_error(
    authority: Authority, tmp_path: Path
) -> None:
    text = authority.issue("a/b/c")[0].read_text("ascii")
    start, *body, end = text.strip().splitlines()
    for lines in range(len(body)):
        cut = "\n".join([start, *body[:lines], end])
        (tmp_path / "cut.pem").write_text(cut, "ascii")
        with pytest.raises(ValueError, match=r".+"):
            common_name(tmp_path / "cut.pem")
