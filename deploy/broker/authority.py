"""A workshop's own certificate authority, for the broker and its clients.

::

    ca.pem, ca-key.pem                              the authority; its key stays here
    broker.pem, broker-key.pem                      of the broker
    collector.pem, collector-key.pem                of the dashboard
    plant.line-1.press-1.pem, …-key.pem             of the station plant/line-1/press-1

A repeated call keeps the authority, all keys, and every certificate that is valid for
long enough. It signs what is missing, what expires soon, and a broker's certificate
that lacks one of its hosts.

Source:
    RFC 5280: extensions of certificates; a common name has at most 64 characters (ub-
    common-name). Python 3.13 verifies with VERIFY_X509_STRICT: an authority has a key
    usage, and each certificate names the authority's key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.broker.owners import PUBLIC_FILE, make_public_folder
from models.errors import ConfigError
from models.files import PRIVATE_FILE, read_regular, write_atomically

CA_STEM, BROKER_STEM = "ca", "broker"
COMMON_NAME_MAX_CHARS = 64
CA_DAYS = 20 * 365  # longer than a line lives: its clients would all need a new one
RENEWED_BEFORE = timedelta(days=90)
# Clocks of line PCs may be behind that of the authority.
CLOCK_DIFFERENCE = timedelta(days=1)
PEM_MAX_BYTES = 1 << 20


class CertificateOutcome(StrEnum):
    """The action on a certificate."""

    MADE = "made"
    KEPT = "kept"
    RENEWED = "renewed"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for.

    Attributes:
        name: Common name, by which the broker knows the client.
        hosts: Names and addresses of a server; empty = a client.
    """

    name: str
    hosts: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Start of the names of its files."""
        return BROKER_STEM if self.hosts else self.name.replace("/", ".")


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """A certificate of the folder.

    Attributes:
        name: Common name.
        certificate: Its file.
        key: The file of its key.
        expires: Until when it is valid, UTC.
    """

    name: str
    certificate: Path
    key: Path
    outcome: CertificateOutcome
    expires: datetime


def make_certificates(
    folder: Path, subjects: tuple[Subject, ...], *, days: int, now: datetime
) -> list[CertificateReport]:
    """Make what is missing of an authority and the certificates that it signs.

    Args:
        folder: Is made if it does not exist.
        subjects: Whom certificates are for.
        days: Validity of a new certificate; it ends with the authority at the latest.
        now: Aware.

    Returns:
        The authority and each subject.

    Raises:
        ConfigError: A name is too long, a file is damaged or of another authority, or
            cannot be read or written.
    """
    _refuse_names(subjects)
    try:
        make_public_folder(folder)
        authority = _Authority(folder, now)
        return [
            authority.report,
            *(authority.certify(subject, days) for subject in subjects),
        ]
    except OSError as exc:
        raise ConfigError(
            f"{exc.filename or folder}: the certificates cannot be made.",
            why=exc.strerror or str(exc),
            fix="Run this as root, or give --certificates DIR that you may write.",
        ) from exc


class _Authority:
    """The authority of a folder; it is made where there is none."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder, self._now = folder, now
        self._file, self._key_file = _files_of(folder, CA_STEM)
        is_there = self._file.exists()
        if is_there and not self._key_file.exists():
            raise ConfigError(
                f"{self._key_file}: is missing.",
                why="It signs certificates; a new authority would lock out all that "
                "trust this one.",
                fix="Bring the key back, or give --tls CA CERT KEY with ready files.",
            )
        self._key = _key_in(self._key_file)
        self._certificate = _read(self._file) if is_there else self._sign_itself()
        _refuse_other_key(self._file, self._certificate, self._key)
        self.report = CertificateReport(
            name=_name_of(self._certificate),
            certificate=self._file,
            key=self._key_file,
            outcome=CertificateOutcome.KEPT if is_there else CertificateOutcome.MADE,
            expires=self._certificate.not_valid_after_utc,
        )

    def certify(self, subject: Subject, days: int) -> CertificateReport:
        """Make, keep or renew the certificate of a subject."""
        file, key_file = _files_of(self._folder, subject.stem)
        before = _read(file) if file.exists() else None
        if before is not None:
            self._refuse_foreign(file, before, subject)
        key = _key_in(key_file)
        if before is not None and self._is_good(before, key, subject):
            outcome, certificate = CertificateOutcome.KEPT, before
        else:
            outcome = CertificateOutcome.RENEWED if before else CertificateOutcome.MADE
            hosts = {*subject.hosts} | (_hosts_of(before) if before else set())
            certificate = self._sign(subject.name, sorted(hosts), key, days)
            _write(file, certificate)
        expires = certificate.not_valid_after_utc
        return CertificateReport(subject.name, file, key_file, outcome, expires)

    def _sign_itself(self) -> x509.Certificate:
        name = _named(f"Graftline CA {x509.random_serial_number() % 10**8:08}")
        until = self._now + timedelta(days=CA_DAYS)
        builder = self._builder(name, name, self._key.public_key(), until)
        certificate = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        ).add_extension(_usage(is_authority=True), critical=True)
        signed = certificate.sign(self._key, hashes.SHA256())
        _write(self._file, signed)
        return signed

    def _sign(
        self, name: str, hosts: list[str], key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.Certificate:
        until = self._now + timedelta(days=days)
        until = min(until, self._certificate.not_valid_after_utc)
        issuer, purpose = self._certificate.subject, ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(
            _named(name), issuer, key.public_key(), until
        ).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        if hosts:
            purpose = ExtendedKeyUsageOID.SERVER_AUTH
            names = x509.SubjectAlternativeName(map(_general_name, hosts))
            builder = builder.add_extension(names, critical=False)
        return (
            builder.add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePublicKey,
        until: datetime,
    ) -> x509.CertificateBuilder:
        own = x509.SubjectKeyIdentifier.from_public_key(key)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._key.public_key()
        )
        return (
            x509.CertificateBuilder(issuer, subject, key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - CLOCK_DIFFERENCE)
            .not_valid_after(until)
            .add_extension(own, critical=False)
            .add_extension(signer, critical=False)
        )

    def _refuse_foreign(
        self, file: Path, certificate: x509.Certificate, subject: Subject
    ) -> None:
        why = ""
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            why = f"It was not signed by {self._file}."
        if not why and _name_of(certificate) != subject.name:
            why = f"Its common name is {_name_of(certificate)}, not {subject.name}."
        if why:
            raise ConfigError(
                f"{file}: is another certificate.",
                why=why,
                fix="Move it and its key away, or give another --certificates DIR.",
            )

    def _is_good(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        subject: Subject,
    ) -> bool:
        """Return whether a certificate fits its key and hosts, and lasts."""
        is_of_key = certificate.public_key() == key.public_key()
        latest = self._certificate.not_valid_after_utc
        until = certificate.not_valid_after_utc
        is_lasting = until - self._now > RENEWED_BEFORE or until == latest
        return is_of_key and is_lasting and {*subject.hosts} <= _hosts_of(certificate)


