"""A workshop's authority: what is made, kept, renewed and refused."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from deploy.broker.authority import CertificateOutcome, Subject, make_certificates
from models.errors import ConfigError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BROKER = Subject("broker", ("broker.plant", "10.0.0.5"))
PRESS, PUNCH = Subject("plant/line-1/press-1"), Subject("plant/line-1/punch")
MADE, KEPT, RENEWED = CertificateOutcome


def make(
    folder: Path, *subjects: Subject, days: int = 400, now: datetime = NOW
) -> list[CertificateOutcome]:
    made = make_certificates(folder, subjects, days=days, now=now)
    return [report.outcome for report in made]


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_second_call_keeps_everything_and_adds_a_new_station(tmp_path: Path) -> None:
    assert make(tmp_path, BROKER, PRESS) == [MADE, MADE, MADE]
    before = contents(tmp_path)
    assert make(tmp_path, BROKER, PRESS, PUNCH) == [KEPT, KEPT, KEPT, MADE]
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {
        "plant.line-1.punch.pem",
        "plant.line-1.punch-key.pem",
    }


def test_keys_are_private_and_certificates_are_public_whatever_the_umask(
    tmp_path: Path,
) -> None:
    before = os.umask(0o077)
    try:
        make(tmp_path / "a" / "tls", BROKER, PRESS)
    finally:
        os.umask(before)
    folder = tmp_path / "a" / "tls"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert {m for n, m in modes.items() if n.endswith("-key.pem")} == {0o600}
    assert {m for n, m in modes.items() if not n.endswith("-key.pem")} == {0o644}
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [
        0o755
    ] * 2


def test_certificate_has_the_name_with_slashes_and_the_hosts(tmp_path: Path) -> None:
    make(tmp_path, BROKER, PRESS)
    press = read(tmp_path / "plant.line-1.press-1.pem")
    assert press.subject.rfc4514_string() == "CN=plant/line-1/press-1"
    names = read(tmp_path / "broker.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["broker.plant"]
    assert [*map(str, names.value.get_values_for_type(x509.IPAddress))] == ["10.0.0.5"]


def test_openssl_accepts_the_chain_under_its_strict_rules(tmp_path: Path) -> None:
    make(tmp_path, BROKER, now=datetime.now(UTC))
    client = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "broker.pem", tmp_path / "broker-key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="broker.plant"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done: set[int] = set()
    for turn in range(8):
        try:
            ends[turn % 2].do_handshake()
            done.add(turn % 2)
        except ssl.SSLWantReadError:
            continue
    assert done == {0, 1}


def test_certificate_is_renewed_with_its_key_in_the_last_90_days(
    tmp_path: Path,
) -> None:
    make(tmp_path, PRESS)
    key = (tmp_path / "plant.line-1.press-1-key.pem").read_bytes()
    assert make(tmp_path, PRESS, now=NOW + timedelta(days=309)) == [KEPT, KEPT]
    assert make(tmp_path, PRESS, now=NOW + timedelta(days=311)) == [KEPT, RENEWED]
    assert (tmp_path / "plant.line-1.press-1-key.pem").read_bytes() == key
    until = read(tmp_path / "plant.line-1.press-1.pem").not_valid_after_utc
    assert until == NOW + timedelta(days=711)


def test_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    make(tmp_path, PRESS, days=36_500)
    authority, press = read(tmp_path / "ca.pem"), tmp_path / "plant.line-1.press-1.pem"
    assert read(press).not_valid_after_utc == authority.not_valid_after_utc
    late = authority.not_valid_after_utc - timedelta(days=3)
    assert make(tmp_path, PRESS, now=late) == [KEPT, KEPT]


def test_new_host_is_added_to_those_that_the_broker_has(tmp_path: Path) -> None:
    make(tmp_path, BROKER)
    assert make(tmp_path, Subject("broker", ("10.0.0.5",))) == [KEPT, KEPT]
    assert make(tmp_path, Subject("broker", ("hall-2",))) == [KEPT, RENEWED]
    assert make(tmp_path, BROKER) == [KEPT, KEPT]


def test_interrupted_call_is_completed(tmp_path: Path) -> None:
    make(tmp_path, PRESS)
    keys = {p.name: p.read_bytes() for p in tmp_path.glob("*-key.pem")}
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "plant.line-1.press-1.pem").unlink()
    assert make(tmp_path, PRESS) == [MADE, MADE]
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*-key.pem")} == keys


def test_authority_without_its_key_is_never_replaced(tmp_path: Path) -> None:
    make(tmp_path)
    before = (tmp_path / "ca.pem").read_bytes()
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(ConfigError, match=r"ca-key\.pem: is missing"):
        make(tmp_path, PRESS)
    assert (tmp_path / "ca.pem").read_bytes() == before


def test_files_of_another_authority_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "one", PRESS)
    make(tmp_path / "two", PRESS)
    for name in ("ca.pem", "ca-key.pem"):
        (tmp_path / "two" / name).replace(tmp_path / "one" / name)
    with pytest.raises(ConfigError, match="is another certificate") as caught:
        make(tmp_path / "one", PRESS)
    assert "was not signed by" in caught.value.why


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "broker.pem"])
def test_damaged_file_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    make(tmp_path, BROKER)
    (tmp_path / name).write_text("no PEM")
    with pytest.raises(ConfigError, match="cannot be used"):
        make(tmp_path, BROKER)
    assert (tmp_path / name).read_text() == "no PEM"


@pytest.mark.parametrize("name", ["a" * 65, "ca", "broker"])
def test_name_that_no_certificate_can_have_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="cannot be in a certificate"):
        make(tmp_path, Subject(name))
    assert not [*tmp_path.iterdir()]


def test_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make(tmp_path / "file" / "tls", PRESS)