def _files_of(folder: Path, stem: str) -> tuple[Path, Path]:
    return folder / f"{stem}.pem", folder / f"{stem}-key.pem"


def _refuse_names(subjects: tuple[Subject, ...]) -> None:
    faults = [
        f"{each.name} has more than {COMMON_NAME_MAX_CHARS} characters"
        for each in subjects
        if len(each.name) > COMMON_NAME_MAX_CHARS
    ]
    taken = {CA_STEM, BROKER_STEM}
    faults += [
        f"{each.name} is the name of other files"
        for each in subjects
        if not each.hosts and each.stem in taken
    ]
    if faults:
        raise ConfigError(
            "These names cannot be in a certificate.",
            why="; ".join(faults) + ".",
            fix="Give site, line, station or dashboard another name.",
        )


def _key_in(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key of a file; a new one is written where there is none."""
    if path.exists():
        content = read_regular(path, PEM_MAX_BYTES)
        try:
            key = serialization.load_pem_private_key(content, None)
        except (ValueError, TypeError) as exc:  # TypeError: it has a password
            raise _unusable(path, "It holds no key without a password.") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _unusable(path, "It holds another kind of key than those made here.")
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomically(path, content, PRIVATE_FILE)
    return key


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_regular(path, PEM_MAX_BYTES))
    except ValueError as exc:
        raise _unusable(path, "It holds no certificate.") from exc


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: cannot be used.",
        why=why,
        fix="Bring the file back from a copy, or move it away.",
    )


def _refuse_other_key(
    file: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    if certificate.public_key() != key.public_key():
        raise _unusable(file, "The key beside it is another one's.")


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _name_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts_of(certificate: x509.Certificate) -> set[str]:
    """Return the names and addresses of a server's certificate."""
    try:
        extension = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return set()
    names = extension.value
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return {*addresses, *names.get_values_for_type(x509.DNSName)}


def _write(path: Path, certificate: x509.Certificate) -> None:
    content = certificate.public_bytes(serialization.Encoding.PEM)
    write_atomically(path, content)
    path.chmod(PUBLIC_FILE)  # whatever the umask: three programs read them
